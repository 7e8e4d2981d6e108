"""Decisions: what the core decided, in the words and the JSON that people and programs read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edgewise.core.labels import CLUSTERS, DOMAINS, REASONS, SCORE_ONE, STATUSES, TASKS
from edgewise.core.language import LANGUAGES, SCRIPTS
from edgewise.core.layout import Decision as DecisionRecord
from edgewise.core.layout import Reason as ReasonRecord
from edgewise.core.types import Span
from edgewise.money import to_dollars
from edgewise.reasons import sentence


@dataclass(frozen=True)
class Reason:
    """Why: a code of REASONS, the model it is about ("" for the request), and the number that decided."""

    code: str
    model: str
    value: int

    @property
    def text(self) -> str:
        """The reason as a sentence."""
        return sentence(self.code, self.model, self.value)


@dataclass(frozen=True)
class Decision:
    """One decision. Scores are integers from 0 to SCORE_ONE, `cost` is in picodollars, times in milliseconds."""

    status: str
    model: str
    fallbacks: tuple[str, ...]
    runner_up: str
    margin: int
    task: str
    task_scores: tuple[int, ...]
    cluster: str
    domain: str
    domain_score: int
    code: int
    difficulty: int
    recency: int
    harm: int
    jailbreak: int
    pii: int
    language: str
    language_score: int
    script: str
    confidence: int
    abstained: bool
    truncated: bool
    user_turns: int
    input_tokens: int
    output_tokens: int
    cost: int
    ttft_ms: int
    reasons: tuple[Reason, ...]
    dropped: int

    @classmethod
    def from_records(
        cls,
        record: DecisionRecord,
        fallbacks: Sequence[Span],
        reasons: Sequence[ReasonRecord],
        read: Callable[[Span], str],
    ) -> "Decision":
        """The decision in the core's records; `read` gives the text of a span."""
        return cls(
            status=STATUSES[record.status],
            model=read(record.model),
            fallbacks=tuple(read(span) for span in fallbacks),
            runner_up=read(record.runner_up),
            margin=record.margin,
            task=TASKS[record.task],
            task_scores=tuple(record.task_scores),
            cluster=CLUSTERS[record.cluster],
            domain=DOMAINS[record.domain],
            domain_score=record.domain_score,
            code=record.code,
            difficulty=record.difficulty,
            recency=record.recency,
            harm=record.harm,
            jailbreak=record.jailbreak,
            pii=record.pii,
            language=LANGUAGES[record.language],
            language_score=record.language_score,
            script=SCRIPTS[record.script],
            confidence=record.confidence,
            abstained=bool(record.abstained),
            truncated=bool(record.truncated),
            user_turns=record.user_turns,
            input_tokens=record.input_tokens,
            output_tokens=record.output_tokens,
            cost=record.cost,
            ttft_ms=record.ttft_ms,
            reasons=tuple(Reason(REASONS[reason.code], read(reason.model), reason.value) for reason in reasons),
            dropped=record.dropped,
        )

    def to_json(self) -> dict[str, Any]:
        """The decision's JSON shape, without the request's id and the engine's name, which hosts add."""
        return {
            "model": self.model,
            "fallbacks": list(self.fallbacks),
            "signals": self._signals(),
            "confidence": _score(self.confidence),
            "abstained": self.abstained,
            "truncated": self.truncated,
            "tokens": {"input": self.input_tokens, "output": self.output_tokens},
            "cost_usd": round(to_dollars(self.cost), 9),
            "ttft_ms": self.ttft_ms,
            "reasons": [
                {"code": reason.code, **({"model": reason.model} if reason.model else {}), "text": reason.text}
                for reason in self.reasons
            ],
            "runner_up": {"model": self.runner_up, "margin": _score(self.margin)} if self.runner_up else None,
        }

    def _signals(self) -> dict[str, Any]:
        return {
            "task": {
                "label": self.task,
                "cluster": self.cluster,
                "score": _score(max(self.task_scores)),
                "scores": {task: _score(score) for task, score in zip(TASKS, self.task_scores, strict=True)},
            },
            "domain": {"label": self.domain, "score": _score(self.domain_score)},
            "code": _score(self.code),
            "difficulty": _score(self.difficulty),
            "recency": _score(self.recency),
            "safety": {"harm": _score(self.harm), "jailbreak": _score(self.jailbreak), "pii": _score(self.pii)},
            "language": {"code": self.language, "score": _score(self.language_score), "script": self.script},
            "user_turns": self.user_turns,
        }


def _score(value: int) -> float:
    return value / SCORE_ONE
