"""The report: sums in total and over time, and the JSON that is made of them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from edgewise.core.labels import SCORE_ONE
from edgewise.decision import Decision
from edgewise.errors import EngineError
from edgewise.money import to_dollars
from edgewise.percentiles import percentile_of_counts
from edgewise.simulation.tally import Fate, Tally

MINUTE_MS = 60_000

_MAX_STEPS = 48
_NICE_MINUTES = (1, 2, 5, 10, 15, 20, 30, 60, 120, 180, 360, 720, 1_440)


@dataclass(frozen=True, order=True)
class Change:
    """What the router took note of: `what` is circuit_opened, circuit_closed, shift_began, shift_ended or a price."""

    at_ms: int
    model: str
    region: str
    what: str


@dataclass
class Report:
    """What a replay saw. `bins`: sums by the time of arrival, Unix time in ms, in steps of `bin_ms`.

    `decision_us`: how long decisions took on this machine, by whole microseconds: all that differs between two runs.
    """

    strongest: str
    bin_ms: int = MINUTE_MS
    total: Tally = field(default_factory=Tally)
    bins: dict[int, Tally] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    decision_us: Counter[int] = field(default_factory=Counter)

    @property
    def saving(self) -> float:
        """The share of the cost of always using the strongest model that routing saves."""
        always = self.total.cost_of_strongest
        return 1 - self.total.cost / always if always else 0.0

    def time_decision(self, decision: Decision, took_ns: int) -> None:
        """Note how long a decision took. Raises EngineError where the core could not decide at all."""
        if decision.status not in ("ok", "no_feasible_model"):
            raise EngineError(f"the core gave no decision: {decision.status.replace('_', ' ')}")
        self.decision_us[(took_ns + 500) // 1000] += 1

    def count(self, fate: Fate, at_ms: int) -> None:
        """Add one request that arrived at a time; 0 where that is unknown."""
        self.total.count(fate, self.strongest)
        if at_ms > 0:
            self.bins.setdefault(at_ms // self.bin_ms * self.bin_ms, Tally()).count(fate, self.strongest)

    def add(self, other: "Report") -> None:
        """Add what another replay of other requests saw: in any order, the same sums."""
        self.total.add(other.total)
        for start, tally in other.bins.items():
            self.bins.setdefault(start, Tally()).add(tally)
        self.changes = sorted(self.changes + other.changes)
        self.decision_us.update(other.decision_us)

    def steps(self) -> list[tuple[int, Tally]]:
        """The sums over time, in steps wide enough that at most _MAX_STEPS of them cover all of it."""
        if not self.bins:
            return []
        width = self.step_ms
        steps: dict[int, Tally] = {}
        for start in sorted(self.bins):
            steps.setdefault(start // width * width, Tally()).add(self.bins[start])
        return list(steps.items())

    @property
    def step_ms(self) -> int:
        """How wide the steps over time are."""
        span = max(self.bins) - min(self.bins) + self.bin_ms if self.bins else 0
        wide = (minutes * MINUTE_MS for minutes in _NICE_MINUTES if minutes * MINUTE_MS >= self.bin_ms)
        day = _NICE_MINUTES[-1] * MINUTE_MS
        return next((width for width in wide if span <= _MAX_STEPS * width), -(-span // (_MAX_STEPS * day)) * day)

    def to_json(self) -> dict[str, Any]:
        """The report's JSON shape."""
        total = self.total
        return {
            "requests": total.requests,
            "served": total.served,
            "refused": total.refused,
            "failed": total.failed,
            "unserved": total.refused + total.failed,
            "fell_back": total.fell_back,
            "abstained": total.abstained,
            "truncated": total.truncated,
            "cost_usd": _dollars(total.cost),
            "cost_usd_always_strongest": _dollars(total.cost_of_strongest),
            "strongest": self.strongest,
            "saving": round(self.saving, 4),
            "quality": quality_of(total),
            "mix": {
                "task": most_common(total.tasks),
                "model": most_common(total.models),
                "language": most_common(total.languages),
            },
            "decision_us": percentiles_of(self.decision_us, (50, 99)),
            "ttft_ms": percentiles_of(total.ttft_counts()),
            "slo_asked": total.slo_asked,
            "slo_missed": total.slo_missed,
            "regions": {region: self._region(region) for region in most_common(total.regions)},
            "tenants": {
                tenant: {**ends, "cost_usd": _dollars(total.spent[tenant])}
                for tenant, ends in nested(total.tenants).items()
            },
            "attempts": nested(total.attempts),
            "failures": most_common(total.failures),
            "gave_up": nested(total.gave_up),
            "changes": [
                {"at": iso(one.at_ms), "what": one.what, "model": one.model, "region": one.region}
                for one in self.changes
            ],
            "timeline": [_step(start, tally) for start, tally in self.steps()],
        }

    def _region(self, region: str) -> dict[str, Any]:
        total = self.total
        return {
            "requests": total.regions[region],
            "ttft_ms": percentiles_of(total.ttft_counts(region)),
            "slo_missed": total.missed_in[region],
        }


def total_of(reports: Iterable[Report], whole: Report) -> Report:
    """The report of a whole that begins as an empty one, to which those of its parts are added."""
    for report in reports:
        whole.add(report)
    return whole


def _step(start: int, tally: Tally) -> dict[str, Any]:
    return {
        "at": iso(start),
        "requests": tally.requests,
        "unserved": tally.refused + tally.failed,
        "cost_usd": _dollars(tally.cost),
        "cost_usd_always_strongest": _dollars(tally.cost_of_strongest),
        "quality": quality_of(tally),
        "models": most_common(tally.models),
        "ttft_ms": {region: percentiles_of(tally.ttft_counts(region)) for region in sorted(tally.regions)},
        "slo_missed": tally.slo_missed,
    }


def quality_of(tally: Tally) -> dict[str, Any]:
    """The mean quality, from 0 to 1, of the answers where it is known; None where it never is."""
    return {
        "judged": tally.judged,
        "mean": _mean(tally.quality, tally.judged),
        "judged_of_strongest": tally.judged_of_strongest,
        "strongest": _mean(tally.quality_of_strongest, tally.judged_of_strongest),
    }


def _mean(scores: int, count: int) -> float | None:
    return round(scores / (count * SCORE_ONE), 4) if count else None


def percentiles_of(counts: Mapping[int, int], percents: tuple[int, ...] = (50, 95, 99)) -> dict[str, int]:
    """Percentiles by their names, such as p95; zeros where there is nothing."""
    return {f"p{percent}": percentile_of_counts(counts, percent / 100) for percent in percents}


def most_common(counts: Mapping[str, int]) -> dict[str, int]:
    """The counts, the highest first; of equals, by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def nested(counts: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    """Counts of pairs, by the first of each pair and then the second."""
    tables: dict[str, Counter[str]] = {}
    for (first, second), count in counts.items():
        tables.setdefault(first, Counter())[second] += count
    return {first: most_common(tables[first]) for first in sorted(tables)}


def iso(at_ms: int) -> str:
    """A time in words, UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _dollars(picodollars: int) -> float:
    return round(to_dollars(picodollars), 9)
