"""A policy hook: full Python between the scores and the choice.

    edgewise build --backend componentize-py --hooks examples/hooks.py

`adjust` is called once for each decision with the models that can serve the request, best first. See docs/backends.md.
"""

from edgewise.hooks import Candidate, RequestView

CONTRACTED = {"claude-haiku", "gpt-4o-mini"}
NOT_FOR_SCHOOLS = {"mistral-large"}


def adjust(request: RequestView, candidates: list[Candidate]) -> list[Candidate]:
    """Keep schools away from some models, send what may be harmful to the dearest, and prefer models under contract."""
    if request.tenant == "school":
        candidates = [candidate for candidate in candidates if candidate.name not in NOT_FOR_SCHOOLS]
    if request.harm > 5_000:
        return sorted(candidates, key=lambda candidate: candidate.cost, reverse=True)
    for candidate in candidates:
        if candidate.name in CONTRACTED:
            candidate.utility += candidate.cost // 5
    return candidates
