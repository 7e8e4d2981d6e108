"""The world of a simulation: how the endpoints behave at a time, by a scenario and by chance.

Chance is drawn anew for each call of a model for a request, from the seed and their names. So it depends on nothing
else that the router does, and two configurations on the same traffic differ by what they decide, not by luck.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from statistics import NormalDist
from typing import TypeVar

from edgewise.config import Config
from edgewise.simulation.scenario import DAY_MS, MINUTE_MS, Disruption, ModelWorld, RateLimit, Scenario

D = TypeVar("D", bound=Disruption)

_NORMAL = NormalDist()
_Z95 = _NORMAL.inv_cdf(0.95)
_TINY = 2.0**-54


@dataclass(frozen=True)
class Answer:
    """How an endpoint answers a call: with an HTTP status and, where that is 200, a first token after `wait_ms`.

    A status of 0: not at all.
    """

    status: int
    wait_ms: int = 0
    tokens_per_s: int = 0
    retry_after_ms: int = 0


class World:
    """The endpoints of a configuration in a scenario; all it remembers is what counts against rate limits."""

    def __init__(self, config: Config, scenario: Scenario, start_ms: int) -> None:
        self._config = config
        self._scenario = scenario
        self._first_day = start_ms // DAY_MS
        self._taken: dict[str, tuple[int, int]] = {}

    def call(self, number: int, model: str, attempt: int, region: str, at_ms: int) -> Answer:
        """How a model answers the request with a number, called from a region; `attempt`: 0 the first time."""
        scenario, real = self._scenario, self._scenario.models.get(model, ModelWorld())
        hop = self._hop(model, region)
        retry_after_ms = self._limit(self._current(scenario.rate_limits, model, region, at_ms), at_ms)
        if retry_after_ms > 0:
            return Answer(429, hop, retry_after_ms=retry_after_ms)
        outages = self._current(scenario.outages, model, region, at_ms).values()
        if any(outage.hangs for outage in outages):
            return Answer(0)
        chance = Random(f"{scenario.seed}/{number}/{model}/{attempt}")
        bursts = self._current(scenario.error_bursts, model, region, at_ms).values()
        works = math.prod(1 - float(rate) for rate in (real.error_rate, *(burst.rate for burst in bursts)))
        if outages or chance.random() >= works:
            return Answer(503, hop)
        slow = self._current(scenario.slowdowns, model, region, at_ms).values()
        factor = math.prod(float(slowdown.factor) for slowdown in slow)
        median, p95 = real.latency_in(region, self._config.models[model])
        wait_ms = hop + round(lognormal(median, p95, chance.random()) * factor)
        return Answer(200, wait_ms, tokens_per_s=max(1, round(real.tokens_per_s / factor)))

    def _current(self, tables: Mapping[str, D], model: str, region: str, at_ms: int) -> dict[str, D]:
        """What happens to an endpoint at a time."""
        provider = self._config.models[model].provider
        return {
            name: one
            for name, one in tables.items()
            if one.hits(model, provider, region) and one.holds(at_ms, self._first_day)
        }

    def _hop(self, model: str, region: str) -> int:
        """The network time from a region to a model's provider: the scenario's, else what the configuration says."""
        provider = self._config.models[model].provider
        known = self._scenario.providers.get(provider) or self._config.providers.get(provider)
        return known.hop_in(region or None) if known else 0

    def _limit(self, limits: Mapping[str, RateLimit], at_ms: int) -> int:
        """Count a call against its limits; how long to wait where one of them is used up, until its minute ends."""
        minute = at_ms // MINUTE_MS
        for name, limit in limits.items():
            counted_in, taken = self._taken.get(name, (minute, 0))
            taken = taken if counted_in == minute else 0
            if taken >= limit.per_minute:
                return (minute + 1) * MINUTE_MS - at_ms
            self._taken[name] = minute, taken + 1
        return 0


def lognormal(median: int, p95: int, chance: float) -> float:
    """The value at `chance` (0 to 1) of the log-normal distribution with a median and a 95th percentile."""
    if median <= 0:
        return 0.0
    sigma = math.log(max(p95, median) / median) / _Z95
    return median * math.exp(sigma * _NORMAL.inv_cdf(max(chance, _TINY)))
