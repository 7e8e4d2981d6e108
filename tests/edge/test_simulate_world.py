"""The simulated endpoints: their distributions, their failures, and that chance is the same everywhere."""

import statistics

import pytest

from edgewise.simulation.arrivals import arrivals
from edgewise.simulation.rows import Row
from edgewise.simulation.scenario import DAY_MS, MINUTE_MS, Scenario
from edgewise.simulation.world import Answer, World, lognormal
from support.scene import config_of

CONFIG = config_of(
    {"far": {"provider": "abroad", "ttft_ms": 200}, "near": {"provider": "edge", "ttft_ms": 100}},
    policy={"regions": ["us-east", "eu-west"]},
    providers={"abroad": {"hop_ms": {"default": 50, "eu-west": 150}}},
)
EIGHT = 20_000 * DAY_MS + 8 * 60 * MINUTE_MS
STILL = {"far": {"ttft_p95_ms": 200}, "near": {"ttft_p95_ms": 100}}


def world(**tables) -> World:
    return World(CONFIG, Scenario.model_validate({"models": STILL, **tables}, context=CONFIG), EIGHT)


def test_the_network_comes_on_top():
    assert world().call(1, "far", 0, "eu-west", EIGHT) == Answer(200, 350, tokens_per_s=60)
    assert world().call(1, "far", 0, "", EIGHT).wait_ms == 250
    assert world(providers={"abroad": {"hop_ms": 5}}).call(1, "far", 0, "eu-west", EIGHT).wait_ms == 205


def test_the_distribution_has_the_median_and_the_percentile_that_it_was_given():
    values = sorted(lognormal(300, 900, (number + 0.5) / 2000) for number in range(2000))
    assert statistics.median(values) == pytest.approx(300, rel=0.01)
    assert values[1899] == pytest.approx(900, rel=0.02)
    assert lognormal(300, 300, 0.99) == 300
    assert lognormal(0, 0, 0.5) == 0


def test_chance_is_pinned_and_depends_on_the_request_and_the_model_alone():
    real = world(models={"far": {"ttft_ms": 300, "ttft_p95_ms": 900, "error_rate": 0.3}}, seed=7)
    seen = [real.call(number, "far", 0, "", EIGHT) for number in range(1, 7)]
    assert [(one.status, one.wait_ms) for one in seen] == GOLDEN
    assert [real.call(number, "far", 0, "", EIGHT + DAY_MS) for number in range(6, 0, -1)] == seen[::-1]


GOLDEN = [(200, 478), (200, 520), (200, 1025), (503, 50), (200, 1188), (200, 244)]


def test_what_is_slow_is_slower_by_its_factor_but_not_its_network():
    slow = world(slowdowns={"a": {"factor": 3, "hours": "08:00-09:00"}, "b": {"factor": 2, "models": ["near"]}})
    assert slow.call(1, "far", 0, "", EIGHT) == Answer(200, 650, tokens_per_s=20)
    assert slow.call(1, "near", 0, "", EIGHT).wait_ms == 600
    assert slow.call(1, "far", 0, "", EIGHT + 60 * MINUTE_MS).wait_ms == 250


def test_an_outage_is_an_error_or_silence():
    dead = world(outages={"a": {"models": ["far"]}, "b": {"models": ["near"], "hangs": True}})
    assert dead.call(1, "far", 0, "", EIGHT) == Answer(503, 50)
    assert dead.call(1, "near", 0, "", EIGHT) == Answer(0)


def test_error_rates_add_up():
    burst = world(models={"far": {"error_rate": 0.2}}, error_bursts={"a": {"rate": 0.5, "providers": ["abroad"]}})
    failed = sum(burst.call(number, "far", 0, "", EIGHT) == Answer(503, 50) for number in range(2000))
    assert failed == pytest.approx(2000 * 0.6, rel=0.05)


def test_a_rate_limit_counts_all_that_it_hits_in_a_minute():
    limited = world(rate_limits={"a": {"per_minute": 3, "providers": ["abroad"]}})
    answers = [
        limited.call(number, "far", 0, region, EIGHT + 10_000) for number, region in enumerate(["us-east", ""] * 2)
    ]
    assert [one.status for one in answers] == [200, 200, 200, 429]
    assert answers[-1].retry_after_ms == 50_000
    assert limited.call(9, "near", 0, "", EIGHT + 10_000).status == 200
    assert limited.call(9, "far", 0, "", EIGHT + MINUTE_MS).status == 200


class TestArrivals:
    ROWS = tuple(Row.parse({"id": name, "text": name, "region": "eu-west"}) for name in "abc")

    def scenario(self, **tables) -> Scenario:
        return Scenario.model_validate({"seed": 3, "arrivals": {"per_minute": 100, "minutes": 60}, **tables})

    def test_rows_come_in_turn_with_ids_of_their_own(self):
        coming = list(arrivals(self.scenario(), self.ROWS))
        assert len(coming) == pytest.approx(6_000, rel=0.05)
        assert [row.request.messages[0].content for _, row in coming[:4]] == ["a", "b", "c", "a"]
        assert len({row.request.id for _, row in coming}) == len(coming)
        times = [at_ms for at_ms, _ in coming]
        assert times == sorted(times)
        assert all(at_ms == row.request.at_ms for at_ms, row in coming)
        assert 0 <= times[0] - self.scenario().start_ms < times[-1] - self.scenario().start_ms < 60 * MINUTE_MS

    def test_at_peak_more_of_them_come(self):
        scenario = self.scenario(peaks={"a": {"hours": "00:20-00:30", "factor": 4}, "b": {"day": 2, "factor": 2}})
        by_tenth = [0] * 6
        for at_ms, _ in arrivals(scenario, self.ROWS):
            by_tenth[(at_ms - scenario.start_ms) // (10 * MINUTE_MS)] += 1
        assert by_tenth[2] == pytest.approx(4_000, rel=0.08)
        assert sum(by_tenth) - by_tenth[2] == pytest.approx(5_000, rel=0.08)

    def test_regions_are_drawn_by_weight(self):
        scenario = self.scenario(arrivals={"per_minute": 100, "minutes": 60, "regions": {"x": 3, "y": 1}})
        regions = [row.request.region for _, row in arrivals(scenario, self.ROWS)]
        assert set(regions) == {"x", "y"}
        assert regions.count("x") / len(regions) == pytest.approx(0.75, abs=0.02)

    def test_without_a_rate_the_requests_say_when(self):
        rows = [Row.parse({"id": str(at_ms), "text": "a", "at_ms": at_ms}) for at_ms in (30, 10, 20)]
        assert [at_ms for at_ms, _ in arrivals(Scenario(), rows)] == [10, 20, 30]

    def test_no_traffic_is_no_arrivals(self):
        assert list(arrivals(self.scenario(), [])) == []
