"""The live table: what is taken in, what another policy keeps of it, and what may replace it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.core.endpoints import Endpoint
from edgewise.core.labels import SCORE_ONE
from edgewise.core.layout import Live
from edgewise.core.policy import endpoint_count
from edgewise.core.types import offset_of
from support.scene import NOON, Scene, config_of

MODELS = [f"m{index}" for index in range(6)]
REGIONS = ["ap", "eu", "sa", "us"]
TENANTS = ["acme", "bolt", "coda"]


def policy(models: list[str], regions: list[str], tenants: list[str]) -> Any:
    budgets = {name: {"daily_budget_usd": 10} for name in tenants}
    return config_of({name: {} for name in models}, policy={"regions": regions}, tenants=budgets)


def p95_of(scene: Scene, model: str, region: str = "") -> int:
    """What the table holds for a model in a region."""
    names = sorted(scene.core.text_of(one.name) for one in scene.core.models)
    rows = ["", *(scene.core.text_of(scene.policy.regions[index]) for index in range(scene.policy.region_count))]
    endpoint: Endpoint = scene.core.endpoints[rows.index(region) * len(names) + names.index(model)]
    return endpoint.last_at


def test_an_observation_counts_in_its_region_and_for_requests_without_one() -> None:
    scene = Scene(policy(MODELS, REGIONS, []))
    assert scene.observe("m2", region="eu", at_ms=NOON)
    assert [p95_of(scene, "m2", region) for region in ("", *REGIONS)] == [NOON, 0, NOON, 0, 0]
    assert scene.observe("m2", region="mars", at_ms=NOON + 1)
    assert [p95_of(scene, "m2", region) for region in ("", *REGIONS)] == [NOON + 1, 0, NOON, 0, 0]
    assert not any(p95_of(scene, "m1", region) for region in ("", *REGIONS))


def test_an_unknown_model_changes_nothing() -> None:
    scene = Scene(policy(MODELS, REGIONS, TENANTS))
    before = scene.core.snapshot()
    assert not scene.observe("other", tenant="acme", cost_usd=1)
    assert scene.core.snapshot() == before


def test_before_a_policy_nothing_is_taken_in() -> None:
    scene = Scene(policy(MODELS, [], []))
    scene.core.unload_policy()
    assert not scene.observe("m1")


def test_a_request_without_a_time_has_the_latest_that_was_heard_of() -> None:
    scene = Scene(config_of({"a": {}, "b": {"quality": 0.6}}))
    scene.observe("b", times=5, outcome="error", at_ms=NOON)
    assert scene.choose(at_ms=0).chain == ("a",)
    scene.observe("a", at_ms=NOON + 20_000)
    assert "circuit_half_open" in {code for code, _, _ in scene.choose(at_ms=0, id="x").reasons}


subsets = st.tuples(
    st.lists(st.sampled_from(MODELS), unique=True, min_size=1),
    st.lists(st.sampled_from(REGIONS), unique=True),
    st.lists(st.sampled_from(TENANTS), unique=True),
)


@given(old=subsets, new=subsets)
@settings(max_examples=150)
def test_another_policy_keeps_what_it_names_as_well(old: Any, new: Any) -> None:
    scene = Scene(policy(*old))
    said: dict[tuple[str, str], int] = {}
    for number, model in enumerate(old[0]):
        for place, region in enumerate(["", *old[1]]):
            at = NOON + 100 * number + place + 1
            scene.observe(model, region=region, at_ms=at)
            said[model, region] = at
            said[model, ""] = max(said[model, ""], at)
    for number, tenant in enumerate(old[2]):
        scene.observe(old[0][0], tenant=tenant, cost_usd=1 + number, at_ms=1)
    scene.load(policy(*new))
    assert len(scene.core.endpoints) == endpoint_count(scene.policy)
    for model in new[0]:
        for region in ["", *new[1]]:
            assert p95_of(scene, model, region) == said.get((model, region), 0)
    for index, tenant in enumerate(sorted(new[2])):
        spent = (1 + old[2].index(tenant)) * 10**12 if tenant in old[2] else 0
        assert scene.core.memory.live.spending[index].spent == spent


def test_another_policy_with_the_same_names_keeps_everything() -> None:
    scene = Scene(policy(MODELS, REGIONS, TENANTS))
    scene.observe("m3", times=30, region="us", ttft_ms=700, tenant="bolt", cost_usd=0.5)
    before = scene.core.snapshot()
    dearer = config_of(
        {name: {"price_in": 9} for name in MODELS},
        policy={"regions": REGIONS},
        tenants={name: {"daily_budget_usd": 1} for name in TENANTS},
    )
    scene.load(dearer)
    assert scene.core.snapshot() == before


def test_a_snapshot_moves_to_another_core_with_the_same_names() -> None:
    one, other = (Scene(policy(MODELS, REGIONS, TENANTS)) for _ in range(2))
    one.observe("m3", times=30, region="us", ttft_ms=700, tenant="bolt", cost_usd=0.5)
    assert other.core.restore(one.core.snapshot())
    assert other.core.snapshot() == one.core.snapshot()
    assert other.choose(region="us").chain == one.choose(region="us").chain
    assert p95_of(other, "m3", "us") == NOON
    assert len(one.core.snapshot()) == Live.size + 6 * 5 * Endpoint.size


@pytest.mark.parametrize(
    "names",
    [(MODELS[1:], REGIONS, TENANTS), (MODELS, REGIONS[1:], TENANTS), (MODELS, REGIONS, TENANTS[1:])],
    ids=["models", "regions", "tenants"],
)
def test_a_snapshot_for_other_names_is_refused(names: Any) -> None:
    scene = Scene(policy(MODELS, REGIONS, TENANTS))
    scene.observe("m3")
    before = scene.core.snapshot()
    assert not scene.core.restore(Scene(policy(*names)).core.snapshot())
    assert scene.core.snapshot() == before


def test_a_damaged_snapshot_is_refused() -> None:
    scene = Scene(policy(MODELS, REGIONS, TENANTS))
    good = scene.core.snapshot()
    for size in (0, 1, Live.size - 1, Live.size, len(good) - 1):
        assert not scene.core.restore(good[:size])
    assert not scene.core.restore(good + b"\0")
    first = Live.size
    damages = [
        (offset_of(Live, "magic"), 1),
        (offset_of(Live, "version"), 2),
        (offset_of(Live, "layout"), good[offset_of(Live, "layout")] ^ 1),
        (offset_of(Live, "latest_at") + 7, 0x80),
        (offset_of(Live, "spending") + 7, 0x80),
        (offset_of(Live, "spending") + 15, 0x80),
        (first + offset_of(Endpoint, "last_at") + 7, 0x80),
        (first + offset_of(Endpoint, "ttft") + 3, 0x80),
        (first + offset_of(Endpoint, "error_rate") + 1, 0xFF),
        (first + offset_of(Endpoint, "shifted"), 2),
    ]
    for at, value in damages:
        damaged = bytearray(good)
        damaged[at] = value
        assert not scene.core.restore(bytes(damaged)), at
    assert scene.core.restore(good)


@given(st.data())
@settings(max_examples=100)
def test_whatever_is_restored_can_be_decided_with(data: st.DataObject) -> None:
    scene = Scene(config_of({"a": {}, "b": {}}, shifting={"above_ms": 800}))
    snapshot = bytearray(scene.core.snapshot())
    for _ in range(data.draw(st.integers(1, 30))):
        at = data.draw(st.integers(Live.size, len(snapshot) - 1) | st.integers(0, len(snapshot) - 1))
        snapshot[at] = data.draw(st.integers(0, 255))
    scene.core.restore(bytes(snapshot))
    choice = scene.choose(id="x", difficulty=SCORE_ONE, at_ms=data.draw(st.sampled_from([0, 1, NOON, 2**53])))
    assert 0 <= choice.ttft_ms < 2**32
    for outcome in ("ok", "error", "timeout", "rate_limited"):
        scene.observe("a", outcome=outcome, ttft_ms=2**31 - 1, at_ms=data.draw(st.integers(0, 2**53)))
    scene.core.snapshot()


def test_spending_counts_by_the_day_it_is_reported_for() -> None:
    scene = Scene(policy(MODELS, [], TENANTS))
    day = 86_400_000
    scene.observe("m1", tenant="acme", cost_usd=1)
    scene.observe("m1", tenant="acme", cost_usd=2, at_ms=NOON + day)
    scene.observe("m1", tenant="acme", cost_usd=4)
    spending = scene.core.memory.live.spending[0]
    assert (spending.day, spending.spent) == ((NOON + day) // day, 2 * 10**12)
