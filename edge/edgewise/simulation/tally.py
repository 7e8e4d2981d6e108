"""What is counted: whole numbers only, so that sums of parts are the sums of the whole, to the last picodollar."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields

from edgewise.decision import Decision
from edgewise.simulation.rows import Row

SERVED, REFUSED, FAILED = "served", "refused", "failed"
NO_REGION = "unknown"

_ABOUT_THE_CHOICE = frozenset(
    {"best_value", "cluster_chain", "abstained", "session", "target_quality", "target_saving"}
)


@dataclass(frozen=True)
class Fate:
    """What became of one request.

    `end`: SERVED by `model`, REFUSED as no model could serve it, or FAILED for a `reason` of SESSION_REASONS.
    `ttft_ms`: the client's wait for the first token of the answer, lost calls included. Costs are in picodollars: what
    all calls took, and what the strongest model would have taken for the answer. `attempts`: the models that were
    called, with the outcome of each call.
    """

    row: Row
    decision: Decision
    end: str
    model: str = ""
    ttft_ms: int = 0
    cost: int = 0
    cost_of_strongest: int = 0
    attempts: tuple[tuple[str, str], ...] = ()
    reason: str = ""


@dataclass
class Tally:
    """Sums over requests. Costs are in picodollars, times in milliseconds, scores from 0 to SCORE_ONE.

    `fell_back`: answered by another model than the one decided for. `slo_missed`: the first token came later than the
    request's objective, or never, though the request was accepted. `judged`: answers whose quality is known, and
    `judged_of_strongest` those of them where the strongest model's is known too. `ttft`: by region and milliseconds.
    `attempts`: by model and outcome. `failures`: by reason. `gave_up`: by reason and model, what the policy would not
    or could not use. `tenants`: by name and what became of the request. `spent`: picodollars by tenant.
    """

    requests: int = 0
    served: int = 0
    refused: int = 0
    failed: int = 0
    fell_back: int = 0
    abstained: int = 0
    truncated: int = 0
    slo_asked: int = 0
    slo_missed: int = 0
    cost: int = 0
    cost_of_strongest: int = 0
    judged: int = 0
    judged_of_strongest: int = 0
    quality: int = 0
    quality_of_strongest: int = 0
    tasks: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    regions: Counter[str] = field(default_factory=Counter)
    missed_in: Counter[str] = field(default_factory=Counter)
    ttft: Counter[tuple[str, int]] = field(default_factory=Counter)
    attempts: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    gave_up: Counter[tuple[str, str]] = field(default_factory=Counter)
    tenants: Counter[tuple[str, str]] = field(default_factory=Counter)
    spent: Counter[str] = field(default_factory=Counter)

    def count(self, fate: Fate, strongest: str) -> None:
        """Add one request."""
        region = fate.row.request.region or NO_REGION
        self.requests += 1
        self.regions[region] += 1
        if fate.row.request.tenant:
            self.tenants[fate.row.request.tenant, fate.end] += 1
            self.spent[fate.row.request.tenant] += fate.cost
        self.gave_up.update(_given_up(fate.decision))
        self.attempts.update(fate.attempts)
        self.cost += fate.cost
        self.cost_of_strongest += fate.cost_of_strongest
        self._count_objective(fate, region)
        if fate.end == REFUSED:
            self.refused += 1
        elif fate.end == FAILED:
            self.failed += 1
            self.failures[fate.reason] += 1
        else:
            self._count_answer(fate, region, strongest)

    def _count_objective(self, fate: Fate, region: str) -> None:
        objective = fate.row.request.latency_slo_ms
        self.slo_asked += objective > 0
        if objective > 0 and (fate.end == FAILED or fate.ttft_ms > objective):
            self.slo_missed += 1
            self.missed_in[region] += 1

    def _count_answer(self, fate: Fate, region: str, strongest: str) -> None:
        decision = fate.decision
        self.served += 1
        self.fell_back += fate.model != decision.model
        self.abstained += decision.abstained
        self.truncated += decision.truncated
        self.tasks[decision.task] += 1
        self.models[fate.model] += 1
        self.languages[decision.language] += 1
        self.ttft[region, fate.ttft_ms] += 1
        outcomes = fate.row.outcomes
        if fate.model in outcomes:
            self.judged += 1
            self.quality += outcomes[fate.model]
            if strongest in outcomes:
                self.judged_of_strongest += 1
                self.quality_of_strongest += outcomes[strongest]

    def add(self, other: "Tally") -> None:
        """Add the sums of another."""
        for one in fields(self):
            mine, its = getattr(self, one.name), getattr(other, one.name)
            if isinstance(mine, Counter):
                mine.update(its)
            else:
                setattr(self, one.name, mine + its)

    def ttft_counts(self, region: str | None = None) -> Counter[int]:
        """How often each time to the first token occurred, in a region or in all of them."""
        counts: Counter[int] = Counter()
        for (place, ttft_ms), count in self.ttft.items():
            if region in (None, place):
                counts[ttft_ms] += count
        return counts


def _given_up(decision: Decision) -> Iterator[tuple[str, str]]:
    for reason in decision.reasons:
        if reason.model and reason.code not in _ABOUT_THE_CHOICE:
            yield reason.code, reason.model
