"""The simulator, first cut: replays traffic through the real module and adds up what it would have cost."""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from edgewise.config import strongest
from edgewise.errors import NoFeasibleModelError
from edgewise.money import to_dollars
from edgewise.percentiles import percentile
from edgewise.request import Request
from edgewise.router import Router


@dataclass
class Report:
    """What a replay saw. Costs are in picodollars, times in microseconds."""

    requests: int = 0
    unserved: int = 0
    abstained: int = 0
    truncated: int = 0
    slo_missed: int = 0
    cost: int = 0
    cost_of_strongest: int = 0
    strongest: str = ""
    tasks: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    regions: Counter[str] = field(default_factory=Counter)
    decision_us: list[float] = field(default_factory=list)

    @property
    def saving(self) -> float:
        """The share of the cost of always using the strongest model that routing saves."""
        return 1 - self.cost / self.cost_of_strongest if self.cost_of_strongest else 0.0

    def to_json(self) -> dict[str, Any]:
        """The report's JSON shape."""
        return {
            "requests": self.requests,
            "unserved": self.unserved,
            "abstained": self.abstained,
            "truncated": self.truncated,
            "cost_usd": round(to_dollars(self.cost), 9),
            "cost_usd_always_strongest": round(to_dollars(self.cost_of_strongest), 9),
            "strongest": self.strongest,
            "saving": round(self.saving, 4),
            "mix": {
                "task": dict(self.tasks.most_common()),
                "model": dict(self.models.most_common()),
                "language": dict(self.languages.most_common()),
            },
            "decision_us": {
                "p50": round(percentile(self.decision_us, 0.5), 1),
                "p99": round(percentile(self.decision_us, 0.99), 1),
            },
            "slo_missed": self.slo_missed,
            "regions": dict(self.regions.most_common()),
        }


def simulate(router: Router, traffic: Iterable[Request]) -> Report:
    """Replay the traffic. A request that no model can serve is counted as unserved and costs nothing on either side."""
    best = strongest(router.config)
    report = Report(strongest=best.name)
    for request in traffic:
        report.requests += 1
        started = time.perf_counter_ns()
        try:
            decision = router.decide(request)
        except NoFeasibleModelError:
            report.unserved += 1
            continue
        finally:
            report.decision_us.append((time.perf_counter_ns() - started) / 1000)
        report.cost += decision.cost
        report.cost_of_strongest += best.cost(decision.input_tokens, decision.output_tokens)
        report.tasks[decision.task] += 1
        report.models[decision.model] += 1
        report.languages[decision.language] += 1
        report.regions[request.region or "unknown"] += 1
        report.abstained += decision.abstained
        report.truncated += decision.truncated
        report.slo_missed += 0 < request.latency_slo_ms < decision.ttft_ms
    return report
