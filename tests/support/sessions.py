"""Sessions in tests: a driver that names only what matters, and random traces of events."""

import random
from dataclasses import replace
from typing import Any

from edgewise.core.session import STATES
from edgewise.decision import Decision
from edgewise.engine import Engine, PythonEngine
from edgewise.packing import pack_policy
from edgewise.request import Request
from edgewise.session import EVENTS, FAULTS, FINISHES, Action, Event
from support.scene import NOON, config_of

CHAIN = ("alpha", "beta", "gamma")


def policy(**tables: Any) -> bytes:
    """Three models of three providers, of which alpha is worth most and gamma searches the web."""
    models = {
        name: {"quality": 0.9 - index / 10, "provider": name, "price_in": 1, "price_out": 2, "abilities": ["json"]}
        for index, name in enumerate(CHAIN)
    }
    models["alpha"]["price_cached_in"] = 0.25
    models["gamma"]["live_retrieval"] = True
    rules = {"time_sensitive_from": "never"}
    defaults = {"monitor": {"default": "off", "domains": {}}, "session": {"backoff_ms": 100}}
    return pack_policy(config_of(models, policy=rules, **{**defaults, **tables}))


def forget(engine: PythonEngine, blob: bytes) -> PythonEngine:
    """The engine with a policy, nothing observed, and no session open."""
    engine._core.memory.live.magic = 0
    engine._core.endpoints.resize(0)
    engine.load_policy(blob)
    return engine


class Session:
    """One session of an engine; times count from the moment it was opened."""

    def __init__(self, engine: Engine, text: str = "Write a poem about the sea.", **request: Any) -> None:
        self.engine, self.opened_at = engine, NOON
        asked = Request.parse({"text": text, "stream": True, "at_ms": NOON, **request})
        self.decision: Decision
        self.decision, self.action = engine.open(asked)
        self.name = self.action.session

    def send(self, kind: str, at: int, **fields: Any) -> Action:
        """Report an event `at` ms after the session was opened."""
        self.action = self.engine.advance(Event(self.name, kind, self.opened_at + at, **fields))
        return self.action

    def write(self, at: int, *texts: str) -> Action:
        """Report a token for each text, a millisecond apart."""
        for index, text in enumerate(texts):
            self.send("chunk", at + index, text=text, tokens=1)
        return self.action

    @property
    def state(self) -> str:
        """The session's state; for engines that run the core's source."""
        assert isinstance(self.engine, PythonEngine)
        slot = (self.name & 1023) - 1
        return STATES[self.engine._core.sessions[slot].state]


def random_event(draw: random.Random, session: int, at_ms: int) -> Event:
    """Any event: mostly what really happens, now and then what no host should send."""
    kind = draw.choices(EVENTS, weights=(4, 12, 2, 1, 2, 0.3))[0]
    event = Event(session if draw.random() < 0.98 else draw.randrange(2**32), kind, at_ms)
    if kind == "headers":
        status = draw.choice((200, 200, 200, 200, 201, 400, 401, 404, 408, 429, 500, 503, draw.randrange(65_536)))
        return replace(event, status=status, retry_after_ms=draw.choice((0, 0, 300, draw.randrange(2**32))))
    if kind == "chunk":
        words = draw.choice(("", "word ", "mot juste ", "これは", "x" * 300, "{}", '{"a": ', "as of my last update "))
        logprobs = tuple(-draw.randrange(5_000) for _ in range(draw.choice((0, 0, 1, 3))))
        tokens = draw.choice((0, 1, 1, 3, draw.randrange(2**32)) if draw.random() < 0.1 else (0, 1, 1))
        return replace(event, text=words, tokens=tokens, logprobs=logprobs, tool=draw.random() < 0.03)
    if kind == "end":
        counts = {"input_tokens": draw.choice((0, 12)), "output_tokens": draw.choice((0, 30, draw.randrange(2**32)))}
        return replace(event, finish=draw.choice(FINISHES), **counts)
    if kind == "fault":
        return replace(event, fault=draw.choice(FAULTS))
    return event
