"""Replaying traffic request by request: what the router decides, and what that is expected to cost.

Nothing is observed in between, so each request stands for itself: parts of the traffic can be replayed anywhere, in any
order, and their reports added up.
"""

import time
from collections.abc import Iterable

from edgewise.catalogue import strongest
from edgewise.config import Config, ModelConfig
from edgewise.decision import Decision
from edgewise.errors import EngineError
from edgewise.money import price_per_token
from edgewise.request import Request
from edgewise.router import Router
from edgewise.simulation.report import Report
from edgewise.simulation.rows import Row
from edgewise.simulation.tally import REFUSED, SERVED, Fate

HOUR_MS = 3_600_000


def replay(router: Router, rows: Iterable[Row]) -> Report:
    """Decide each row by itself. The costs and the times to the first token are those that the decisions expect."""
    best = strongest(router.config).config
    report = empty_report(router.config)
    for row in rows:
        decision = decide(router, row.request, report)
        report.count(_fate(row, decision, best), row.request.at_ms)
    return report


def empty_report(config: Config) -> Report:
    """The report of no traffic at all, to which those of parts are added."""
    return Report(strongest(config).name, HOUR_MS)


def decide(router: Router, request: Request, report: Report) -> Decision:
    """A decision of the router's engine, also that no model can serve the request; its time goes into the report."""
    started = time.perf_counter_ns()
    decision = router.engine.decide(request)
    report.decision_us[(time.perf_counter_ns() - started + 500) // 1000] += 1
    if decision.status not in ("ok", "no_feasible_model"):
        raise EngineError(f"the core gave no decision: {decision.status.replace('_', ' ')}")
    return decision


def price_of(model: ModelConfig, decision: Decision, cached_tokens: int = 0) -> int:
    """What a model takes for the answer, in picodollars, with so many tokens of the prompt in its cache."""
    cost = model.cost(decision.input_tokens, decision.output_tokens)
    if model.price_cached_in is None:
        return cost
    saved = model.picodollars_per_token[0] - price_per_token(model.price_cached_in)
    return cost - saved * min(cached_tokens, decision.input_tokens)


def _fate(row: Row, decision: Decision, best: ModelConfig) -> Fate:
    if decision.status != "ok":
        return Fate(row, decision, REFUSED)
    always = price_of(best, decision, row.request.cached_tokens)
    return Fate(row, decision, SERVED, decision.model, decision.ttft_ms, decision.cost, always)
