"""The simulation: what becomes of requests in a world that changes, through the compiled router."""

from itertools import count, cycle
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.config import Config, load_config
from edgewise.core.layout import MAX_SESSIONS
from edgewise.core.selection import DAY_MS
from edgewise.errors import RequestError
from edgewise.router import Router
from edgewise.simulation import Report, Row, Scenario, read_rows, replay, simulate
from support.prompts import TRAFFIC
from support.scene import NOON, config_of

FIRST, SECOND, THIRD = "first", "second", "third"
REGIONS = ("eu-west", "us-east")
CONFIG = config_of(
    {
        FIRST: {"provider": "a", "ttft_ms": 100, "quality": 0.9, "price_out": 8},
        SECOND: {"provider": "b", "ttft_ms": 200, "quality": 0.8, "price_out": 4},
        THIRD: {"provider": "c", "ttft_ms": 300, "quality": 0.7},
    },
    policy={"regions": REGIONS},
)
ATTEMPTS = CONFIG.session.attempts
STILL = {name: {"ttft_p95_ms": model.usual_ttft_ms} for name, model in CONFIG.models.items()}
NO_CHANCE = {"models": STILL}


def scenario(**tables: Any) -> Scenario:
    return Scenario.model_validate({**NO_CHANCE, **tables})


def rows(number: int, every_ms: int = 1_000, **fields: Any) -> list[Row]:
    return [
        Row.parse({"id": f"{index}", "text": "How high is the tower?", "at_ms": NOON + index * every_ms, **fields})
        for index in range(number)
    ]


def run(world: Scenario, traffic: list[Row], config: Config = CONFIG) -> Report:
    return simulate(config, world, traffic)


def in_json(report: Report) -> dict[str, Any]:
    """The report without what depends on the machine."""
    return {key: value for key, value in report.to_json().items() if key != "decision_us"}


class TestTheChain:
    def test_the_first_choice_answers_and_is_paid(self):
        (row,) = rows(1)
        report = run(scenario(), [row])
        decision = Router(CONFIG).decide(row.request)
        assert report.total.models == {FIRST: 1}
        assert report.total.cost == decision.cost > 0
        assert report.total.ttft == {("unknown", 100): 1}
        assert report.total.attempts == {(FIRST, "ok"): 1}

    @pytest.mark.parametrize(("hangs", "wait_ms", "outcome"), [(False, 1, "error"), (True, 1_000, "timeout")])
    def test_a_fallback_answers_later_and_only_it_is_paid(self, hangs, wait_ms, outcome):
        outage = {"gone": {"models": [FIRST], "hangs": hangs}}
        report = run(scenario(outages=outage), rows(1, region="us-east"))
        second = CONFIG.models[SECOND]
        decision = Router(CONFIG).decide(rows(1)[0].request)
        assert report.total.attempts == {(FIRST, outcome): 1, (SECOND, "ok"): 1}
        assert report.total.ttft == {("us-east", wait_ms + 200): 1}
        assert not report.total.failures
        assert report.total.cost == second.cost(decision.input_tokens, decision.output_tokens)
        assert (report.total.served, report.total.fell_back) == (1, 1)

    def test_when_nobody_answers_the_request_has_failed(self):
        report = run(scenario(outages={"all": {}}), rows(1, latency_slo_ms=5_000))
        assert (report.total.requests, report.total.served, report.total.failed) == (1, 0, 1)
        assert report.total.attempts == {(name, "error"): ATTEMPTS for name in CONFIG.models}
        assert report.total.failures == {"server_error": 1}
        assert (report.total.cost, report.total.cost_of_strongest, report.total.slo_missed) == (0, 0, 1)

    def test_an_error_that_passes_is_tried_again(self):
        config = config_of({"only": {"ttft_ms": 100}})
        world = scenario(models={"only": {"ttft_p95_ms": 100}}, outages={"a": {"hours": "11:59-12:00"}})
        (row,) = rows(1)
        report = run(world, [Row(row.request.model_copy(update={"at_ms": NOON - 100}))], config)
        assert report.total.attempts == {("only", "error"): 1, ("only", "ok"): 1}
        assert report.total.ttft == {("unknown", 1 + config.session.backoff_ms + 100): 1}

    def test_a_call_that_is_given_up_is_not_heard_of_again(self):
        slow = {"noon": {"models": [FIRST], "factor": 30}}
        report = run(scenario(slowdowns=slow), rows(1))
        assert report.total.attempts == {(FIRST, "timeout"): 1, (SECOND, "ok"): 1}
        assert report.total.ttft == {("unknown", 1_000 + 200): 1}

    def test_a_second_attempt_has_luck_of_its_own(self):
        config = config_of({"only": {}}, health={"trip_failures": 255, "trip_rate": 1})
        report = run(scenario(models={"only": {"error_rate": 0.5}}), rows(100), config)
        assert report.total.failed == pytest.approx(100 * 0.5**config.session.attempts, abs=12)

    def test_one_instance_has_room_for_so_many_sessions(self):
        total = run(scenario(), rows(MAX_SESSIONS + 8, every_ms=0)).total
        assert (total.served, total.failures) == (MAX_SESSIONS, {"too_many_sessions": 8})

    def test_a_long_answer_does_not_stall(self):
        config = config_of({FIRST: {}}, monitor={"default": "plain", "levels": {"plain": {"hold_back_tokens": 0}}})
        report = run(scenario(models={FIRST: {"tokens_per_s": 1}}), rows(1), config)
        assert report.total.attempts == {(FIRST, "ok"): 1}

    def test_what_no_model_can_serve_is_refused_and_calls_nobody(self):
        report = run(scenario(), rows(1, latency_slo_ms=50))
        assert (report.total.refused, report.total.slo_missed, report.total.attempts) == (1, 0, {})
        assert report.total.gave_up == {("latency", name): 1 for name in CONFIG.models}

    def test_the_cache_of_the_session_is_cheaper_for_both_sides(self):
        models = {FIRST: {"price_in": 10, "price_cached_in": 1, "quality": 0.9}, SECOND: {}}
        config = config_of(models)
        (fresh,) = rows(1)
        (cached,) = rows(1, session_model=FIRST, cached_tokens=4)
        sums = [run(scenario(models={}), [row], config).total for row in (fresh, cached)]
        assert sums[0].cost - sums[1].cost == sums[0].cost_of_strongest - sums[1].cost_of_strongest == 4 * 9_000_000


class TestWhatTheRouterLearns:
    def test_a_dead_model_is_left_alone_until_it_is_back(self):
        report = run(scenario(outages={"noon": {"models": [FIRST], "hours": "12:00-12:02"}}), rows(300))
        assert [(one.what, one.model) for one in report.changes] == [
            ("circuit_opened", FIRST),
            ("circuit_closed", FIRST),
        ]
        opened, closed = (one.at_ms - NOON for one in report.changes)
        assert opened < 10_000
        assert 120_000 <= closed < 250_000
        assert report.total.attempts[FIRST, "error"] < 30
        assert report.total.served == 300

    def test_a_limited_account_is_not_hammered(self):
        report = run(scenario(rate_limits={"a": {"models": [FIRST], "per_minute": 10}}), rows(180))
        assert report.total.attempts[FIRST, "ok"] == 30
        assert report.total.attempts[FIRST, "rate_limited"] == 3
        assert report.total.gave_up["cooling_down", FIRST] == 147

    def test_budgets_run_out_and_come_back_at_midnight(self):
        config = config_of({"only": {"price_in": 1000, "price_out": 1000}}, tenants={"acme": {"daily_budget_usd": 1}})
        evening = NOON + DAY_MS // 2 - 400_000
        traffic = [
            Row.parse(
                {"id": f"{n}", "text": "How high?", "at_ms": evening + n * 5_000, "tenant": tenant, "max_tokens": 50}
            )
            for n, tenant in zip(range(160), ["acme", "other"] * 80, strict=True)
        ]
        report = run(scenario(models={}), traffic, config)
        a_day = report.total.tenants["acme", "served"] / 2
        price = report.total.spent["acme"] / report.total.tenants["acme", "served"]
        assert a_day == 1e12 // price
        assert report.total.tenants["acme", "refused"] == 80 - 2 * a_day > 0
        assert report.total.gave_up == {("tenant_budget", "only"): 80 - 2 * a_day}
        assert report.total.tenants["other", "served"] == 80

    def test_a_price_change_is_paid_and_routed_by_from_its_minute_on(self):
        change = {"model": SECOND, "at": "12:02", "price_in": 0.000001, "price_out": 0.000001}
        config = config_of({FIRST: {"quality": 0.5}, SECOND: {"price_in": 100, "price_out": 100}})
        still = {name: {"ttft_p95_ms": 200} for name in config.models}
        report = run(scenario(models=still, price_changes={"cheap": change}), rows(240), config)
        assert report.total.models == {FIRST: 120, SECOND: 120}
        assert [(one.what, one.at_ms - NOON) for one in report.changes] == [("price_changed", 120_000)]
        assert report.bins[NOON + 120_000].cost < report.bins[NOON].cost / 100_000

    def test_what_is_under_way_at_a_price_change_counts_afterwards(self):
        change = {"model": "only", "at": "12:01", "price_in": 1000, "price_out": 1000}
        config = config_of({"only": {"price_in": 999, "price_out": 999}}, tenants={"acme": {"daily_budget_usd": 0.2}})
        traffic = [
            Row.parse(
                {
                    "id": f"{at_s}",
                    "text": "How high?",
                    "tenant": "acme",
                    "max_tokens": 100,
                    "at_ms": NOON + at_s * 1_000,
                }
            )
            for at_s in (59, 120)
        ]
        report = run(scenario(models={"only": {"tokens_per_s": 5}}, price_changes={"up": change}), traffic, config)
        assert report.total.gave_up == {("tenant_budget", "only"): 1}

    def test_a_price_change_does_not_forget_what_was_observed(self):
        change = {"model": THIRD, "at": "12:01", "price_in": 2, "price_out": 2}
        outage = {"all day": {"models": [FIRST]}}
        report = run(scenario(outages={"gone": outage["all day"]}, price_changes={"a": change}), rows(120))
        assert [one.what for one in report.changes] == ["circuit_opened", "price_changed"]


class TestShifting:
    """Claude Opus and Qwen of the brief: p95 above 800 ms at peak, 20% go elsewhere, and come back."""

    NAMES = ("claude-opus-4", "qwen2.5-72b")

    def config(self, **rule: Any) -> Config:
        models = {self.NAMES[0]: {"quality": 0.9, "ttft_ms": 350, "shift_to": self.NAMES[1]}, self.NAMES[1]: {}}
        return config_of(models, shifting={"above_ms": 800, "back_ms": 600, "peak": "08:00-18:00", **rule})

    def world(self, factor: float) -> Scenario:
        slow = {"peak": {"models": [self.NAMES[0]], "hours": "12:02-12:06", "factor": factor}}
        return scenario(models={self.NAMES[0]: {"ttft_ms": 350, "ttft_p95_ms": 480}}, slowdowns=slow)

    def test_a_fifth_moves_and_comes_back_once(self):
        traffic = rows(600)
        report = run(self.world(2), traffic, self.config())
        assert [one.what for one in report.changes] == ["shift_began", "shift_ended"]
        began, ended = (one.at_ms - NOON for one in report.changes)
        assert 120_000 < began < 200_000
        assert 360_000 < ended < 600_000
        within = sum(began <= row.request.at_ms - NOON < ended for row in traffic)
        assert report.total.models[self.NAMES[1]] / within == pytest.approx(0.2, abs=0.02)

    def test_a_percentile_at_the_threshold_does_not_flap(self):
        traffic = rows(360)
        hysteresis = run(self.world(1.7), traffic, self.config()).changes
        without = run(self.world(1.7), traffic, self.config(back_ms=799, dwell_s=1)).changes
        assert len(hysteresis) <= 2 < len(without)

    def test_outside_the_peak_nothing_moves(self):
        report = run(self.world(2), rows(240), self.config(peak="18:00-19:00"))
        assert ("shift", self.NAMES[0]) not in report.total.gave_up


class TestTheVoiceScenario:
    """500 ms to the first token, and providers that are 150 ms away: met whenever any model of the catalogue can."""

    SLO = 500
    TTFT: ClassVar = {"edge": 120, "near": 300, "far": 340, "slow": 480}
    PLACES = tuple(f"r{number}" for number in range(40))

    def hops(self) -> dict[str, dict[str, int]]:
        """For every region another world: each provider 0 to 450 ms away, by a fixed sequence."""
        chance = (value * 7919 % 10 * 50 for value in count(1))
        return {name: {"default": 0, **{place: next(chance) for place in self.PLACES}} for name in self.TTFT}

    def test_it_is_met_wherever_a_model_can_and_refused_where_none_can(self):
        hops = self.hops()
        config = config_of(
            {
                name: {"provider": name, "ttft_ms": ttft, "quality": 0.5 + ttft / 1000}
                for name, ttft in self.TTFT.items()
            },
            policy={"regions": self.PLACES},
            providers={name: {"hop_ms": table} for name, table in hops.items()},
        )
        world = Scenario.model_validate({"models": {name: {"ttft_p95_ms": ttft} for name, ttft in self.TTFT.items()}})
        objectives = cycle(("cost", "balanced", "quality", "latency"))
        traffic = [
            rows(1, region=place, latency_slo_ms=self.SLO, objective=next(objectives))[0] for place in self.PLACES
        ]
        fastest = {place: min(ttft + hops[name][place] for name, ttft in self.TTFT.items()) for place in self.PLACES}
        possible = {place for place in self.PLACES if fastest[place] <= self.SLO}
        total = run(world, traffic, config).total
        assert {place for place, _ in total.ttft} == possible
        assert total.slo_missed == total.failed == 0
        assert 0 < total.served == len(possible) < len(self.PLACES)

    def test_what_becomes_slow_is_missed_only_until_it_is_learned(self):
        config = config_of({name: {"provider": name, "ttft_ms": ttft} for name, ttft in self.TTFT.items()})
        world = Scenario.model_validate(
            {
                "models": {name: {"ttft_p95_ms": ttft} for name, ttft in self.TTFT.items()},
                "slowdowns": {"noon": {"models": ["edge"], "factor": 6, "hours": "12:02-12:10"}},
            }
        )
        total = run(world, rows(300, latency_slo_ms=self.SLO, objective="latency"), config).total
        assert total.served == 300
        assert 0 < total.slo_missed <= 20  # answers that are being written when the first of them have ended


class TestTheWhole:
    def test_in_a_world_like_the_configuration_all_is_as_the_decisions_expect(self):
        config = load_config()
        models = {name: {"ttft_p95_ms": model.ttft_ms} for name, model in config.models.items()}
        traffic = [
            Row(row.request.model_copy(update={"at_ms": NOON + n * 1_000, "latency_slo_ms": 0}))
            for n, row in enumerate(list(read_rows(TRAFFIC))[:100])
        ]
        simulated = run(Scenario.model_validate({"models": models}), traffic, config)
        replayed = replay(Router(config), traffic)
        for field in ("requests", "served", "refused", "cost", "cost_of_strongest", "models", "tasks", "gave_up"):
            assert getattr(simulated.total, field) == getattr(replayed.total, field), field

    def test_the_same_scenario_gives_the_same_report_and_another_seed_another(self):
        def report(seed: int) -> dict[str, Any]:
            arrivals = {"per_minute": 60, "minutes": 2, "regions": {"us-east": 1, "eu-west": 1}}
            bursts = {"all": {"rate": 0.2}}
            return in_json(run(scenario(seed=seed, models={}, arrivals=arrivals, error_bursts=bursts), rows(7)))

        assert report(1) == report(1)
        assert report(1) != report(2)

    @given(
        seed=st.integers(0, 99),
        rate=st.floats(0.05, 1),
        limit=st.integers(1, 50),
        slo_ms=st.sampled_from([0, 150, 350]),
    )
    @settings(max_examples=6)
    def test_every_request_ends_once(self, seed, rate, limit, slo_ms):
        world = scenario(
            seed=seed,
            models={},
            error_bursts={"a": {"rate": rate}},
            rate_limits={"b": {"per_minute": limit, "models": [FIRST]}},
            outages={"c": {"models": [SECOND], "hours": "12:01-12:02", "hangs": True}},
        )
        total = (report := run(world, rows(100, latency_slo_ms=slo_ms, tenant="t", region="us-east"))).total
        assert total.requests == 100 == total.served + total.refused + total.failed
        assert sum(total.models.values()) == sum(total.ttft.values()) == sum(total.tasks.values()) == total.served
        assert sum(count for (_, outcome), count in total.attempts.items() if outcome == "ok") == total.served
        assert sum(total.tenants.values()) == sum(one.requests for one in report.bins.values()) == 100
        assert sum(report.decision_us.values()) == 100
        assert sum(one.cost for one in report.bins.values()) == total.cost == total.spent["t"]

    def test_traffic_without_times_is_refused(self):
        with pytest.raises(RequestError, match=r"request 2 has no at_ms; add it, or \[arrivals\] to the scenario"):
            run(scenario(), [*rows(1), Row.parse({"text": "when?"})])

    def test_no_traffic_is_a_report_of_zeros(self):
        assert run(scenario(), []).to_json()["requests"] == 0
