"""Which model answers, and who comes next."""

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edgewise.core.labels import NEED_LIVE_RETRIEVAL, SCORE_ONE
from edgewise.core.layout import MAX_FALLBACKS, MAX_REASONS
from edgewise.core.policy import (
    POLICY_CORRUPT,
    POLICY_NOT_A_POLICY,
    POLICY_OK,
    POLICY_VERSION,
    POLICY_WRONG_VERSION,
    Model,
    Policy,
    Tenant,
    check_policy,
    cost_of,
)
from support.policies import (
    ModelSpec,
    PolicySpec,
    Signals,
    any_constraints,
    any_signals,
    choose_model,
    pack,
    policy_specs,
)

EU = 0b1


def two(good: ModelSpec, bad: ModelSpec) -> PolicySpec:
    """A policy in which the second model is far better, were it not for what a test says about it."""
    return PolicySpec(
        [replace(good, name="good", quality=1_000), replace(bad, name="bad", quality=9_000)], regions=("eu", "us")
    )


class TestFeasibility:
    """Each reason to drop a model, just at its limit and just beyond."""

    @pytest.mark.parametrize(
        ("bad", "signals", "request_", "code", "value"),
        [
            ({"context": 199}, {}, {}, "context", 199),
            ({"max_output": 99}, {}, {"max_output_tokens": 100}, "output_limit", 99),
            ({"abilities": 0b101}, {}, {"needs": 0b110}, "needs", 0b010),
            ({"abilities": 0b01111}, {"recency": 5_000}, {}, "live_retrieval", 5_000),
            ({"regions": 0b10}, {}, {"region": "eu"}, "residency", 0),
            ({"languages": 0b1011}, {"language": 2}, {}, "language", 2),
            ({"price_in": 1_000_001}, {}, {"budget": 200_000_000}, "budget", 200_000_100),
            ({"ttft_ms": 101}, {}, {"latency_slo_ms": 100}, "latency", 101),
        ],
    )
    def test_what_cannot_serve_is_dropped_and_says_why(self, bad, signals, request_, code, value):
        good = ModelSpec(regions=EU, context=200, max_output=100)
        policy = replace(two(good, replace(good, **bad)), strict_regions=EU, time_sensitive_from=5_000)
        choice = choose_model(policy, Signals(**signals), **request_)
        assert (choice.status, choice.model, choice.chain) == ("ok", "good", ["good"])
        assert (choice.dropped, choice.codes_of("bad")) == (1, [code])
        assert (code, "bad", value) in choice.reasons

        unconstrained = choose_model(two(good, good), Signals(**signals), **request_)
        assert unconstrained.model == "bad", "at its limit a model still serves"

    def test_no_feasible_model_lists_why_each_was_dropped(self):
        policy = two(ModelSpec(context=10), ModelSpec(ttft_ms=900))
        choice = choose_model(policy, latency_slo_ms=500)
        assert (choice.status, choice.model, choice.chain, choice.dropped) == ("no_feasible_model", "", [], 2)
        assert choice.reasons == [("context", "good", 10), ("latency", "bad", 900)]

    def test_regions_that_are_not_strict_bind_nobody(self):
        policy = replace(two(ModelSpec(regions=EU), ModelSpec(regions=0b10)), strict_regions=0)
        assert choose_model(policy, region="eu").model == "bad"
        assert choose_model(policy, region="mars").model == "bad"

    def test_an_unknown_region_is_not_a_way_around_strict_ones(self):
        policy = replace(two(ModelSpec(regions=EU), ModelSpec(regions=0b10)), strict_regions=EU)
        chosen = choose_model(policy, region="mars")
        assert chosen.status == "no_feasible_model"
        assert chosen.reasons[0][0] == "unknown_region"
        assert choose_model(policy).model == "bad"
        assert choose_model(replace(policy, strict_regions=EU), region="eu").model == "good"
        assert choose_model(replace(policy, strict_regions=EU), region="us").model == "bad"

    def test_the_64th_region_is_one_like_the_others(self):
        regions = tuple(f"r{index:02}" for index in range(64))
        last = -(1 << 63)  # as the signed number that an i64 holds
        policy = replace(two(ModelSpec(regions=last), ModelSpec(regions=1)), regions=regions, strict_regions=last)
        assert choose_model(policy, region="r63").model == "good"
        assert choose_model(policy, region="r00").model == "bad"

    def test_a_language_that_is_uncertain_binds_nobody(self):
        policy = two(ModelSpec(), ModelSpec(languages=0b1))
        assert choose_model(policy, Signals(language=3, language_score=4_999)).model == "bad"
        assert choose_model(policy, Signals(language=3, language_score=5_000)).model == "good"
        assert choose_model(policy, Signals(language=0, language_score=SCORE_ONE)).model == "bad"

    def test_recency_forces_live_retrieval(self):
        policy = replace(
            two(ModelSpec(abilities=NEED_LIVE_RETRIEVAL), ModelSpec(abilities=0)), time_sensitive_from=6_000
        )
        assert choose_model(policy, Signals(recency=5_999)).model == "bad"
        choice = choose_model(policy, Signals(recency=6_000))
        assert choice.model == "good"
        assert choice.reasons[0] == ("time_sensitive", "", 6_000)

    @given(policy_specs(), any_signals, any_constraints)
    def test_what_was_dropped_is_never_chosen(self, policy, signals, constraints):
        choice = choose_model(policy, signals, **constraints)
        drops = {"context", "output_limit", "needs", "live_retrieval", "residency", "language", "budget", "latency"}
        dropped = {name for code, name, _ in choice.reasons if code in drops and name}
        assert len(dropped) == choice.dropped
        assert not dropped & {*choice.chain, choice.runner_up}
        feasible = len(policy.models) - choice.dropped
        assert (choice.status == "ok") == (feasible > 0)
        assert len(choice.chain) == min(feasible, MAX_FALLBACKS + 1)

    @given(policy_specs(), any_signals, any_constraints, st.integers(1, 10**13), st.integers(1, 10**13))
    def test_more_budget_never_hurts(self, policy, signals, constraints, budget, more):
        tight = choose_model(policy, signals, **{**constraints, "budget": budget})
        loose = choose_model(policy, signals, **{**constraints, "budget": budget + more})
        assert loose.dropped <= tight.dropped
        assert tight.status != "ok" or loose.status == "ok"
        if tight.status == "ok":
            assert tight.cost <= budget

    @given(policy_specs(), any_signals, any_constraints)
    def test_what_may_be_later_never_hurts(self, policy, signals, constraints):
        tight = choose_model(policy, signals, **{**constraints, "latency_slo_ms": 100})
        loose = choose_model(policy, signals, **{**constraints, "latency_slo_ms": 1_000})
        assert loose.dropped <= tight.dropped


class TestUtility:
    def test_of_equals_the_cheaper_the_faster_and_the_better_wins(self):
        base = ModelSpec(name="b")
        for better in ({"price_in": 999_999}, {"price_out": 999_999}, {"ttft_ms": 99}, {"quality": 5_001}):
            policy = PolicySpec([base, replace(base, name="a", **better)])
            choice = choose_model(policy)
            assert (choice.model, choice.runner_up) == ("a", "b")

    def test_of_complete_equals_the_first_wins(self):
        assert choose_model(PolicySpec([ModelSpec(name="a"), ModelSpec(name="b")])).model == "a"

    def test_a_hard_request_goes_to_the_model_that_is_good_at_hard_ones(self):
        cheap = ModelSpec(name="cheap", quality=9_500, quality_when_hard=2_000)
        strong = ModelSpec(name="strong", quality=9_600, quality_when_hard=9_000, price_in=500_000_000)
        policy = PolicySpec([cheap, strong])
        assert choose_model(policy, Signals(difficulty=0)).model == "cheap"
        assert choose_model(policy, Signals(difficulty=SCORE_ONE)).model == "strong"

    def test_text_cannot_raise_its_own_price_beyond_the_cap(self):
        cheap = ModelSpec(name="cheap", quality=9_500, quality_when_hard=2_000)
        strong = ModelSpec(name="strong", quality=9_600, quality_when_hard=9_000, price_in=500_000_000)
        policy = PolicySpec([cheap, strong], difficulty_cap=200)
        choice = choose_model(policy, Signals(difficulty=SCORE_ONE))
        assert choice.model == "cheap"
        assert ("difficulty_capped", "", 200) in choice.reasons
        at_cap = choose_model(policy, Signals(difficulty=200))
        assert (at_cap.model, at_cap.margin) == (choice.model, choice.margin)
        assert "difficulty_capped" not in [code for code, _, _ in at_cap.reasons]

    @given(policy_specs(), any_signals, any_constraints)
    def test_equal_inputs_give_equal_choices(self, policy, signals, constraints):
        assert choose_model(policy, signals, **constraints) == choose_model(policy, signals, **constraints)

    @given(policy_specs(), any_signals, any_constraints, st.randoms())
    def test_the_order_of_the_models_decides_only_between_equals(self, policy, signals, constraints, random):
        """Models of the same worth aside, which packing sorts by name."""
        order = list(range(len(policy.models)))
        random.shuffle(order)
        place = {old: new for new, old in enumerate(order)}
        shuffled = replace(
            policy,
            models=[policy.models[old] for old in order],
            clusters={key: [place[index] for index in chain] for key, chain in policy.clusters.items()},
            default_model=place.get(policy.default_model, -1),
        )
        one = choose_model(policy, signals, **constraints)
        other = choose_model(shuffled, signals, **constraints)
        assert (one.status, one.dropped) == (other.status, other.dropped)
        if one.margin > 0:
            assert (one.model, one.cost, one.margin) == (other.model, other.cost, other.margin)

    @given(policy_specs(), any_signals, any_constraints)
    def test_the_cost_is_that_of_the_model(self, policy, signals, constraints):
        choice = choose_model(policy, signals, **constraints)
        assume(choice.status == "ok")
        _, models, _ = pack(policy)
        index = next(index for index, one in enumerate(policy.models) if one.name == choice.model)
        assert choice.cost == cost_of(models[index], signals.input_tokens, signals.output_tokens)
        assert 0 <= choice.margin <= SCORE_ONE


class TestChain:
    @given(policy_specs(), any_signals, any_constraints)
    def test_nobody_stands_in_it_twice_and_the_chosen_one_leads(self, policy, signals, constraints):
        choice = choose_model(policy, signals, **constraints)
        assert len(set(choice.chain)) == len(choice.chain)
        assert choice.chain[:1] == ([choice.model] if choice.model else [])
        assert choice.runner_up != choice.model or not choice.model

    @given(policy_specs(), any_signals, any_constraints)
    def test_new_providers_come_first(self, policy, signals, constraints):
        choice = choose_model(replace(policy, clusters={}), signals, **constraints)
        provider_of = {one.name: one.provider for one in policy.models}
        providers = [provider_of[name] for name in choice.chain]
        distinct = len(set(providers))
        assert len(set(providers[:distinct])) == distinct

    def test_the_second_of_a_provider_waits_for_other_providers(self):
        policy = PolicySpec(
            [
                ModelSpec(name="a1", provider=1, quality=9_000),
                ModelSpec(name="a2", provider=1, quality=8_000),
                ModelSpec(name="b1", provider=2, quality=1_000),
            ]
        )
        choice = choose_model(policy)
        assert choice.chain == ["a1", "b1", "a2"]
        assert choice.runner_up == "a2"

    def test_a_cluster_prefers_its_own_chain(self):
        models = [ModelSpec(name=name, provider=index, quality=quality) for index, (name, quality) in
                  enumerate([("a", 9_000), ("b", 5_000), ("c", 1_000), ("d", 100)])]  # fmt: skip
        policy = PolicySpec(models, clusters={2: [3, 2]})
        choice = choose_model(policy, Signals(cluster=2))
        assert choice.chain == ["d", "c", "a", "b"]
        assert choice.reasons == [("cluster_chain", "d", 2)]
        assert choice.margin == 0
        assert choose_model(policy, Signals(cluster=1)).chain == ["a", "b", "c", "d"]

    def test_what_cannot_serve_leaves_the_clusters_chain(self):
        models = [ModelSpec(name="a"), ModelSpec(name="b", ttft_ms=900), ModelSpec(name="c", quality=0)]
        policy = PolicySpec(models, clusters={0: [1, 2]})
        assert choose_model(policy, latency_slo_ms=500).chain == ["c", "a"]

    def test_abstention_goes_to_the_default(self):
        models = [ModelSpec(name="a", quality=9_000), ModelSpec(name="b"), ModelSpec(name="c", quality=0)]
        policy = PolicySpec(models, clusters={0: [1]}, default_model=2)
        choice = choose_model(policy, Signals(abstained=1, task_score=2_000))
        assert choice.model == "c"
        assert choice.reasons == [("abstained", "c", 2_000)]
        assert choose_model(policy, Signals(abstained=0)).model == "b"

    def test_abstention_without_a_default_that_can_serve_takes_the_best(self):
        models = [ModelSpec(name="a", quality=9_000), ModelSpec(name="b", ttft_ms=900)]
        for default in (-1, 1):
            choice = choose_model(PolicySpec(models, default_model=default), Signals(abstained=1), latency_slo_ms=500)
            assert choice.model == "a"

    def test_the_reason_of_the_choice_is_never_crowded_out(self):
        slow = [ModelSpec(name=f"slow{index}", ttft_ms=900) for index in range(2 * MAX_REASONS)]
        choice = choose_model(PolicySpec([*slow, ModelSpec(name="fast")]), latency_slo_ms=500)
        assert choice.reasons[-1][:2] == ("best_value", "fast")
        assert choice.dropped == 2 * MAX_REASONS
        assert len(choice.reasons) <= MAX_REASONS


class TestCheck:
    @staticmethod
    def valid() -> tuple[Policy, list[Model], list[Tenant], bytes, int]:
        policy, models, strings = pack(PolicySpec([ModelSpec(name="a"), ModelSpec(name="b")], regions=("eu", "us")))
        tables = Policy.size + 2 * Model.size
        for span in (*(model.name for model in models), policy.regions[0], policy.regions[1]):
            span.start += tables
        blob = bytes(tables) + strings
        policy.models.start, policy.models.length = Policy.size, 2
        policy.total_bytes = len(blob)
        return policy, models, [], blob, len(blob)

    def test_a_valid_policy(self):
        assert check_policy(*self.valid()) == POLICY_OK

    @pytest.mark.parametrize(
        ("field", "value", "status"),
        [
            ("magic", 0, POLICY_NOT_A_POLICY),
            ("version", POLICY_VERSION + 1, POLICY_WRONG_VERSION),
            ("total_bytes", 1, POLICY_CORRUPT),
            ("region_count", -1, POLICY_CORRUPT),
            ("region_count", 65, POLICY_CORRUPT),
            ("default_objective", 0, POLICY_CORRUPT),
            ("default_objective", 5, POLICY_CORRUPT),
        ],
    )
    def test_a_wrong_head(self, field, value, status):
        policy, *rest = self.valid()
        setattr(policy, field, value)
        assert check_policy(policy, *rest) == status

    @pytest.mark.parametrize("start", [-1, 2**31 - 1])
    @pytest.mark.parametrize("of", ["models", "tenants", "priors", "region", "model"])
    def test_a_span_that_leaves_the_blob(self, of, start):
        policy, models, *rest = self.valid()
        named = {"region": policy.regions[0], "model": models[1].name}
        (named[of] if of in named else getattr(policy, of)).start = start
        assert check_policy(policy, models, *rest) == POLICY_CORRUPT

    @pytest.mark.parametrize("length", [-1, 2**31 - 1])
    @pytest.mark.parametrize("of", ["models", "tenants", "priors", "region", "model"])
    def test_a_length_that_leaves_the_blob(self, of, length):
        policy, models, *rest = self.valid()
        named = {"region": policy.regions[0], "model": models[1].name}
        (named[of] if of in named else getattr(policy, of)).length = length
        assert check_policy(policy, models, *rest) == POLICY_CORRUPT

    def test_priors_for_other_endpoints_than_there_are(self):
        policy, *rest = self.valid()
        policy.priors.length = 5
        assert check_policy(policy, *rest) == POLICY_CORRUPT
        policy.priors.length = 2 * 3
        assert check_policy(policy, *rest) == POLICY_OK

    def test_names_out_of_order_or_given_twice(self):
        for of in ("models", "regions"):
            for twice in (False, True):
                policy, models, *rest = self.valid()
                spans = [model.name for model in models] if of == "models" else list(policy.regions[:2])
                first, second = spans[0].start, spans[1].start
                spans[0].start, spans[1].start = second, second if twice else first
                assert check_policy(policy, models, *rest) == POLICY_CORRUPT

    def test_a_tier_without_an_objective_that_exists(self):
        policy, *rest = self.valid()
        policy.tier_objectives[2] = 5
        assert check_policy(policy, *rest) == POLICY_CORRUPT
