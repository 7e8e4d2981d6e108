"""Each signal that a decision is said to depend on can change it, all others being equal."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewise.core.labels import SCORE_ONE
from support.scene import NOON, Scene, config_of

DOLLAR = 10**12

GOOD = {"quality": 0.9, "price_in": 2, "price_out": 4}
TWO: dict[str, dict[str, Any]] = {"cheap": {}, "good": GOOD}
"""At the default objective the good one is worth more."""

HARD_ONLY = {"good": {**GOOD, "price_in": 200}, "cheap": {"quality": [0.9, 0.9, 0.5, 0.2]}}


def scene(models: dict[str, dict[str, Any]] | None = None, **tables: Any) -> Scene:
    return Scene(config_of(TWO if models is None else models, **tables))


def hobbled(**limits: Any) -> dict[str, dict[str, Any]]:
    """Two models, the better of which has a limit."""
    return {"cheap": {}, "good": {**GOOD, **limits}}


CASES: dict[str, tuple[Scene, dict[str, Any], dict[str, Any]]] = {
    "task": (
        scene({"coder": {"quality": {"default": 0.3, "code": 0.9}}, "writer": {}}),
        {"task": "creative"},
        {"task": "code"},
    ),
    "domain": (scene(hobbled(domains={"law": -0.5})), {"domain": "history"}, {"domain": "law"}),
    "size of the prompt": (
        scene(hobbled(domains={"default": [0, 0, -0.5, -0.5]})),
        {"input_tokens": 64},
        {"input_tokens": 256},
    ),
    "difficulty": (scene(HARD_ONLY), {"difficulty": 0}, {"difficulty": SCORE_ONE}),
    "code": (
        scene({"coder": {"quality": {"default": 0.48, "code": 0.9}}, "writer": {}}),
        {"task": "chat", "code": 0},
        {"task": "chat", "code": 9_000},
    ),
    "language": (scene(hobbled(languages=["en", "fr"])), {"language": "fr"}, {"language": "ja"}),
    "language quality": (scene(hobbled(languages={"default": 1, "ja": 0.4})), {"language": "fr"}, {"language": "ja"}),
    "recency": (scene({"cheap": {"live_retrieval": True}, "good": GOOD}), {"recency": 0}, {"recency": 6_000}),
    "harm": (
        scene({"cheap": {"abilities": ["guarded"]}, "good": GOOD}, safety={"harm_from": 0.5}),
        {"harm": 4_999},
        {"harm": 5_000},
    ),
    "jailbreak": (
        scene({"cheap": {"abilities": ["guarded"]}, "good": GOOD}, safety={"jailbreak_from": 0.5}),
        {"jailbreak": 4_999},
        {"jailbreak": 5_000},
    ),
    "pii": (
        scene({"cheap": {"abilities": ["private"]}, "good": GOOD}, safety={"pii_from": 0.5}),
        {"pii": 4_999},
        {"pii": 5_000},
    ),
    "confidence": (scene(policy={"default_model": "cheap"}), {"abstained": 0}, {"abstained": 1}),
    "input tokens": (
        scene({"cheap": {"quality": 0.899}, "good": GOOD}),
        {"input_tokens": 10, "output_tokens": 10},
        {"input_tokens": 50_000, "output_tokens": 10},
    ),
    "expected output tokens": (
        scene({"cheap": {"quality": 0.899}, "good": GOOD}),
        {"input_tokens": 10, "output_tokens": 10},
        {"input_tokens": 10, "output_tokens": 50_000},
    ),
    "context need": (scene(hobbled(context=5_000)), {"input_tokens": 4_000}, {"input_tokens": 5_000}),
    "turn count": (scene(HARD_ONLY, policy={"difficulty_per_turn": 0.2}), {"user_turns": 1}, {"user_turns": 5}),
    "needs": (scene({"cheap": {"abilities": ["tools"]}, "good": GOOD}), {}, {"needs": ["tools"]}),
    "output limit": (scene(hobbled(max_output=600)), {"max_output_tokens": 600}, {"max_output_tokens": 601}),
    "cost ceiling": (scene(), {"budget": DOLLAR}, {"budget": DOLLAR // 400}),
    "tenant": (scene(tenants={"acme": {"models": ["cheap"]}}), {"tenant": "other"}, {"tenant": "acme"}),
    "latency objective": (scene(hobbled(ttft_ms=900)), {"latency_slo_ms": 900}, {"latency_slo_ms": 899}),
    "region by residency": (
        scene(
            {"cheap": {"regions": ["jp"]}, "good": {**GOOD, "regions": ["us"]}},
            policy={"regions": ["jp", "us"], "strict_regions": ["jp"]},
        ),
        {"region": "us"},
        {"region": "jp"},
    ),
    "region by distance": (
        scene(
            {"cheap": {}, "good": {**GOOD, "provider": "far"}},
            policy={"regions": ["jp", "us"]},
            providers={"far": {"hop_ms": {"default": 0, "jp": 150}}},
        ),
        {"region": "us", "latency_slo_ms": 300},
        {"region": "jp", "latency_slo_ms": 300},
    ),
    "tier": (scene(hobbled(price_in=20), tiers={"free": {"objective": "cost"}}), {"tier": "pro"}, {"tier": "free"}),
    "objective": (scene(hobbled(price_in=20)), {"objective": "quality"}, {"objective": "cost"}),
    "session pin": (
        scene({"cheap": {"quality": 0.85, "price_in": 2, "price_cached_in": 0.2}, "good": GOOD}),
        {"input_tokens": 50_000},
        {"input_tokens": 50_000, "session_model": "cheap", "cached_tokens": 49_000},
    ),
}
"""By signal: a policy, and two requests that differ in this signal alone."""


@pytest.mark.parametrize("signal", CASES)
def test_the_signal_can_change_the_decision(signal: str) -> None:
    here, before, after = CASES[signal]
    first, second = here.choose(**before), here.choose(**after)
    assert {first.model, second.model} == {model for model in (first.model, second.model) if model}
    assert first.model != second.model, (first, second)


def test_live_latency() -> None:
    here = scene()
    assert here.choose(latency_slo_ms=400).model == "good"
    here.observe("good", times=30, ttft_ms=700)
    assert here.choose(latency_slo_ms=400).model == "cheap"
    assert ("latency", "good", 696) in here.choose(latency_slo_ms=400).reasons


def test_live_latency_by_its_price() -> None:
    here = scene()
    assert here.choose(objective="latency").model == "good"
    here.observe("good", times=30, ttft_ms=900)
    assert here.choose(objective="latency").model == "cheap"


def test_endpoint_health_by_its_circuit() -> None:
    here = scene()
    here.observe("good", times=5, outcome="error")
    choice = here.choose()
    assert choice.chain == ("cheap",)
    assert ("circuit_open", "good", 5) in choice.reasons


def test_endpoint_health_by_its_error_rate() -> None:
    here = scene({"a": {"quality": 0.9}, "b": {"quality": 0.9}})
    assert here.choose().model == "a"
    for _ in range(10):
        here.observe("a", times=2, outcome="error")
        here.observe("a", ttft_ms=200)
    assert here.choose(objective="latency").model == "b"


def test_a_rate_limit_cools_down_and_is_over() -> None:
    here = scene()
    here.observe("good", outcome="rate_limited", retry_after_ms=20_000)
    assert here.choose(at_ms=NOON + 19_000).reasons[0] == ("cooling_down", "good", 1_000)
    assert here.choose(at_ms=NOON + 20_000).model == "good"


def test_a_half_open_circuit_lets_a_small_share_through() -> None:
    here = scene(health={"probe_share": 0.1})
    here.observe("good", times=5, outcome="error")
    later = NOON + 10_000
    choices = [here.choose(id=f"r{index}", at_ms=later) for index in range(2_000)]
    probes = [choice for choice in choices if choice.model == "good"]
    assert len(probes) / len(choices) == pytest.approx(0.1, abs=0.02)
    others = next(choice for choice in choices if choice.model == "cheap")
    assert "circuit_half_open" in others.codes("good")
    here.observe("good", ttft_ms=200, at_ms=later)
    assert all(here.choose(id=f"r{index}", at_ms=later).model == "good" for index in range(50))


def test_remaining_budget_of_the_tenant() -> None:
    here = scene(tenants={"acme": {"daily_budget_usd": 1}})
    assert here.choose(tenant="acme").model == "good"
    here.observe("good", tenant="acme", cost_usd=0.9970)
    choice = here.choose(tenant="acme")
    assert choice.model == "cheap"
    assert ("tenant_budget", "good", 3_000_000_000) in choice.reasons
    here.observe("good", tenant="acme", cost_usd=0.0029)
    assert here.choose(tenant="acme").model == ""
    assert here.choose(tenant="other").model == "good"
    assert here.choose(tenant="acme", at_ms=NOON + 86_400_000).model == "good", "a new day, a new budget"


def test_peak_hours() -> None:
    here = scene(shifting={"above_ms": 800, "share": 1, "peak": "09:00-17:00"}, health={"stale_s": 86_400})
    here.observe("good", times=40, ttft_ms=900)
    assert here.choose(id="x").model == "cheap"
    assert here.choose(id="x", at_ms=NOON + 5 * 3_600_000).model == "good"


def test_the_rule_of_the_brief() -> None:
    """The p95 above 800 ms at peak shifts a fifth of the requests, by their ids, to the model that is named."""
    models = {
        "claude-opus-4": {**GOOD, "shift_to": "qwen2.5-72b"},
        "gpt-4o": {"quality": 0.85},
        "qwen2.5-72b": {"quality": 0.8},
    }
    here = scene(models, shifting={"above_ms": 800, "share": 0.2})
    ids = [f"request-{index}" for index in range(10_000)]
    here.observe("claude-opus-4", times=40, ttft_ms=790)
    assert {here.choose(id=one).model for one in ids[:200]} == {"claude-opus-4"}
    here.observe("claude-opus-4", times=40, ttft_ms=850, at_ms=NOON + 61_000)
    now = NOON + 61_000
    chosen = {one: here.choose(id=one, at_ms=now) for one in ids}
    shifted = {one for one, choice in chosen.items() if choice.model == "qwen2.5-72b"}
    assert len(shifted) / len(ids) == pytest.approx(0.2, abs=0.01)
    assert all(choice.model == "claude-opus-4" for one, choice in chosen.items() if one not in shifted)
    assert all("shift" in chosen[one].codes("claude-opus-4") for one in shifted)
    assert shifted == {one for one in ids if here.choose(id=one, at_ms=now).model == "qwen2.5-72b"}


def test_without_a_target_the_next_best_takes_what_is_shifted() -> None:
    here = scene({"a": GOOD, "b": {"quality": 0.8}, "c": {"quality": 0.7}}, shifting={"above_ms": 800, "share": 1})
    here.observe("a", times=40, ttft_ms=900)
    assert here.choose(id="x").model == "b"
    here.observe("b", times=40, ttft_ms=900)
    assert here.choose(id="x").model == "c"
    here.observe("c", times=40, ttft_ms=900)
    assert here.choose(id="x").model == "a", "where all are slow, nothing is gained by shifting"


BY_QUALITY: dict[str, dict[str, Any]] = {
    "best": {"quality": 0.96, "price_in": 50},
    "near": {"quality": 0.92, "price_in": 5},
    "poor": {"quality": 0.80, "price_in": 1},
}


class TestTargetQuality:
    @pytest.mark.parametrize(("target", "model"), [(0.99, "best"), (0.95, "near"), (0.8, "poor"), (1, "best")])
    def test_the_cheapest_that_reaches_the_share_of_the_best_answers(self, target: float, model: str) -> None:
        choice = scene(BY_QUALITY, policy={"target_quality": target}).choose()
        assert choice.model == model
        assert "target_quality" in choice.codes(model)

    def test_the_best_is_the_best_that_is_feasible(self) -> None:
        here = scene({**BY_QUALITY, "best": {"quality": 0.96, "context": 1_200}}, policy={"target_quality": 0.99})
        assert here.choose().model == "near"

    def test_those_below_come_last_the_best_of_them_first(self) -> None:
        assert scene(BY_QUALITY, policy={"target_quality": 0.99}).choose().chain == ("best", "near", "poor")

    def test_an_objective_of_the_request_or_its_tier_stands_instead(self) -> None:
        here = scene(BY_QUALITY, policy={"target_quality": 0.8}, tiers={"pro": {"objective": "quality"}})
        assert here.choose().model == "poor"
        assert here.choose(objective="quality").model == "best"
        assert here.choose(tier="pro").model == "best"


class TestTargetSaving:
    @pytest.mark.parametrize(("target", "model"), [(0.01, "near"), (0.5, "near"), (0.93, "poor")])
    def test_the_best_that_saves_the_share_of_the_best_ones_price_answers(self, target: float, model: str) -> None:
        choice = scene(BY_QUALITY, policy={"target_saving": target}).choose()
        assert choice.model == model
        assert "target_saving" in choice.codes(model)

    def test_where_nobody_saves_so_much_the_cheapest_answers(self) -> None:
        assert scene(BY_QUALITY, policy={"target_saving": 1}).choose().chain == ("poor", "near", "best")

    def test_an_objective_of_the_request_stands_instead(self) -> None:
        assert scene(BY_QUALITY, policy={"target_saving": 0.93}).choose(objective="quality").model == "best"


CACHED: dict[str, dict[str, Any]] = {
    "held": {"quality": 0.85, "price_in": 10, "price_cached_in": 1},
    "other": {"quality": 0.9, "price_in": 10, "price_cached_in": 1},
}


class TestSessions:
    def test_the_session_stays_while_its_cache_is_worth_more_than_the_switch(self) -> None:
        here = scene(CACHED)
        stays = [
            here.choose(input_tokens=60_000, session_model="held", cached_tokens=tokens * 1_000).model == "held"
            for tokens in range(0, 60, 5)
        ]
        assert stays == sorted(stays)
        assert not stays[0]
        assert stays[-1]

    def test_the_reason_says_what_is_saved(self) -> None:
        choice = scene(CACHED).choose(input_tokens=60_000, session_model="held", cached_tokens=50_000)
        assert ("session", "held", 50_000 * 9 * 10**6) in choice.reasons
        full = 60_000 * 10 * 10**6 + 500 * 2 * 10**6
        assert choice.cost == full - 50_000 * 9 * 10**6

    def test_a_chain_or_a_default_gives_way_to_a_cache_that_is_worth_more(self) -> None:
        here = scene(CACHED, clusters={"knowledge": {"chain": ["other"]}}, policy={"default_model": "other"})
        session = {"input_tokens": 60_000, "session_model": "held", "cached_tokens": 50_000}
        assert here.choose(**session).model == "held"
        assert here.choose(abstained=1, **session).model == "held"
        assert here.choose(**{**session, "cached_tokens": 0}).model == "other"

    def test_an_infeasible_session_model_is_left(self) -> None:
        here = scene(CACHED)
        here.observe("held", times=5, outcome="error")
        choice = here.choose(input_tokens=60_000, session_model="held", cached_tokens=50_000)
        assert choice.model == "other"

    def test_more_cached_tokens_than_there_are_count_as_all(self) -> None:
        choice = scene(CACHED).choose(input_tokens=1_000, session_model="other", cached_tokens=10**9)
        assert choice.cost == 1_000 * 1 * 10**6 + 500 * 2 * 10**6


def test_the_default_tenant_holds_for_everyone_else() -> None:
    tenants = {"default": {"models": ["cheap"]}, "acme": {}}
    here = scene(tenants=tenants)
    assert here.choose().model == here.choose(tenant="nobody").model == "cheap"
    assert here.choose(tenant="acme").model == "good"


def test_no_fallback_costs_more_than_a_budget() -> None:
    here = scene({f"m{index}": {"price_in": 1 + index, "quality": 0.5 + index / 20} for index in range(9)})
    for budget in range(1, 12):
        choice = here.choose(budget=budget * 10**9)
        prices = [(1 + int(name[1:])) * 10**9 + 10**9 for name in choice.chain]
        assert all(price <= budget * 10**9 for price in prices)
        assert ("budget" in {code for code, _, _ in choice.reasons}) == (budget < 10)


@given(
    models=st.lists(st.tuples(st.integers(0, 900), st.integers(0, 300), st.integers(0, 100)), min_size=1, max_size=6),
    seen=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 2_000)), max_size=20),
)
def test_the_voice_scenario_is_met_whenever_the_catalogue_can(
    models: list[tuple[int, int, int]], seen: list[tuple[int, int]]
) -> None:
    """500 ms to the first token, 150 ms of network to one provider, and what is measured while it runs."""
    tables = {
        f"m{index}": {"ttft_ms": ttft, "price_in": 1 + price, "quality": quality / 100, "provider": f"p{index % 2}"}
        for index, (ttft, price, quality) in enumerate(models)
    }
    providers = {"p1": {"hop_ms": 150}} if len(models) > 1 else {}
    here = Scene(config_of(tables, providers=providers))
    for index, ttft in seen:
        here.observe(f"m{index % len(models)}", ttft_ms=ttft)
    too_slow = {name: wait for code, name, wait in here.choose(latency_slo_ms=1).reasons if code == "latency"}
    waits = {name: too_slow.get(name, 1) for name in tables}
    choice = here.choose(latency_slo_ms=500)
    assert bool(choice.model) == any(wait <= 500 for wait in waits.values())
    assert all(waits[name] <= 500 for name in choice.chain)
    assert not choice.model or choice.ttft_ms <= 500
