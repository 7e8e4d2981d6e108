"""Random requests, most of them wrong somewhere: the Worker and the Python host take and refuse the same ones."""

import json
import random
from typing import Any

from edgewise.config import load_config
from edgewise.decision import Decision
from edgewise.engine import CoreModuleEngine
from edgewise.errors import RequestError
from edgewise.packing import pack_policy
from edgewise.request import Request
from edgewise_build.workerd import WorkerdEngine

REQUESTS = 5_000

TEXTS = ["", "x", "json", "vision", "user", "pro", "a\ud800", "\0", "\u00e9\U0001f600\0"]
NUMBERS = [0, 1, -1, 5, 5.0, 1.5, -0.0, 0.1, 1e-13, 123.456789, 2**31, 2**53, 2**53 + 2, 2**64]
CONTENTS = ["hello there", "sort a list in python", "\u4f55\u3067\u3059\u304b"]
ROLES = ["user", "user", "user", "system", "assistant", "tool", "function", "developer", "wizard", None, 5]
PART_TYPES = ["text", "image_url", "tool_result", "input_audio", ""]
FIELDS: dict[str, list[Any]] = {
    "id": ["a", "\u00e9"],
    "max_tokens": [5, 100, None],
    "region": ["eu-west", "us-east", ""],
    "budget_usd": [0, 0.001, 1e-5, 3],
    "latency_slo_ms": [0, 500],
    "tier": ["pro", "free", "unset"],
    "tenant": ["t"],
    "needs": [["json"], ["tools", "vision"], ["guarded", "private"], []],
    "objective": ["cost", "quality"],
    "session": ["s"],
    "session_model": ["gpt-4o", "nobody"],
    "cached_tokens": [0, 5, 100_000],
    "at_ms": [5, 1782000160896],
}
TEXT_FIELDS = ("id", "region", "tenant", "session", "session_model")


class Draw:
    """Draws parts of requests."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def one_in(self, count: int) -> bool:
        return self.random.randrange(count) == 0

    def value(self, depth: int = 0) -> Any:
        choice = self.random
        if depth < 3 and self.one_in(6):
            return [self.value(depth + 1) for _ in range(choice.randrange(4))]
        if depth < 3 and self.one_in(8):
            return {
                choice.choice(["text", "content", "role"]): self.value(depth + 1) for _ in range(choice.randrange(4))
            }
        return choice.choice([*TEXTS, *NUMBERS, None, True, False, [], {}])

    def part(self) -> Any:
        if self.one_in(5):
            return self.value()
        content = self.random.choice(["result", [{"type": "text", "text": "q"}], self.value()])
        text = self.random.choice(["hi", self.value()])
        return {"type": self.random.choice(PART_TYPES), "text": text, "content": content}

    def content(self) -> Any:
        kind = self.random.random()
        if kind < 0.5:
            return self.random.choice(CONTENTS)
        return [self.part() for _ in range(self.random.randrange(4))] if kind < 0.9 else self.value()

    def message(self) -> Any:
        if self.one_in(20):
            return self.value()
        message = {"role": self.random.choice(ROLES), "content": self.content(), "name": "x"}
        for field in ("role", "content"):
            if self.one_in(20):
                del message[field]
        return message

    def field(self, name: str) -> Any:
        if not self.one_in(4):
            return self.random.choice(FIELDS[name])
        if name in TEXT_FIELDS:
            return self.value()
        return self.random.choice([*NUMBERS, {}, ["taste"]]) if name != "needs" else [self.random.choice(TEXTS)]

    def request(self) -> Any:
        if self.one_in(50):
            return self.value()
        request: dict[str, Any] = {}
        if self.one_in(3):
            request["text"] = self.random.choice(["hello", self.value()])
        if "text" not in request or self.one_in(3):
            request["messages"] = [self.message() for _ in range(self.random.randrange(4))]
        request |= {name: self.field(name) for name in FIELDS if self.one_in(5)}
        if self.one_in(20):
            request[self.random.choice(["temperature", "__proto__"])] = self.value()
        return request


def test_same_decisions_and_same_errors(workerd_engine: WorkerdEngine) -> None:
    reference = CoreModuleEngine()
    reference.load_policy(pack_policy(load_config()))
    draw = Draw(seed=11)
    lines = [json.dumps(draw.request()) for _ in range(REQUESTS)]
    refused = 0
    for line, answer in zip(lines, workerd_engine.decide_json(lines), strict=True):
        expected = decide(reference, line)
        refused += isinstance(expected, str)
        assert (str(answer) if isinstance(answer, RequestError) else answer[0]) == expected, line
    assert 0.2 < refused / REQUESTS < 0.9


def decide(engine: CoreModuleEngine, line: str) -> Decision | str:
    """The decision of the Python host, or the message with which it refuses."""
    try:
        return engine.decide(Request.parse(json.loads(line)))
    except RequestError as error:
        return str(error)
