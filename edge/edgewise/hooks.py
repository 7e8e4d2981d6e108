"""Policy hooks: full Python between the scores and the choice, for the builds that bundle an interpreter.

A hook is a module with one function:

    def adjust(request: RequestView, candidates: list[Candidate]) -> list[Candidate]: ...

`edgewise build --backend componentize-py --hooks my_hooks.py` bundles it. It is called once for each decision with the
models that can serve the request, best first, and gives the models that may be chosen. It may leave models out, give
them another utility, or put them in another order. Where a utility was changed, the models are ranked by utility again
(of equals, the one that comes first in the list); else they are ranked in the order of the list.

A hook decides the same for the same request: it runs in a sandbox without files, network or clock, and `request.at_ms`
is its time. When it raises, or gives something that is not a list of its candidates, the policy decides without it, and
the decision says so (reason `hook_failed`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace


@dataclass
class Candidate:
    """A model that can serve the request: its name, and what it is worth for it.

    `utility` and `cost` are in picodollars (10^-12 USD); `utility` is the value of the expected answer less its price
    and its wait. `ttft_ms`: the usual time to the first token.
    """

    name: str
    utility: int
    cost: int
    ttft_ms: int


@dataclass(frozen=True)
class Message:
    """One turn of the conversation."""

    role: str
    content: str


@dataclass(frozen=True)
class RequestView:
    """A request, and what the router found out about it. Scores run from 0 to 10000; `budget` is in picodollars."""

    id: str
    messages: tuple[Message, ...]
    region: str
    tenant: str
    session: str
    session_model: str
    needs: frozenset[str]
    tier: str
    objective: str
    max_tokens: int
    latency_slo_ms: int
    budget: int
    cached_tokens: int
    at_ms: int
    task: str
    domain: str
    language: str
    difficulty: int
    recency: int
    code: int
    harm: int
    jailbreak: int
    pii: int
    confidence: int
    abstained: bool
    input_tokens: int
    output_tokens: int


Hook = Callable[[RequestView, list[Candidate]], Sequence[Candidate]]


class HookError(Exception):
    """A hook gave something that is not a list of its candidates."""


def rank(hook: Hook, request: RequestView, candidates: Sequence[Candidate]) -> dict[str, int]:
    """What each model that the hook leaves is worth, the best first: strictly falling where the hook chose an order.

    Raises what the hook raises, and HookError for what is not a list of its candidates.
    """
    known = {candidate.name: candidate.utility for candidate in candidates}
    chosen = hook(request, [replace(candidate) for candidate in candidates])
    if not isinstance(chosen, (list, tuple)):
        raise HookError(f"the hook gave {type(chosen).__name__}, not a list of candidates")
    for candidate in chosen:
        if not isinstance(candidate, Candidate) or candidate.name not in known:
            raise HookError(f"the hook gave {candidate!r}, which is not one of its candidates")
        if type(candidate.utility) is not int or abs(candidate.utility) >= _LIMIT:
            raise HookError(
                f"the utility of {candidate.name} is {candidate.utility!r}, not a whole number of picodollars"
            )
    worth = {candidate.name: candidate.utility for candidate in chosen}
    if len(worth) < len(chosen):
        raise HookError("the hook gave a candidate twice")
    names = list(worth)
    if any(worth[name] != known[name] for name in names):
        names.sort(key=lambda name: -worth[name])
    return _falling(names, worth)


_LIMIT = 1 << 60


def _falling(names: list[str], worth: dict[str, int]) -> dict[str, int]:
    """Lift a model that stands before a better one just above it, so that the utilities say what the order says."""
    lifted = {}
    floor = -_LIMIT
    for name in reversed(names):
        lifted[name] = floor = max(worth[name], floor + 1)
    return {name: lifted[name] for name in names}
