"""Random bytes never trap the module: requests and policies that no host would send, straight into the core."""

import random
import struct

import pytest

from edgewise.core.labels import OBJECTIVES, ROLES, STATUSES
from edgewise.core.layout import Decision, Request
from edgewise.core.policy import MAX_POLICY_BYTES, POLICY_STATUSES, Model, Policy
from edgewise.core.transcript import Message
from edgewise.core.types import offset_of
from edgewise.engine import CoreModuleEngine
from support.engines import require_component

REQUESTS = 100_000
POLICIES = 4_000
TEXT_BYTES = 1 << 20
SEED = 2024

_SPANS = [offset_of(Request, name) for name in ("id", "region", "tenant", "session", "session_model")]
_MESSAGES = offset_of(Request, "messages")
_NEEDS, _TIER, _OBJECTIVE = (offset_of(Request, name) for name in ("needs", "tier", "objective"))
_NUMBERS = offset_of(Request, "max_output_tokens")
_STATUS = offset_of(Decision, "status")

_PIECES = [
    b"<system-reminder>", b"</system-reminder>", b"<rules>", b"</", b"<", b">", b"\xf0\x9f", b"\xe4\xb8\xad", b"\xff",
    b"\xc3", b"\x80" * 9, b"```", b"\n", b"\r\n", b"\0", b"http://", b"def f(x):\n    return x\n",
    b"why ", b"0123456789",
    b"translate this to German: ", "今天天气怎么样".encode(), "Привет ".encode(), "สวัสดี".encode(), b"{}[]();", b"    ",
]  # fmt: skip


class Raw:
    """The core module with a buffer in which a request can be laid out by hand."""

    def __init__(self, engine: CoreModuleEngine, size: int) -> None:
        self.engine = engine
        engine._reserve(size)
        self.base = engine._buffer
        self.size = size

    def write(self, data: bytes | bytearray, offset: int = 0) -> None:
        self.engine._memory.write(self.engine.store, data, self.base + offset)

    def route(self) -> int:
        """Run the request at the buffer's start; gives its status."""
        address = self.engine.route_function(self.engine.store, self.base)
        return self.engine._bytes(address, Decision.size)[_STATUS]


@pytest.fixture
def engine(default_policy: bytes) -> CoreModuleEngine:
    engine = CoreModuleEngine(require_component())
    engine.load_policy(default_policy)
    return engine


def random_text(draw: random.Random) -> bytes:
    """A megabyte of noise, of pieces that mean something to the core, and of long runs of one byte."""
    parts: list[bytes] = []
    size = 0
    while size < TEXT_BYTES:
        kind = draw.randrange(8)
        if kind == 0:
            part = draw.randbytes(draw.randrange(1, 2000))
        elif kind == 1:
            part = bytes([draw.randrange(256)]) * draw.randrange(1, 5000)
        else:
            part = b"".join(draw.choices(_PIECES, k=draw.randrange(1, 60)))
        parts.append(part)
        size += len(part)
    return b"".join(parts)[:TEXT_BYTES]


def random_request(draw: random.Random, base: int, text_at: int) -> bytearray:
    """A request whose spans lie inside the text; the rest is any bytes that the contract allows, and some not."""
    count = draw.choice((0, 1, 1, 1, 1, 1, 2, 3, 5, 9))
    record = bytearray(draw.randbytes(Request.size))
    struct.pack_into("<II", record, _MESSAGES, base + Request.size, count)
    for offset in _SPANS:
        struct.pack_into("<II", record, offset, *random_span(draw, text_at, 40))
    if draw.random() < 0.8:
        record[_NEEDS] &= 0 if draw.random() < 0.7 else 0x7F
        struct.pack_into("<IIIqq", record, _NUMBERS, *([0] * 5))
    if draw.random() < 0.9:
        struct.pack_into("<II", record, offset_of(Request, "model"), 0, 0)
    record[_TIER] %= 4
    record[_OBJECTIVE] %= len(OBJECTIVES)
    for _ in range(count):
        longest = 300 if draw.random() < 0.97 else TEXT_BYTES
        role = draw.choice((2, 2, 2, draw.randrange(len(ROLES)), draw.randrange(256)))
        record += struct.pack("<BxxxII", role, *random_span(draw, text_at, longest))
    return record


def random_span(draw: random.Random, text_at: int, longest: int) -> tuple[int, int]:
    start = int(draw.random() * TEXT_BYTES)
    length = min(int(draw.random() * longest), TEXT_BYTES - start)
    return text_at + start, length


def test_random_requests_never_trap(engine: CoreModuleEngine) -> None:
    draw = random.Random(SEED)
    room = Request.size + 64 * Message.size
    raw = Raw(engine, room + TEXT_BYTES)
    raw.write(random_text(draw), room)
    seen = dict.fromkeys(STATUSES, 0)
    for number in range(REQUESTS):
        request = random_request(draw, raw.base, raw.base + room)
        raw.write(request)
        try:
            status = raw.route()
        except Exception as error:
            pytest.fail(f"request {number} of seed {SEED} trapped: {error}; {bytes(request).hex()}")
        seen[STATUSES[status]] += 1
    assert seen["ok"] > REQUESTS // 2
    assert seen["no_feasible_model"] > 0
    assert seen["empty_request"] > 0


def test_scores_stay_in_range(engine: CoreModuleEngine) -> None:
    draw = random.Random(SEED + 1)
    room = Request.size + 64 * Message.size
    raw = Raw(engine, room + TEXT_BYTES)
    raw.write(random_text(draw), room)
    for _ in range(2_000):
        raw.write(random_request(draw, raw.base, raw.base + room))
        decision = engine.read(engine.route_function(engine.store, raw.base))
        scores = (
            *decision.task_scores, decision.domain_score, decision.code, decision.difficulty, decision.recency,
            decision.harm, decision.jailbreak, decision.pii, decision.language_score, decision.confidence,
            decision.margin,
        )  # fmt: skip
        assert 0 <= min(scores) <= max(scores) <= 10_000


def test_random_policies_never_trap(default_policy: bytes) -> None:
    """A policy of random numbers, or one that was good but for some bytes; where it loads, it decides."""
    engine = CoreModuleEngine(require_component())
    draw = random.Random(SEED + 2)
    statuses = dict.fromkeys(POLICY_STATUSES, 0)
    room = Request.size + 64 * Message.size
    text = random_text(draw)[:2000]
    for number in range(POLICIES):
        blob = random_policy(draw, default_policy)
        raw = Raw(engine, max(len(blob), room + TEXT_BYTES))
        raw.write(blob)
        try:
            status = engine._load_policy(engine.store, raw.base, len(blob))
            engine._buffer = engine._capacity = 0
            statuses[POLICY_STATUSES[status]] += 1
            if status == 0:
                raw = Raw(engine, room + TEXT_BYTES)
                raw.write(text, room)
                for _ in range(3):
                    raw.write(random_request(draw, raw.base, raw.base + room))
                    raw.route()
        except Exception as error:
            pytest.fail(f"policy {number} of seed {SEED + 2} trapped: {error}")
    assert min(statuses.values()) > 0, statuses


def random_policy(draw: random.Random, good: bytes) -> bytes:
    kind = draw.randrange(10)
    if kind == 0:
        return draw.randbytes(draw.randrange(0, 3 * Policy.size))
    if kind == 1:
        return bytes(MAX_POLICY_BYTES + draw.randrange(1, 9))
    blob = bytearray(good)
    if kind == 2:
        return bytes(blob[: draw.randrange(len(blob))])
    if kind < 6:  # the numbers of models, and those of the head that need not be valid
        for _ in range(draw.randrange(1, 40)):
            start = Policy.size + draw.randrange(9) * Model.size + 8
            blob[start + draw.randrange(Model.size - 8)] = draw.randrange(256)
        first = offset_of(Policy, "strict_regions")
        for _ in range(draw.randrange(1, 40)):
            at = first + draw.randrange(Policy.size - first)
            if at != offset_of(Policy, "default_objective"):
                blob[at] = draw.randrange(256)
        return bytes(blob)
    for _ in range(draw.randrange(1, 8)):  # anywhere
        blob[draw.randrange(len(blob) if draw.random() < 0.5 else 600)] = draw.choice((0, 1, 0x7F, 0x80, 0xFF))
    return bytes(blob)
