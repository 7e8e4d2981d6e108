"""Replaying traffic request by request: what the router decides, and what that is expected to cost.

Nothing is observed in between, so each request stands for itself: parts of the traffic can be replayed anywhere, in any
order, and their reports added up.
"""

import time
from collections.abc import Iterable

from edgewise.catalogue import strongest
from edgewise.config import Config, ModelConfig
from edgewise.decision import Decision
from edgewise.money import price_per_token
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
        started = time.perf_counter_ns()
        decision = router.engine.decide(row.request)
        report.time_decision(decision, time.perf_counter_ns() - started)
        report.count(_fate(row, decision, best), row.request.at_ms)
    return report


def empty_report(config: Config) -> Report:
    """The report of no traffic at all, to which those of parts are added."""
    return Report(strongest(config).name, HOUR_MS)


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
