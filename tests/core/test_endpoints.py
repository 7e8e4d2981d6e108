"""The live table's records: what observations make of them, and what a decision reads out of them."""

import random
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.core.endpoints import (
    AVAILABLE,
    BUCKET_BOUNDS_MS,
    CIRCUIT_HALF_OPEN,
    CIRCUIT_OPEN,
    COOLING_DOWN,
    MAX_TIME,
    OUTCOME_ERROR,
    OUTCOME_OK,
    OUTCOME_RATE_LIMITED,
    OUTCOME_TIMEOUT,
    OUTCOMES,
    Endpoint,
    LiveRules,
    draw,
    expected_ttft,
    expected_wait,
    hash_bytes,
    health,
    is_peak,
    is_sane,
    is_slow,
    observe_endpoint,
    percentile_95,
)

START = 1_790_000_000_000
PRIOR = 500


def make_rules(**changes: int) -> LiveRules:
    rules = LiveRules()
    values = {
        "shift_above_ms": 800,
        "shift_back_ms": 600,
        "shift_dwell_ms": 60_000,
        "half_life_ms": 60_000,
        "stale_ms": 600_000,
        "open_ms": 10_000,
        "cooldown_ms": 5_000,
        "shift_share": 2_000,
        "trip_rate": 5_000,
        "probe_share": 500,
        "trip_failures": 5,
    }
    for name, value in {**values, **changes}.items():
        setattr(rules, name, value)
    return rules


RULES = make_rules()


def see(
    endpoint: Endpoint, at: int, ttft: int = 0, outcome: int = OUTCOME_OK, rules: LiveRules = RULES, wait: int = 0
) -> None:
    observe_endpoint(endpoint, outcome, ttft, 0, wait, at, PRIOR, rules)


def see_many(
    endpoint: Endpoint, start: int, seconds: int, latency: Callable[[], int], rules: LiveRules = RULES
) -> list[bool]:
    """One answer a second; whether the endpoint was slow after each."""
    states = []
    for second in range(seconds):
        at = start + second * 1000
        see(endpoint, at, latency(), rules=rules)
        states.append(is_slow(endpoint, at, rules))
    return states


def test_a_record_takes_64_bytes() -> None:
    assert Endpoint.size == 64


def test_an_endpoint_never_observed_is_as_the_policy_expects() -> None:
    endpoint = Endpoint()
    assert expected_ttft(endpoint, PRIOR, START, RULES) == PRIOR
    assert expected_wait(endpoint, PRIOR, START, RULES) == PRIOR
    assert health(endpoint, START) == AVAILABLE
    assert not is_slow(endpoint, START, RULES)
    assert percentile_95(endpoint) == 0


def test_the_first_answers_count_beside_the_prior_and_then_outweigh_it() -> None:
    endpoint = Endpoint()
    see(endpoint, START, 900)
    assert expected_ttft(endpoint, PRIOR, START, RULES) == 700
    see_many(endpoint, START, 60, lambda: 900)
    assert expected_ttft(endpoint, PRIOR, START + 60_000, RULES) == pytest.approx(900, abs=5)


def test_old_measurements_fade_back_to_the_prior_and_are_forgotten() -> None:
    endpoint = Endpoint()
    see_many(endpoint, START, 100, lambda: 2000)
    end = START + 99_000
    fading = [expected_ttft(endpoint, PRIOR, end + age * 1000, RULES) for age in range(0, 700, 50)]
    assert fading[0] == fading[6]  # until half of the time has passed, nothing fades
    assert fading == sorted(fading, reverse=True)
    assert PRIOR < fading[9] < fading[0]
    assert fading[12] == PRIOR
    see(endpoint, end + 600_000, 400)
    assert expected_ttft(endpoint, PRIOR, end + 600_000, RULES) == 450
    assert endpoint.p95_ms == 0


def test_the_95th_percentile_follows_the_latencies() -> None:
    source = random.Random(1)
    endpoint = Endpoint()
    values = [round(source.lognormvariate(6.2, 0.4)) for _ in range(400)]
    for index, value in enumerate(values):
        see(endpoint, START + index * 10, value)
    exact = sorted(values)[round(0.95 * len(values))]
    assert endpoint.p95_ms == pytest.approx(exact, rel=0.15)


@given(st.lists(st.integers(1, 200_000), min_size=20, max_size=120))
@settings(deadline=None, max_examples=60)
def test_the_95th_percentile_lies_in_the_bucket_of_the_exact_one(values: list[int]) -> None:
    endpoint = Endpoint()
    for value in values:
        see(endpoint, START, value)
    exact = sorted(values)[len(values) - 1 - len(values) * 5 // 100]
    bounds = [0, *BUCKET_BOUNDS_MS]
    upper = next((bound for bound in BUCKET_BOUNDS_MS if min(exact, 119_999) < bound), BUCKET_BOUNDS_MS[-1])
    assert bounds[bounds.index(upper) - 1] <= endpoint.p95_ms <= upper


def test_too_few_answers_have_no_95th_percentile() -> None:
    endpoint = Endpoint()
    see_many(endpoint, START, 19, lambda: 5000)
    assert endpoint.p95_ms == 0
    assert not endpoint.shifted


def test_a_slow_endpoint_is_shifted_and_comes_back_with_hysteresis() -> None:
    endpoint = Endpoint()
    assert not any(see_many(endpoint, START, 300, lambda: 500))
    slow = see_many(endpoint, START + 300_000, 300, lambda: 1000)
    assert not slow[0]
    assert slow.index(True) < 30
    assert all(slow[slow.index(True) :])
    between = see_many(endpoint, START + 600_000, 900, lambda: 700)
    assert all(between), "between the two thresholds nothing changes"
    back = see_many(endpoint, START + 1_500_000, 600, lambda: 500)
    assert not back[-1]
    assert back.count(True) == back.index(False), "it comes back once"


def test_shifting_ends_where_traffic_is_too_thin_to_tell() -> None:
    endpoint = Endpoint()
    see_many(endpoint, START, 60, lambda: 1000)
    assert endpoint.shifted
    for minute in range(1, 32):
        see(endpoint, START + 60_000 + minute * 60_000, 1000)
    assert (endpoint.p95_ms, endpoint.shifted) == (0, 0)


@pytest.mark.parametrize("centre", [500, 600, 650, 700])
def test_noise_around_the_threshold_does_not_make_it_flap(centre: int) -> None:
    source = random.Random(centre)
    endpoint = Endpoint()
    states = see_many(endpoint, START, 6 * 3600, lambda: max(1, round(source.gauss(centre, 90))))
    changes = sum(before != after for before, after in pairwise(states))
    assert changes <= 2


def test_changes_are_never_closer_than_the_dwell() -> None:
    endpoint = Endpoint()
    rules = make_rules(half_life_ms=5_000)
    states = []
    for index in range(6_000):
        at = START + index * 100
        see(endpoint, at, 2000 if index // 400 % 2 else 200, rules=rules)
        states.append(is_slow(endpoint, at, rules))
    turns = [index for index in range(1, len(states)) if states[index] != states[index - 1]]
    assert len(turns) > 2
    assert all(after - before >= 600 for before, after in pairwise(turns))


def test_shifting_ends_when_nothing_was_heard_for_long() -> None:
    endpoint = Endpoint()
    see_many(endpoint, START, 60, lambda: 1500)
    assert is_slow(endpoint, START + 60_000, RULES)
    assert not is_slow(endpoint, START + 60_000 + RULES.stale_ms, RULES)


def test_shifting_holds_at_peak_hours_only() -> None:
    rules = make_rules(peak_from=9 * 60, peak_to=17 * 60)
    endpoint = Endpoint()
    midnight = START // 86_400_000 * 86_400_000
    at_peak = midnight + 12 * 3_600_000
    see_many(endpoint, at_peak, 60, lambda: 1500, rules)
    assert is_slow(endpoint, at_peak + 60_000, rules)
    endpoint.last_at = midnight + 20 * 3_600_000
    assert not is_slow(endpoint, midnight + 20 * 3_600_000, rules)


def test_peak_hours_may_span_midnight() -> None:
    rules = make_rules(peak_from=22 * 60, peak_to=2 * 60)
    hours = [hour for hour in range(24) if is_peak(hour * 3_600_000, rules)]
    assert hours == [0, 1, 22, 23]
    assert all(is_peak(hour * 3_600_000, RULES) for hour in range(24))


def test_failures_in_a_row_open_the_circuit_and_a_probe_closes_it() -> None:
    endpoint = Endpoint()
    for index in range(4):
        see(endpoint, START + index, outcome=OUTCOME_ERROR)
    assert health(endpoint, START + 4) == AVAILABLE
    see(endpoint, START + 4, outcome=OUTCOME_TIMEOUT)
    assert health(endpoint, START + 5) == CIRCUIT_OPEN
    assert health(endpoint, START + 4 + RULES.open_ms) == CIRCUIT_HALF_OPEN
    see(endpoint, START + 5 + RULES.open_ms, 400)
    assert health(endpoint, START + 5 + RULES.open_ms) == AVAILABLE
    assert endpoint.failures == 0


def test_an_answer_in_between_keeps_the_circuit_closed() -> None:
    endpoint = Endpoint()
    for index in range(12):
        see(endpoint, START + index, outcome=OUTCOME_OK if index % 4 == 3 else OUTCOME_ERROR)
    assert health(endpoint, START + 12) == AVAILABLE


def test_a_high_error_rate_opens_the_circuit_without_a_row() -> None:
    endpoint = Endpoint()
    for index in range(200):
        see(endpoint, START + index, outcome=OUTCOME_OK if index % 4 == 3 else OUTCOME_ERROR)
    assert health(endpoint, START + 200) == CIRCUIT_OPEN


def test_each_failed_probe_doubles_the_pause() -> None:
    endpoint = Endpoint()
    for _ in range(5):
        see(endpoint, START, outcome=OUTCOME_ERROR)
    pauses = []
    for _ in range(7):
        probe_at = endpoint.blocked_until
        see(endpoint, probe_at, outcome=OUTCOME_ERROR)
        pauses.append((endpoint.blocked_until - probe_at) // RULES.open_ms)
    assert pauses == [2, 4, 8, 16, 16, 16, 16]


def test_what_was_under_way_when_the_circuit_opened_changes_nothing() -> None:
    endpoint = Endpoint()
    for _ in range(5):
        see(endpoint, START, outcome=OUTCOME_ERROR)
    opened = endpoint.blocked_until
    see(endpoint, START + 10, outcome=OUTCOME_ERROR)
    see(endpoint, START + 20, 300)
    assert endpoint.blocked_until == opened
    assert health(endpoint, START + 30) == CIRCUIT_OPEN


def test_a_rate_limit_is_a_pause_and_no_failure() -> None:
    endpoint = Endpoint()
    for _ in range(10):
        see(endpoint, START, outcome=OUTCOME_RATE_LIMITED, wait=30_000)
    assert health(endpoint, START + 29_999) == COOLING_DOWN
    assert health(endpoint, START + 30_000) == AVAILABLE
    assert endpoint.failures == endpoint.error_rate == endpoint.samples == 0
    see(endpoint, START + 30_000, outcome=OUTCOME_RATE_LIMITED)
    assert health(endpoint, START + 34_999) == COOLING_DOWN


def test_an_endpoint_that_fails_half_the_time_takes_twice_as_long() -> None:
    endpoint = Endpoint()
    endpoint.error_rate, endpoint.last_at = 5_000, START
    assert expected_wait(endpoint, 400, START, RULES) == 800
    assert expected_wait(endpoint, 400, START + RULES.stale_ms, RULES) == 400


def test_throughput_is_averaged() -> None:
    endpoint = Endpoint()
    observe_endpoint(endpoint, OUTCOME_OK, 300, 40, 0, START, PRIOR, RULES)
    assert endpoint.tokens_per_s == 40 * 8
    for index in range(60):
        observe_endpoint(endpoint, OUTCOME_OK, 300, 80, 0, START + index, PRIOR, RULES)
    assert endpoint.tokens_per_s // 8 == pytest.approx(80, abs=2)


def test_a_clock_that_jumps_back_is_not_believed() -> None:
    endpoint = Endpoint()
    see_many(endpoint, START, 30, lambda: 400)
    see(endpoint, 5, 400)
    assert endpoint.last_at == START + 29_000


@pytest.mark.parametrize("share", [500, 2_000, 5_000])
@pytest.mark.parametrize("form", ["req-{}", "{:032x}", "chatcmpl-{:08d}-x"])
def test_a_share_of_ids_is_that_share(share: int, form: str) -> None:
    ids = [bytearray(form.format(index * 7919).encode()) for index in range(20_000)]
    drawn = sum(draw(hash_bytes(one, 0, len(one)), 12345) < share for one in ids)
    assert drawn / len(ids) == pytest.approx(share / 10_000, abs=0.01)


def test_shares_of_two_salts_are_independent() -> None:
    ids = [bytearray(b"req-%d" % index) for index in range(20_000)]
    both = sum(all(draw(hash_bytes(one, 0, len(one)), salt) < 2_000 for salt in (1, 2)) for one in ids)
    assert both / len(ids) == pytest.approx(0.04, abs=0.01)


_OBSERVATION = st.tuples(
    st.integers(0, len(OUTCOMES) - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 65_535),
)


@given(st.lists(_OBSERVATION, max_size=60), st.binary(min_size=LiveRules.size, max_size=LiveRules.size))
@settings(deadline=None, max_examples=150)
def test_no_observation_under_any_rules_leaves_the_record(seen: list[tuple[int, ...]], rules_bytes: bytes) -> None:
    rules = LiveRules.from_bytes(bytearray(rules_bytes))
    endpoint = Endpoint()
    for outcome, ttft, speed, wait, at, prior in seen:
        observe_endpoint(endpoint, outcome, ttft, speed, wait, at, prior, rules)
        endpoint.to_bytes()
        now = min(max(at, 0), MAX_TIME)
        assert -(2**40) < expected_ttft(endpoint, prior, now, rules) < 2**40
        assert 0 <= expected_wait(endpoint, prior, now, rules) <= 10 * prior
        is_slow(endpoint, now, rules)


@given(st.lists(_OBSERVATION, max_size=60))
@settings(deadline=None, max_examples=100)
def test_what_observations_make_is_sane(seen: list[tuple[int, ...]]) -> None:
    endpoint = Endpoint()
    for outcome, ttft, speed, wait, at, prior in seen:
        observe_endpoint(endpoint, outcome, ttft, speed, wait, at, prior, RULES)
        assert is_sane(endpoint)


def test_a_record_with_impossible_values_is_not_sane() -> None:
    for name, value in (("last_at", -1), ("ttft", -5), ("error_rate", 10_001), ("shifted", 2), ("p95_ms", 1 << 30)):
        endpoint = Endpoint()
        assert is_sane(endpoint)
        setattr(endpoint, name, value)
        assert not is_sane(endpoint), name
