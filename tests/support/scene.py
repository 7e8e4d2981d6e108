"""A configuration in the core's hands: observations go in, and choices come out for signals that are given."""

from dataclasses import dataclass
from typing import Any

from edgewise.config import Config
from edgewise.core.labels import CLUSTER_OF_TASK, DOMAINS, NEEDS, OBJECTIVES, REASONS, SCORE_ONE, TASKS, TIERS
from edgewise.core.language import LANGUAGES
from edgewise.core.layout import Observation as ObservationRecord
from edgewise.core.layout import Request, Weights
from edgewise.core.policy import POLICY_OK, Policy
from edgewise.core.selection import choose
from edgewise.core.types import Span
from edgewise.interpreted import InterpretedCore
from edgewise.observation import Observation, pack_observation
from edgewise.packing import pack_policy

NOON = 1_790_000_000_000 // 86_400_000 * 86_400_000 + 12 * 3_600_000
"""A day at 12:00 UTC."""

MODEL: dict[str, Any] = {
    "provider": "own",
    "price_in": 1,
    "price_out": 2,
    "context": 100_000,
    "ttft_ms": 200,
    "quality": 0.5,
}


def config_of(models: dict[str, dict[str, Any]], **tables: Any) -> Config:
    """A configuration of models that say only what differs from MODEL."""
    return Config.model_validate({"models": {name: {**MODEL, **own} for name, own in models.items()}, **tables})


@dataclass(frozen=True)
class Choice:
    """What was chosen, in plain values."""

    model: str
    chain: tuple[str, ...]
    reasons: tuple[tuple[str, str, int], ...]
    cost: int
    ttft_ms: int

    def codes(self, model: str) -> set[str]:
        return {code for code, name, _ in self.reasons if name == model}


class Scene:
    """The core with a policy, and with what was observed."""

    def __init__(self, config: Config) -> None:
        self.core = InterpretedCore(bytes(Weights.size))
        self.load(config)

    def load(self, config: Config) -> None:
        assert self.core.load_policy(pack_policy(config)) == POLICY_OK
        self.policy: Policy = self.core.policy

    def observe(self, model: str, times: int = 1, **seen: Any) -> bool:
        packed = bytearray(pack_observation(Observation(model=model, **{"at_ms": NOON, **seen}), 0))
        known = [self.core.observe(ObservationRecord.from_bytes(packed), packed) for _ in range(times)]
        return all(known)

    def choose(self, **given: Any) -> Choice:
        """A choice for signals and for fields of a request, both by their names."""
        memory, request, text = self.core.memory, Request(), bytearray()
        for name in ("id", "region", "tenant", "session_model"):
            encoded = str(given.pop(name, "")).encode()
            span: Span = getattr(request, name)
            span.start, span.length = len(text), len(encoded)
            text += encoded
        request.needs = sum(1 << NEEDS.index(need) for need in given.pop("needs", ()))
        request.tier = TIERS.index(given.pop("tier", "unset"))
        request.objective = OBJECTIVES.index(given.pop("objective", "unset"))
        request.at_ms = given.pop("at_ms", NOON)
        for name in ("budget", "latency_slo_ms", "cached_tokens", "max_output_tokens"):
            setattr(request, name, given.pop(name, 0))
        self._set_signals(given)
        memory.reason_count = memory.chain_length = 0
        memory.decision.model.length = memory.decision.dropped = 0
        core = self.core
        tables = (core.policy, core.models, core.tenants, core.endpoints, core.strings)
        choose(request, *tables, text, memory)
        name_of = core.text_of
        return Choice(
            model=name_of(memory.decision.model),
            chain=tuple(name_of(span) for span in memory.chain[: memory.chain_length]),
            reasons=tuple(
                (REASONS[reason.code], name_of(reason.model), reason.value)
                for reason in memory.reasons[: memory.reason_count]
            ),
            cost=memory.decision.cost,
            ttft_ms=memory.decision.ttft_ms,
        )

    def _set_signals(self, given: dict[str, Any]) -> None:
        decision = self.core.memory.decision
        task = TASKS.index(given.pop("task", "factual"))
        decision.task, decision.cluster = task, CLUSTER_OF_TASK[task]
        for other in range(len(TASKS)):
            decision.task_scores[other] = SCORE_ONE if other == task else 0
        decision.domain = DOMAINS.index(given.pop("domain", "general"))
        for other in range(len(DOMAINS)):
            self.core.memory.scores.domain[other] = SCORE_ONE if other == decision.domain else 0
        decision.language = LANGUAGES.index(given.pop("language", "en"))
        values = {"input_tokens": 1_000, "output_tokens": 500, "domain_score": SCORE_ONE, "language_score": SCORE_ONE}
        values |= dict.fromkeys(("code", "difficulty", "recency", "harm", "jailbreak", "pii", "abstained"), 0)
        values |= {"confidence": SCORE_ONE, "user_turns": 1}
        for name, value in {**values, **given}.items():
            assert name in values, name
            setattr(decision, name, value)
