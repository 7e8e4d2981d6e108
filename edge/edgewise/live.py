"""The live table in words: what was observed of each model in each region, read out of a snapshot."""

from collections.abc import Iterable
from dataclasses import dataclass

from edgewise.core.endpoints import HEALTH, TOKENS_PER_S_SCALE, TTFT_SCALE, Endpoint, health
from edgewise.core.labels import SCORE_ONE
from edgewise.core.layout import Live


@dataclass(frozen=True)
class LiveEndpoint:
    """What is known of one model as it is reached from one region; "" stands for all regions together.

    `ttft_ms`: the average time to the first token. `p95_ms`: its 95th percentile. Both are 0 where too little was seen.
    `error_rate`: from 0 to 1. `health`: `available`, `cooling_down`, `circuit_open` or `circuit_half_open`. `slow`: a
    share of its requests goes elsewhere, in the hours for which the policy says so. `last_at_ms`: when it was heard of
    last.
    """

    model: str
    region: str
    ttft_ms: int
    p95_ms: int
    tokens_per_s: float
    error_rate: float
    failures_in_a_row: int
    health: str
    slow: bool
    last_at_ms: int


def read_snapshot(snapshot: bytes, models: list[str], regions: list[str], at_ms: int = 0) -> list[LiveEndpoint]:
    """The endpoints that were observed at all, for the names of the policy, sorted.

    `at_ms`: the time by which health is judged; without it, the latest that was heard of.
    """
    if not snapshot:
        return []
    now = at_ms or Live.from_bytes(snapshot).latest_at
    found = []
    for (model, region), start in endpoint_places(models, regions).items():
        if any(snapshot[start : start + Endpoint.size]):
            found.append(_describe(model, region, Endpoint.from_bytes(snapshot, start), now))
    return sorted(found, key=lambda one: (one.model, one.region))


def endpoint_places(models: Iterable[str], regions: Iterable[str]) -> dict[tuple[str, str], int]:
    """Where the record of each model in each region begins in a snapshot, for the names of the policy."""
    places = [(model, region) for region in ("", *sorted(regions)) for model in sorted(models)]
    return {place: Live.size + index * Endpoint.size for index, place in enumerate(places)}


def _describe(model: str, region: str, endpoint: Endpoint, now: int) -> LiveEndpoint:
    return LiveEndpoint(
        model=model,
        region=region,
        ttft_ms=endpoint.ttft // TTFT_SCALE,
        p95_ms=endpoint.p95_ms,
        tokens_per_s=endpoint.tokens_per_s / TOKENS_PER_S_SCALE,
        error_rate=endpoint.error_rate / SCORE_ONE,
        failures_in_a_row=endpoint.failures,
        health=HEALTH[health(endpoint, now)],
        slow=bool(endpoint.shifted),
        last_at_ms=endpoint.last_at,
    )
