"""Sessions on every engine: the same events, the same actions, and the same live table afterwards."""

import random
from pathlib import Path

import pytest

from edgewise.engine import ComponentEngine, CoreModuleEngine, Engine, PythonEngine
from edgewise.request import Request
from edgewise_build.workerd import JavaScriptEngine
from support.engines import require_component
from support.scene import NOON
from support.sessions import Session, policy, random_event

PROMPTS = (
    "Write a poem about the sea.",
    "Explain tax law for a small firm.",
    "¿Qué hora es en Lima?",
    '{"json": true}',
)
TRACES = 150
FEWER_TRACES = 40


def trace(seed: int, *engines: Engine) -> None:
    """Open a session in all engines and report the same random events to them, until it ends."""
    draw = random.Random(seed)
    needs = draw.choice(([], ["json"]))
    request = {
        "text": draw.choice(PROMPTS),
        "stream": draw.random() < 0.8,
        "at_ms": NOON + seed * 60_000,
        "needs": needs,
    }
    budget = draw.choice((None, 0.001, 0.1))
    openings = [engine.open(Request.parse({**request, "budget_usd": budget})) for engine in engines]
    assert all(opening == openings[0] for opening in openings)
    action, at = openings[0][1], NOON + seed * 60_000
    for _ in range(60):
        if action.kind in ("finish", "fail"):
            return
        at += draw.choice((0, 1, 5, 40, 900, 15_000))
        event = random_event(draw, action.session, at)
        actions = [engine.advance(event) for engine in engines]
        assert all(one == actions[0] for one in actions), (event, actions)
        if event.session == action.session:
            action = actions[0]


@pytest.fixture(params=[{}, {"monitor": {"default": "strict", "levels": {"strict": {"hold_back_tokens": 4}}}}])
def blob(request: pytest.FixtureRequest) -> bytes:
    return policy(session={"backoff_ms": 100, "attempts": 3}, **request.param)


def test_engines_act_alike(blob: bytes, weights: bytes) -> None:
    engines: list[Engine] = [
        PythonEngine(weights),
        CoreModuleEngine(require_component()),
        ComponentEngine(require_component()),
    ]
    for engine in engines:
        engine.load_policy(blob)
    for seed in range(TRACES):
        trace(seed, *engines)
    assert engines[0].snapshot() == engines[1].snapshot() == engines[2].snapshot()


def test_workerd_acts_alike(
    blob: bytes, weights: bytes, default_policy: bytes, workerd_engine: JavaScriptEngine
) -> None:
    engines: list[Engine] = [PythonEngine(weights), workerd_engine]
    for engine in engines:
        engine.load_policy(blob)
    try:
        for seed in range(FEWER_TRACES):
            trace(seed, *engines)
        snapshot = engines[0].snapshot()
        assert workerd_engine.snapshot() == snapshot
        assert workerd_engine.restore(snapshot)
        shown, fresh = "The keeper of the lighthouse wakes", " of the lighthouse wakes before dawn"
        assert workerd_engine.overlap(shown, fresh, True) == engines[0].overlap(shown, fresh, True) == 24
    finally:
        workerd_engine.load_policy(default_policy)


def test_the_interpreter_build_acts_alike(blob: bytes, weights: bytes, componentized: Path) -> None:
    engines = [PythonEngine(weights), ComponentEngine(componentized.read_bytes(), "componentize-py")]
    for engine in engines:
        engine.load_policy(blob)
    for seed in range(FEWER_TRACES):
        trace(seed, *engines)
    assert engines[0].snapshot() == engines[1].snapshot()


WATCHED = {"hold_back_tokens": 16, "window_tokens": 8, "low_confidence": 0.35, "repetition": 3, "refusal": True,
           "language_drift": True, "broken_json": True, "stale_knowledge": True}  # fmt: skip
FINDINGS: dict[str, tuple[str, tuple[int, ...], list[str]]] = {
    "low_confidence": (" perhaps", (-3_000,), []),
    "repetition": (" and so on and on, as it was said before;", (), []),
    "refusal": ("I'm sorry, but I can't help with that request. ", (), []),
    "stale_knowledge": ("As of my last knowledge update in 2023, ", (), []),
    "broken_json": ("no JSON at all ", (), ["json"]),
}


@pytest.mark.parametrize("finding", FINDINGS)
def test_every_finding_calls_another_model_on_every_engine(finding: str, weights: bytes) -> None:
    text, logprobs, needs = FINDINGS[finding]
    blob = policy(monitor={"default": "watched", "tasks": {}, "domains": {}, "levels": {"watched": WATCHED}})
    for engine in (PythonEngine(weights), CoreModuleEngine(require_component()), ComponentEngine(require_component())):
        engine.load_policy(blob)
        session = Session(engine, needs=needs)
        session.send("headers", 50, status=200)
        for at in range(100, 130):
            action = session.send("chunk", at, text=text, tokens=1, logprobs=logprobs)
            if action.kind == "call":
                break
        assert (action.kind, action.reason) == ("call", finding), engine.runtime


def test_overlaps_are_the_same(weights: bytes, default_policy: bytes) -> None:
    engines: list[Engine] = [
        PythonEngine(weights),
        CoreModuleEngine(require_component()),
        ComponentEngine(require_component()),
    ]
    pairs = [("Hello wor", "Hello world"), ("über das Meer", "das Meer und"), ("a", "b"), ("", "x"), ("x", "")]
    for shown, fresh in pairs:
        for whole in (False, True):
            assert len({engine.overlap(shown, fresh, whole) for engine in engines}) == 1
