"""Observations on every engine: the same table, byte by byte, and the same decisions with it."""

import random

import pytest

from edgewise.engine import ComponentEngine, CoreModuleEngine, Engine, PythonEngine
from edgewise.observation import Observation
from edgewise.packing import pack_policy
from edgewise.request import Request
from support.engines import assert_identical, require_component
from support.scene import NOON, config_of

REGIONS = ["eu", "us"]
NAMES = ["alpha", "beta", "gamma", "delta"]


def policy(names: list[str]) -> bytes:
    models = {name: {"quality": 0.5 + index / 50, "provider": name} for index, name in enumerate(names)}
    tables = {
        "shifting": {"above_ms": 800, "share": 0.5, "dwell_s": 1},
        "tenants": {"acme": {"daily_budget_usd": 0.5}},
        "providers": {"beta": {"hop_ms": {"default": 0, "eu": 150}}},
    }
    return pack_policy(config_of(models, policy={"regions": REGIONS, "target_quality": 0.97}, **tables))


def observation(draw: random.Random, number: int) -> Observation:
    return Observation(
        model=draw.choice([*NAMES, "nobody"]),
        outcome=draw.choice(["ok", "ok", "ok", "ok", "error", "timeout", "rate_limited"]),
        region=draw.choice(["", "eu", "us", "mars"]),
        tenant=draw.choice(["", "acme", "other"]),
        ttft_ms=draw.choice([0, draw.randrange(2_000), draw.randrange(2**31)]),
        tokens_per_s=draw.choice([0, draw.randrange(200), 2**31 - 1]),
        retry_after_ms=draw.choice([0, 0, draw.randrange(5_000), 2**31 - 1]),
        cost_usd=draw.choice([0, 0.001, 0.01]),
        at_ms=draw.choice([0, NOON + number * 100, NOON + draw.randrange(10**8)]),
    )


@pytest.fixture
def engines(weights: bytes) -> list[Engine]:
    component = require_component()
    return [CoreModuleEngine(component), ComponentEngine(component), PythonEngine(weights)]


def test_the_same_observations_make_the_same_table_and_decisions(engines: list[Engine]) -> None:
    draw = random.Random(3)
    assert [engine.snapshot() for engine in engines] == [b""] * 3
    for engine in engines:
        engine.load_policy(policy(NAMES))
    for number in range(400):
        seen = observation(draw, number)
        assert len({engine.observe(seen) for engine in engines}) == 1
        if number % 10 == 0:
            where, who = draw.choice(["", "eu", "us"]), draw.choice(["", "acme"])
            fields = {"id": f"r{number}", "region": where, "tenant": who, "at_ms": NOON + number * 100}
            asked = Request.parse(
                {"text": "Why is the sky blue?", "session_model": "beta", "cached_tokens": 5, **fields}
            )
            assert_identical([asked], engines[0], *engines[1:])
    snapshots = {engine.snapshot() for engine in engines}
    assert len(snapshots) == 1


def test_another_policy_keeps_the_same_on_every_engine(engines: list[Engine]) -> None:
    draw = random.Random(4)
    for engine in engines:
        engine.load_policy(policy(NAMES))
    for number in range(200):
        seen = observation(draw, number)
        assert len({engine.observe(seen) for engine in engines}) == 1
    for names in (["beta", "delta", "epsilon"], ["aaa", "beta", *NAMES[2:], "zzz"], NAMES):
        for engine in engines:
            engine.load_policy(policy(sorted(set(names))))
        assert len({engine.snapshot() for engine in engines}) == 1
        assert any(engines[0].snapshot()[4200:]), "beta and delta are in all of them"


def test_a_snapshot_goes_from_any_engine_to_any_other(engines: list[Engine]) -> None:
    for engine in engines:
        engine.load_policy(policy(NAMES))
    for giver in engines:
        giver.observe(Observation(model="beta", ttft_ms=300, at_ms=NOON))
        snapshot = giver.snapshot()
        damaged = bytearray(snapshot)
        damaged[-64 + 7] = 0x80
        for taker in engines:
            assert taker.restore(snapshot)
            assert not taker.restore(bytes(damaged))
            assert not taker.restore(snapshot[:-1])
            assert not taker.restore(b"")
            assert taker.snapshot() == snapshot


def test_memory_stays_within_its_budget() -> None:
    engine = CoreModuleEngine(require_component())
    models = {f"model-number-{index:04}": {} for index in range(1024)}
    engine.load_policy(pack_policy(config_of(models, policy={"regions": [f"region-{index}" for index in range(64)]})))
    for region in range(64):
        engine.observe(Observation(model="model-number-1023", region=f"region-{region}", at_ms=NOON))
    engine.decide(Request.parse({"text": "hello " * 3000}))
    assert engine.memory_bytes <= 8 * 2**20
    assert len(engine.snapshot()) > 4 * 2**20
