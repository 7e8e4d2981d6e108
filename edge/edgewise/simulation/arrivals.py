"""When requests come: at the times that the traffic itself says, or at random by a rate that follows the day."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count
from random import Random

from edgewise.errors import RequestError
from edgewise.simulation.rows import Row
from edgewise.simulation.scenario import DAY_MS, MINUTE_MS, Arrivals, Scenario

Arrival = tuple[int, Row]
"""The time, Unix time in milliseconds, and what comes."""


def arrivals(scenario: Scenario, rows: Iterable[Row]) -> Iterator[Arrival]:
    """The rows with their times, in order. Raises RequestError where the traffic does not say what it has to."""
    known = list(rows)
    if scenario.arrivals is None:
        return iter(_own_times(known))
    return _drawn_times(scenario, scenario.arrivals, known)


def _own_times(rows: list[Row]) -> list[Arrival]:
    for number, row in enumerate(rows, 1):
        if row.request.at_ms == 0:
            raise RequestError(f"request {number} has no at_ms; add it, or [arrivals] to the scenario")
    return sorted(((row.request.at_ms, row) for row in rows), key=lambda arrival: arrival[0])


def _drawn_times(scenario: Scenario, rule: Arrivals, rows: list[Row]) -> Iterator[Arrival]:
    """A Poisson process, by thinning; each request has a new id, as shares of traffic are drawn by ids."""
    if not rows:
        return
    chance, regions = Random(f"{scenario.seed}/arrivals"), Random(f"{scenario.seed}/regions")
    busiest = _highest_rate(scenario, rule)
    at, end = float(scenario.start_ms), scenario.start_ms + rule.minutes * MINUTE_MS
    for number in count():
        while True:
            at -= math.log(1 - chance.random()) / busiest * MINUTE_MS
            if chance.random() * busiest < _rate(scenario, rule, int(at)):
                break
        if at >= end:
            return
        row = rows[number % len(rows)]
        fields = {"id": f"{number + 1}", "at_ms": int(at)}
        if rule.regions:
            fields["region"] = regions.choices(list(rule.regions), [float(one) for one in rule.regions.values()])[0]
        yield int(at), replace(row, request=row.request.model_copy(update=fields))


def _rate(scenario: Scenario, rule: Arrivals, at_ms: int) -> float:
    """How many requests a minute come at a time."""
    first_day = scenario.start_ms // DAY_MS
    factors = (float(peak.factor) for peak in scenario.peaks.values() if peak.holds(at_ms, first_day))
    return float(rule.per_minute) * math.prod(factors)


def _highest_rate(scenario: Scenario, rule: Arrivals) -> float:
    return float(rule.per_minute) * math.prod(max(1.0, float(peak.factor)) for peak in scenario.peaks.values())
