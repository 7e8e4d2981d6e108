"""The endpoints: what is known right now of each model's latency, errors and health, region by region.

Every answer that a host reports moves a record of 64 bytes: a moving average of the time to the first token, its 95th
percentile over a small histogram that forgets, throughput, error rate, and a circuit. A decision reads it in constant
time. What is old fades back to what the policy expects, and is then forgotten. Time is what the host says it is.
"""

from typing import Annotated

from edgewise.core.labels import SCORE_ONE
from edgewise.core.types import U8, Record, i32, i64, u8, u16

OUTCOMES = ("ok", "error", "timeout", "rate_limited")
OUTCOME_OK, OUTCOME_ERROR, OUTCOME_TIMEOUT, OUTCOME_RATE_LIMITED = range(len(OUTCOMES))

HEALTH = ("available", "cooling_down", "circuit_open", "circuit_half_open")
AVAILABLE, COOLING_DOWN, CIRCUIT_OPEN, CIRCUIT_HALF_OPEN = range(len(HEALTH))

MAX_TIME = 1 << 53
"""The latest time that can be said, in milliseconds."""
MAX_TTFT_MS = 600_000
MAX_TOKENS_PER_S = 8_000

BUCKET_BOUNDS_MS = (
    *(25, 50, 100, 150, 200, 250, 300, 350, 400, 500, 600, 700),
    *(800, 900, 1_000, 1_200, 1_500, 2_000, 2_500, 3_000, 5_000, 10_000, 30_000, 120_000),
)
"""Where the histogram's buckets end: round numbers, as thresholds are, so that a percentile is never on the wrong side
of one of them; within a bucket it is an estimate."""
BUCKET_COUNT = len(BUCKET_BOUNDS_MS)
MIN_OBSERVATIONS = 20
"""With fewer than these in the histogram there is no 95th percentile."""

FULL_WEIGHT = 256
TTFT_SCALE = 16
TOKENS_PER_S_SCALE = 8

_STEP = 2
_FULL_BUCKET = 254
_FULL_HISTOGRAM = 512
_SLOWEST_AVERAGE = 8
_ERROR_AVERAGE = 16
_MAX_BACKOFF = 4
_MAX_ERROR_RATE = 9_000
_BLIND_SHIFT = 3
"""Times `stale_ms`: how long shifting goes on without a percentile."""
_MINUTE_MS = 60_000
_DAY_MINUTES = 1_440


class Endpoint(Record):
    """One model as it is reached from one region. All zero: never observed.

    `ttft`: the average time to the first token in ms times TTFT_SCALE; 0: none was seen. `p95_ms`: 0 where unknown.
    `tokens_per_s`: times TOKENS_PER_S_SCALE. `error_rate`: 0 to SCORE_ONE. `failures`: in a row. `circuit`: 0 is
    closed, n that it opened n times without an answer in between. `blocked_until`: no requests before this time; from
    then on a circuit that is not closed is half open. `histogram`: _STEP for each answer, halved as time passes.
    """

    last_at: i64
    blocked_until: i64
    shifted_at: i64
    ttft: i32
    p95_ms: i32
    tokens_per_s: u16
    error_rate: u16
    failures: u8
    samples: u8
    circuit: u8
    shifted: u8
    histogram: Annotated[U8, BUCKET_COUNT]


class LiveRules(Record):
    """How measurements are judged, as the policy says it. Times in ms, shares and rates from 0 to SCORE_ONE.

    `shift_above_ms`, `shift_back_ms`: the p95 above which `shift_share` of the requests goes elsewhere, and below which
    they come back, at least `shift_dwell_ms` after the last change. `peak_from`, `peak_to`: the minutes of the UTC day
    between which requests are shifted; always where they are equal. `half_life_ms`: after it a measurement counts half
    in the histogram. `stale_ms`: after it a measurement counts no more. `trip_failures`, `trip_rate`: what opens the
    circuit, for `open_ms` at first. `probe_share`: what passes a half-open circuit. `cooldown_ms`: the pause after a
    rate limit.
    """

    shift_above_ms: i32
    shift_back_ms: i32
    shift_dwell_ms: i32
    half_life_ms: i32
    stale_ms: i32
    open_ms: i32
    cooldown_ms: i32
    shift_share: u16
    peak_from: u16
    peak_to: u16
    trip_rate: u16
    probe_share: u16
    trip_failures: u8


def observe_endpoint(
    endpoint: Endpoint,
    outcome: int,
    ttft_ms: int,
    tokens_per_s: int,
    retry_after_ms: int,
    at_ms: int,
    prior_ms: int,
    rules: LiveRules,
) -> None:
    """Take in how one request went.

    `outcome`: an index into OUTCOMES. `ttft_ms`: the wait for the first token, or until the host gave up; 0: unknown.
    `retry_after_ms`: how long the provider asked to wait; 0: not said. `prior_ms`: what the policy expects.
    """
    at = max(endpoint.last_at, min(max(at_ms, 0), MAX_TIME))
    _forget(endpoint, at, rules)
    endpoint.last_at = at
    if outcome == OUTCOME_RATE_LIMITED:
        pause = min(retry_after_ms, MAX_TTFT_MS) if retry_after_ms > 0 else rules.cooldown_ms
        endpoint.blocked_until = max(endpoint.blocked_until, at + pause)
        return
    if outcome != OUTCOME_ERROR:
        _count_latency(endpoint, ttft_ms, prior_ms)
        _shift(endpoint, at, rules)
    if outcome == OUTCOME_OK:
        _count_success(endpoint, tokens_per_s, at)
    else:
        _count_failure(endpoint, at, rules)
    endpoint.samples = min(endpoint.samples + 1, 255)


def _forget(endpoint: Endpoint, at: int, rules: LiveRules) -> None:
    """Drop measurements that are stale; halve the histogram once for each half-life that has ended."""
    if at - endpoint.last_at >= rules.stale_ms:
        endpoint.ttft = 0
        endpoint.p95_ms = 0
        endpoint.tokens_per_s = 0
        endpoint.error_rate = 0
        endpoint.samples = 0
        endpoint.shifted = 0
        for bucket in range(BUCKET_COUNT):
            endpoint.histogram[bucket] = 0
        return
    half_life = max(1, rules.half_life_ms)
    halvings = min(8, at // half_life - endpoint.last_at // half_life)
    if halvings > 0:
        _halve(endpoint, halvings)


def _halve(endpoint: Endpoint, times: int) -> None:
    for bucket in range(BUCKET_COUNT):
        endpoint.histogram[bucket] = endpoint.histogram[bucket] >> times


def _count_latency(endpoint: Endpoint, ttft_ms: int, prior_ms: int) -> None:
    if ttft_ms <= 0:
        return
    measured = min(ttft_ms, MAX_TTFT_MS)
    if endpoint.ttft == 0:
        endpoint.ttft = prior_ms * TTFT_SCALE
    pace = min(_SLOWEST_AVERAGE, endpoint.samples + 2)
    endpoint.ttft = max(1, endpoint.ttft + (measured * TTFT_SCALE - endpoint.ttft) // pace)
    bucket = _bucket_of(measured)
    if endpoint.histogram[bucket] >= _FULL_BUCKET or _total(endpoint) >= _FULL_HISTOGRAM:
        _halve(endpoint, 1)
    endpoint.histogram[bucket] = endpoint.histogram[bucket] + _STEP
    endpoint.p95_ms = percentile_95(endpoint)


def _bucket_of(ttft_ms: int) -> int:
    bucket = 0
    while bucket < BUCKET_COUNT - 1 and ttft_ms >= BUCKET_BOUNDS_MS[bucket]:
        bucket += 1
    return bucket


def _total(endpoint: Endpoint) -> int:
    total = 0
    for bucket in range(BUCKET_COUNT):
        total += endpoint.histogram[bucket]
    return total


def percentile_95(endpoint: Endpoint) -> int:
    """The 95th percentile of the histogram in ms, evenly spread inside its bucket; 0 with too few observations."""
    total = _total(endpoint)
    if total < MIN_OBSERVATIONS * _STEP:
        return 0
    above = 0
    for back in range(BUCKET_COUNT):
        bucket = BUCKET_COUNT - 1 - back
        count = endpoint.histogram[bucket] * 100
        if above + count > total * 5:
            low = BUCKET_BOUNDS_MS[bucket - 1] if bucket > 0 else 0
            return low + (BUCKET_BOUNDS_MS[bucket] - low) * (above + count - total * 5) // count
        above += count
    return 0


def _shift(endpoint: Endpoint, at: int, rules: LiveRules) -> None:
    """Begin or end shifting, by two thresholds and a dwell: a p95 near one threshold does not make it flap.

    Where too little was seen lately to know the percentile, it ends too, but late: it would only begin again.
    """
    if endpoint.shifted_at > 0 and at - endpoint.shifted_at < rules.shift_dwell_ms:
        return
    begins = endpoint.shifted == 0 and rules.shift_share > 0 and endpoint.p95_ms > rules.shift_above_ms
    settled = endpoint.p95_ms > 0 or at - endpoint.shifted_at >= _BLIND_SHIFT * rules.stale_ms
    ends = endpoint.shifted == 1 and settled and endpoint.p95_ms < rules.shift_back_ms
    if begins or ends:
        endpoint.shifted = 1 if begins else 0
        endpoint.shifted_at = at


def _count_success(endpoint: Endpoint, tokens_per_s: int, at: int) -> None:
    endpoint.failures = 0
    endpoint.error_rate = endpoint.error_rate - (endpoint.error_rate + _ERROR_AVERAGE - 1) // _ERROR_AVERAGE
    if tokens_per_s > 0:
        measured = min(tokens_per_s, MAX_TOKENS_PER_S) * TOKENS_PER_S_SCALE
        known = endpoint.tokens_per_s
        endpoint.tokens_per_s = known + (measured - known) // _SLOWEST_AVERAGE if known > 0 else measured
    if endpoint.circuit > 0 and at >= endpoint.blocked_until:
        endpoint.circuit = 0
        endpoint.error_rate = 0


def _count_failure(endpoint: Endpoint, at: int, rules: LiveRules) -> None:
    """One more failure. Requests that were under way when the circuit opened do not open it again."""
    endpoint.failures = min(endpoint.failures + 1, 255)
    endpoint.error_rate = endpoint.error_rate + (SCORE_ONE - endpoint.error_rate) // _ERROR_AVERAGE
    if endpoint.circuit > 0 and at < endpoint.blocked_until:
        return
    by_rate = endpoint.samples >= MIN_OBSERVATIONS and endpoint.error_rate >= rules.trip_rate
    if endpoint.circuit > 0 or endpoint.failures >= rules.trip_failures or by_rate:
        pause = rules.open_ms << min(endpoint.circuit, _MAX_BACKOFF)
        endpoint.blocked_until = max(endpoint.blocked_until, at + pause)
        endpoint.circuit = min(endpoint.circuit + 1, 255)


def freshness(endpoint: Endpoint, now: int, rules: LiveRules) -> int:
    """What the measurements count: FULL_WEIGHT until half of `stale_ms` has passed, then less and less, down to 0."""
    age = now - endpoint.last_at
    half = rules.stale_ms >> 1
    if age <= half:
        return FULL_WEIGHT
    if age >= rules.stale_ms:
        return 0
    return (rules.stale_ms - age) * FULL_WEIGHT // (rules.stale_ms - half)


def expected_ttft(endpoint: Endpoint, prior_ms: int, now: int, rules: LiveRules) -> int:
    """The time to the first token to expect, in ms: what was measured, or what the policy expects where that is old."""
    if endpoint.ttft == 0:
        return prior_ms
    weight = freshness(endpoint, now, rules)
    return prior_ms + (endpoint.ttft // TTFT_SCALE - prior_ms) * weight // FULL_WEIGHT


def expected_wait(endpoint: Endpoint, ttft_ms: int, now: int, rules: LiveRules) -> int:
    """The wait in ms until an attempt gives a first token: where half of them fail, it is twice as long."""
    if endpoint.error_rate == 0:
        return ttft_ms
    rate = min(_MAX_ERROR_RATE, endpoint.error_rate * freshness(endpoint, now, rules) // FULL_WEIGHT)
    return min(MAX_TTFT_MS, ttft_ms * SCORE_ONE // (SCORE_ONE - rate))


def health(endpoint: Endpoint, now: int) -> int:
    """Whether requests may go to the endpoint: an index into HEALTH."""
    if now < endpoint.blocked_until:
        return CIRCUIT_OPEN if endpoint.circuit > 0 else COOLING_DOWN
    return CIRCUIT_HALF_OPEN if endpoint.circuit > 0 else AVAILABLE


def is_slow(endpoint: Endpoint, now: int, rules: LiveRules) -> bool:
    """Whether a share of the endpoint's requests goes elsewhere now."""
    if endpoint.shifted == 0 or rules.shift_share == 0 or now - endpoint.last_at >= rules.stale_ms:
        return False
    return is_peak(now, rules)


def is_peak(now: int, rules: LiveRules) -> bool:
    """Whether the time lies within the peak hours; they may span midnight."""
    minute = now // _MINUTE_MS % _DAY_MINUTES
    if rules.peak_from <= rules.peak_to:
        return rules.peak_from == rules.peak_to or (rules.peak_from <= minute and minute < rules.peak_to)
    return minute >= rules.peak_from or minute < rules.peak_to


def hash_bytes(text: U8, start: int, length: int) -> int:
    """The FNV-1a hash of `text[start:start + length]`, 32 bits."""
    value = 2_166_136_261
    for index in range(start, start + length):
        value = (value ^ text[index]) * 16_777_619 & 0xFFFFFFFF
    return value


def draw(key: int, salt: int) -> int:
    """A number from 0 to SCORE_ONE - 1 that a hash decides: evenly spread, and independent from salt to salt.

    The finalizer is one of the Hash Prospector project, with factors below 2**31.
    """
    value = (key ^ salt * 0x2545F491) & 0xFFFFFFFF
    value = (value ^ value >> 15) * 0x2C1B3C6D & 0xFFFFFFFF
    value = (value ^ value >> 12) * 0x297A2D39 & 0xFFFFFFFF
    value = value ^ value >> 15
    return value * SCORE_ONE >> 32


def is_sane(endpoint: Endpoint) -> bool:
    """Whether a record that came from outside holds only what `observe_endpoint` can have written."""
    times = min(endpoint.last_at, endpoint.blocked_until, endpoint.shifted_at) >= 0
    times = times and max(endpoint.last_at, endpoint.shifted_at) <= MAX_TIME and endpoint.blocked_until <= 2 * MAX_TIME
    latency = 0 <= endpoint.ttft <= MAX_TTFT_MS * TTFT_SCALE and 0 <= endpoint.p95_ms <= MAX_TTFT_MS
    return times and latency and endpoint.error_rate <= SCORE_ONE and endpoint.shifted <= 1
