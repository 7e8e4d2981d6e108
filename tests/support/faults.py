"""Faults of upstreams, and what a client must see all the same: cases, an upstream that has them, and a checker.

Nothing here knows which proxy is under test. Start an `Upstream`, give `router_toml(upstream.url)` to the proxy, and
`await check(client, upstream, case)` for every one of `CASES`, as many at a time as you like. A case says what happens
to its first call, its second, and so on, whichever models are called; it travels in the text of the prompt.
"""

import asyncio
import contextlib
import itertools
import json
import threading
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx

MODELS = ("alpha", "beta", "gamma", "delta")
API_KEY_ENV = "EDGEWISE_TEST_UPSTREAM_KEY"
API_KEY = "upstream-secret"
REGIONS = 24
"""Health is known by region, so that cases which use one each do not disturb one another."""

ANSWER = (
    "The keeper of the lighthouse wakes before dawn, fills the brass lamp — which is older than he is — and climbs "
    "one hundred and forty steps with a thermos of café au lait. Far below, fishing boats leave the harbour, their "
    "lights small as seeds. He writes the weather into a naïve little diary: wind from the north, visibility good, "
    "two seals near the rocks 🦭 and nothing else worth saying. Then he polishes the lens, because salt never rests, "
    "and waits for the first ferry to bring bread, letters and perhaps a visitor."
)
_WORDS = ANSWER.split(" ")
PIECES = tuple(f"{' ' if at else ''}{' '.join(_WORDS[at : at + 2])}" for at in range(0, len(_WORDS), 2))
PROMPT_TOKENS = 20
TOOL_ARGUMENTS = ('{"ci', 'ty": "Os', 'lo", "day": ', '"today"}')
_TAIL = ANSWER[-120:]
_GERMAN = (
    "Der alte Mann ging langsam durch den Wald und dachte an die vielen Jahre, die er dort verbracht hatte. Niemand "
    "wusste, warum er jeden Morgen denselben Weg nahm, doch alle grüßten ihn freundlich. Am Abend saß er vor seinem "
    "Haus, sah den Vögeln zu und erzählte den Kindern Geschichten von früher, als der Fluss noch breiter war und die "
    "Brücke aus Holz gebaut wurde, damit die Bauern ihre Ernte in die Stadt bringen konnten."
)

_HANG_SECONDS = 30.0
_HUGE_BYTES = 48 * 2**20

BEFORE_HEADERS = ("refused_connection", "status_500", "status_503", "rate_limited", "status_400", "stall", "cut")
BEFORE_TEXT = ("cut", "stall", "malformed", "wrong_type", "empty", "huge", "error_event")
WHILE_WRITING = ("cut", "short", "cut_chunk", "cut_utf8", "stall", "malformed", "huge", "error_event")
AT_END = ("cut", "short", "stall", "malformed")
MONITORED = ("repetition", "language", "low_confidence")


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one call, and when: before the `headers`, before the `first` text, in the `middle`, or at
    the `end`, after all text and before the finish reason."""

    kind: str
    moment: str

    def __str__(self) -> str:
        return f"{self.kind}@{self.moment}"


FAULTS = (
    *(Fault(kind, "headers") for kind in BEFORE_HEADERS),
    *(Fault(kind, "first") for kind in BEFORE_TEXT),
    *(Fault(kind, "middle") for kind in WHILE_WRITING),
    *(Fault(kind, "end") for kind in AT_END),
    *(Fault(kind, "middle") for kind in MONITORED),
)
_PAIRED = tuple(
    Fault(kind, moment)
    for kind, moment in (
        ("status_500", "headers"),
        ("rate_limited", "headers"),
        ("cut", "first"),
        ("stall", "middle"),
        ("cut_utf8", "middle"),
        ("malformed", "middle"),
        ("cut", "end"),
    )
)


@dataclass(frozen=True)
class Case:
    """What happens to the calls of one request; those beyond `faults` go well.

    `always`: the last fault befalls all further calls too, so that no model answers. `tools`: the answer is a tool
    call. `restates`: whoever goes on from a prefix repeats its last words.
    """

    faults: tuple[Fault, ...] = ()
    streams: bool = True
    always: bool = False
    tools: bool = False
    restates: bool = False

    def __str__(self) -> str:
        faults = "+".join(map(str, self.faults)) or "no_fault"
        flags = (("always", self.always), ("tools", self.tools), ("restates", self.restates))
        return "-".join([faults, "stream" if self.streams else "whole", *(name for name, on in flags if on)])

    def fault_of_call(self, number: int) -> Fault | None:
        """What happens to a call, counted from 0."""
        if self.always and self.faults:
            number = min(number, len(self.faults) - 1)
        return self.faults[number] if number < len(self.faults) else None

    @property
    def is_monitored(self) -> bool:
        """Whether some of the text is bad, of which the client may have seen the beginning."""
        return any(fault.kind in MONITORED for fault in self.faults)


def _all_cases() -> Iterator[Case]:
    for streams in (True, False):
        yield Case(streams=streams)
        yield Case(streams=streams, tools=True)
        for fault in FAULTS:
            yield Case((fault,), streams)
        for pair in itertools.product(_PAIRED, repeat=2):
            yield Case(pair, streams)
        for fault in FAULTS:
            if fault.kind not in MONITORED:
                yield Case((fault,), streams, always=True)
        for fault in (Fault("cut", "middle"), Fault("malformed", "middle"), Fault("status_500", "headers")):
            yield Case((fault,), streams, tools=True)
    for fault in (Fault("cut", "middle"), Fault("cut_utf8", "middle"), Fault("stall", "middle")):
        yield Case((fault,), restates=True)
        yield Case((fault, fault), restates=True)


CASES = tuple(_all_cases())


def router_toml(upstream: str) -> str:
    """A configuration of four models at an upstream, with deadlines that suit a test."""
    regions = json.dumps([f"r{number}" for number in range(REGIONS)])
    head = f"""
[policy]
regions = {regions}

[session]
first_token_ms = 1500
stall_ms = 1000
total_ms = 10000
backoff_ms = 20
attempts = 2

[health]
trip_failures = 255
trip_rate = 1
cooldown_s = 1

[monitor]
default = "watched"
tasks = {{}}
domains = {{}}

[monitor.levels.watched]
hold_back_tokens = 16
hold_back_ms = 300
window_tokens = 8
low_confidence = 0.35
repetition = 3
language_drift = true
"""
    return head + "".join(
        f"""
[models.{name}]
provider = "provider-{name}"
price_in = {1 + place}
price_out = {2 + place}
context = 32000
abilities = ["tools", "json", "vision"]
ttft_ms = 50
quality = 0.9

[models.{name}.endpoint]
base_url = "{upstream}/{name}/v1"
api_key_env = "{API_KEY_ENV}"
model = "{name}-upstream"
"""
        for place, name in enumerate(MODELS)
    )


# --- the upstream ---------------------------------------------------------------------------------------------------


@dataclass
class Call:
    """One call as the upstream saw it. `ended`: `done`, `fault`, or `left` when the other side went away first."""

    model: str
    headers: dict[str, str]
    body: dict[str, Any]
    prefix: str
    ended: str = ""


@dataclass
class _Plan:
    case: Case
    calls: list[Call] = field(default_factory=list)


class Upstream(AbstractContextManager["Upstream"]):
    """An OpenAI-compatible server in a thread of its own, which does to each call what its case says."""

    def __init__(self, piece_seconds: float = 0.0) -> None:
        self.piece_seconds = piece_seconds
        self.url = ""
        self.open_connections = 0
        self._plans: dict[str, _Plan] = defaultdict(lambda: _Plan(Case()))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()
        self._stop: asyncio.Event

    def plan(self, case: Case) -> str:
        """Expect a request of the case; gives the mark that its prompt must hold."""
        mark = uuid.uuid4().hex
        self._plans[mark] = _Plan(case)
        return mark

    def calls(self, mark: str) -> list[Call]:
        """The calls that were made for a request."""
        return self._plans[mark].calls

    @property
    def under_way(self) -> int:
        """How many calls are being answered."""
        return sum(not call.ended for plan in list(self._plans.values()) for call in plan.calls)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        tasks: set[asyncio.Task[None]] = set()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            self.open_connections += 1
            try:
                with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                    while await self._answer(reader, writer):
                        pass
            finally:
                self.open_connections -= 1
                tasks.discard(task)
                writer.close()

        server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=2**20)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether the connection stays open."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:]) if name}
        body = json.loads(await reader.readexactly(int(headers.get("content-length", "0"))))
        mark, prefix = _read_prompt(body)
        plan = self._plans[mark]
        call = Call(head[0].split("/")[1], headers, body, prefix)
        fault = plan.case.fault_of_call(len(plan.calls))
        plan.calls.append(call)
        gone = asyncio.create_task(reader.read(1))
        writing = asyncio.create_task(_Writer(writer, plan.case, call, fault, self.piece_seconds).write())
        await asyncio.wait({gone, writing}, return_when=asyncio.FIRST_COMPLETED)
        if not writing.done():
            gone.exception()
            writing.cancel()
            call.ended = "left"
            await asyncio.gather(writing, return_exceptions=True)
            return False
        gone.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await gone
        if writing.exception() is not None:
            call.ended = "left"
            return False
        call.ended = "fault" if fault else "done"
        return writing.result()


def _read_prompt(body: dict[str, Any]) -> tuple[str, str]:
    """The mark of the case, and the beginning of the answer to go on from."""
    texts = [(message["role"], message.get("content") or "") for message in body["messages"]]
    mark = next((text.rpartition("mark:")[2][:32] for _, text in texts if "mark:" in text), "")
    prefix = next((text for role, text in reversed(texts) if role == "assistant"), "")
    return mark, prefix


class _Writer:
    """Writes one answer, up to its fault; `write` tells whether the connection stays open."""

    def __init__(
        self, out: asyncio.StreamWriter, case: Case, call: Call, fault: Fault | None, piece_seconds: float
    ) -> None:
        self.out, self.case, self.call, self.fault = out, case, call, fault
        self.piece_seconds = piece_seconds
        self.streams = bool(call.body.get("stream"))
        self.texts = _texts(case, call.prefix, fault)
        self.bad_from = _bad_from(self.texts)

    async def write(self) -> bool:
        fault = self.fault
        if fault and fault.moment == "headers":
            return await self._fail_before_headers(fault.kind)
        if fault and fault.kind == "wrong_type":
            await self._whole("<html>busy</html>", "text/html")
            return True
        return await (self._write_stream() if self.streams else self._write_whole())

    async def _fail_before_headers(self, kind: str) -> bool:
        statuses = {"status_500": 500, "status_503": 503, "rate_limited": 429, "status_400": 400}
        if kind in statuses:
            status = statuses[kind]
            extra = "retry-after: 1\r\nretry-after-ms: 150\r\n" if status == 429 else ""
            error = {"error": {"message": f"the upstream says {status}", "type": "upstream", "code": None}}
            await self._whole(json.dumps(error), "application/json", status, extra)
            return True
        if kind == "stall":
            await asyncio.sleep(_HANG_SECONDS)
        if kind == "refused_connection":
            self.out.transport.abort()
        return False

    async def _whole(self, body: str, kind: str, status: int = 200, extra: str = "") -> None:
        data = body.encode()
        head = f"HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\n{extra}content-length: {len(data)}\r\n\r\n"
        self.out.write(head.encode() + data)
        await self.out.drain()

    # A whole answer breaks off at the place in its bytes that the moment stands for.

    async def _write_whole(self) -> bool:
        fault, kind = self.fault, self.fault.kind if self.fault else ""
        if fault is None or kind in MONITORED:
            await self._whole(json.dumps(self._completion(), ensure_ascii=False), "application/json")
            return True
        if kind in ("empty", "error_event"):
            await self._whole("" if kind == "empty" else '{"error": {"message": "overloaded"}}', "application/json")
            return True
        data = json.dumps(self._completion(), ensure_ascii=False).encode()
        place = {"first": 0, "middle": len(data) // 2, "end": len(data) - 2}[fault.moment]
        if kind == "cut_utf8":
            place = data.index("—".encode()) + 1
        if kind == "malformed":
            await self._whole(data[: max(place, 1)].decode("utf-8", "ignore") + "]]", "application/json")
            return True
        length = _HUGE_BYTES if kind == "huge" else len(data)
        self.out.write(
            f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n".encode()
        )
        self.out.write(data[:place])
        await self.out.drain()
        if kind == "huge":
            await self._flood()
        if kind == "stall":
            await asyncio.sleep(_HANG_SECONDS)
        return False

    def _completion(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self.texts)}
        if self.case.tools:
            function = {"name": "weather", "arguments": "".join(TOOL_ARGUMENTS)}
            calls = [{"id": "call_1", "type": "function", "function": function}]
            message = {"role": "assistant", "content": None, "tool_calls": calls}
        choice = {"index": 0, "message": message, "finish_reason": self._finish}
        if self.call.body.get("logprobs"):
            choice["logprobs"] = {"content": [self._logprob(index) for index in range(len(self.texts))]}
        head = {"id": "upstream-id", "object": "chat.completion", "created": 1, "model": self.call.body["model"]}
        return {**head, "choices": [choice], "usage": self._usage()}

    @property
    def _finish(self) -> str:
        return "tool_calls" if self.case.tools else "stop"

    def _usage(self) -> dict[str, int]:
        written = len(TOOL_ARGUMENTS) if self.case.tools else len(self.texts)
        read = PROMPT_TOKENS + len(self.call.prefix.split()) // 2
        return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}

    def _logprob(self, index: int) -> dict[str, Any]:
        doubtful = self.fault is not None and self.fault.kind == "low_confidence" and index >= self.bad_from
        token = self.texts[index]
        return {"token": token, "logprob": -4.5 if doubtful else -0.05, "bytes": None, "top_logprobs": []}

    # A stream is written event by event, each as one chunk of the transfer encoding.

    async def _write_stream(self) -> bool:
        fault, kind = self.fault, self.fault.kind if self.fault else ""
        self.out.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        if kind == "empty":
            await self._data("[DONE]")
            return await self._close()
        await self._event({"role": "assistant", "content": ""})
        pieces = [self._tool_delta(index) for index in range(len(TOOL_ARGUMENTS))] if self.case.tools else self.texts
        breaks = {"first": 0, "middle": len(pieces) // 2, "end": len(pieces)}.get(fault.moment if fault else "", -1)
        for index, piece in enumerate([*pieces, None]):
            if fault and kind not in MONITORED and index == breaks:
                return await self._break(kind, index)
            if isinstance(piece, str):
                await self._event({"content": piece}, index)
            elif piece is not None:
                await self._event(piece)
            if self.piece_seconds:
                await asyncio.sleep(self.piece_seconds)
        await self._event({}, finish=self._finish)
        if self.call.body.get("stream_options", {}).get("include_usage"):
            await self._data(json.dumps({**self._chunk_head(), "choices": [], "usage": self._usage()}))
        await self._data("[DONE]")
        return await self._close()

    async def _break(self, kind: str, index: int) -> bool:
        if kind == "stall":
            await asyncio.sleep(_HANG_SECONDS)
        elif kind == "short":
            return await self._close()
        elif kind == "malformed":
            await self._data('{"id": "x", "choices": [{"index": 0, "delta": {"content": "brok')
            await self._close()
        elif kind == "error_event":
            await self._data(json.dumps({"error": {"message": "overloaded", "type": "server_error"}}))
            await self._close()
        elif kind == "huge":
            self.out.write(b"%x\r\n" % _HUGE_BYTES + b"data: ")
            await self._flood()
        elif kind in ("cut_chunk", "cut_utf8"):
            event = self._encode({"content": " seeds — and naïve words"})
            cut = event.index("—".encode()) + 1 if kind == "cut_utf8" else len(event) - 9
            self.out.write(b"%x\r\n" % len(event) + event[:cut])
            await self.out.drain()
        return False

    async def _flood(self) -> None:
        with contextlib.suppress(ConnectionError):
            for _ in range(_HUGE_BYTES // 2**16 - 1):
                self.out.write(b"a" * 2**16)
                await self.out.drain()

    def _tool_delta(self, index: int) -> dict[str, Any]:
        call: dict[str, Any] = {"index": 0, "function": {"arguments": TOOL_ARGUMENTS[index]}}
        if index == 0:
            call |= {"id": "call_1", "type": "function"}
            call["function"]["name"] = "weather"
        return {"tool_calls": [call]}

    def _chunk_head(self) -> dict[str, Any]:
        return {"id": "upstream-id", "object": "chat.completion.chunk", "created": 1, "model": self.call.body["model"]}

    def _encode(self, delta: dict[str, Any], index: int = -1, finish: str | None = None) -> bytes:
        choice: dict[str, Any] = {"index": 0, "delta": delta, "finish_reason": finish}
        if index >= 0 and self.call.body.get("logprobs"):
            choice["logprobs"] = {"content": [self._logprob(index)]}
        event = json.dumps({**self._chunk_head(), "choices": [choice]}, ensure_ascii=False)
        return f"data: {event}\n\n".encode()

    async def _event(self, delta: dict[str, Any], index: int = -1, finish: str | None = None) -> None:
        await self._raw(self._encode(delta, index, finish))

    async def _data(self, data: str) -> None:
        await self._raw(f"data: {data}\n\n".encode())

    async def _raw(self, event: bytes) -> None:
        self.out.write(b"%x\r\n" % len(event) + event + b"\r\n")
        await self.out.drain()

    async def _close(self) -> bool:
        self.out.write(b"0\r\n\r\n")
        await self.out.drain()
        return True


def _texts(case: Case, prefix: str, fault: Fault | None) -> list[str]:
    """The pieces of an answer that goes on from a prefix, and turns bad in the middle where the fault says so."""
    known = len(prefix)
    while not ANSWER.startswith(prefix[:known]):
        known -= 1
    start = max(0, known - 24) if case.restates else known
    pieces = [piece for piece in _pieces_from(start) if piece]
    if fault is None or fault.kind not in MONITORED:
        return pieces
    good = pieces[: len(pieces) // 2]
    if fault.kind == "repetition":
        return good + [" and so it goes on"] * 40
    if fault.kind == "language":
        return good + [f" {word}" for word in (_GERMAN + " " + _GERMAN).split(" ")]
    return pieces


def _bad_from(texts: list[str]) -> int:
    return len(texts) // 2


def _pieces_from(start: int) -> Iterator[str]:
    place = 0
    for piece in PIECES:
        yield piece[max(0, start - place) :] if place + len(piece) > start else ""
        place += len(piece)


# --- the client -----------------------------------------------------------------------------------------------------


@dataclass
class Seen:
    """What a client has read: an answer with its usage, or an error."""

    status: int
    text: str = ""
    tool_arguments: str = ""
    finish: str | None = None
    usage: dict[str, int] | None = None
    error: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)


async def check(client: httpx.AsyncClient, upstream: Upstream, case: Case) -> Seen:
    """Send the request of a case to the proxy that `client` talks to; AssertionError where the client sees wrong."""
    mark = upstream.plan(case)
    seen = await ask(client, case, mark)
    calls = upstream.calls(mark)
    _check_calls(calls)
    if case.always:
        _check_error(case, seen)
    else:
        _check_answer(case, seen, calls)
    return seen


def _region_of(case: Case, mark: str) -> str:
    """Where all models limit their rate, nobody else is served for a while: such a case has a region to itself."""
    if case.always and any(fault.kind == "rate_limited" for fault in case.faults):
        return f"r{int(case.streams)}"
    return f"r{2 + int(mark[:8], 16) % (REGIONS - 2)}"


def request_body(case: Case, mark: str) -> dict[str, Any]:
    """The request of a case."""
    question = f"Describe the quiet morning of a lighthouse keeper in one paragraph. (mark:{mark})"
    body: dict[str, Any] = {
        "model": "auto",
        "messages": [{"role": "user", "content": question}],
        "stream": case.streams,
        "logprobs": True,
        "edgewise": {"region": _region_of(case, mark), "session": mark},
    }
    if case.streams:
        body["stream_options"] = {"include_usage": True}
    else:
        body["max_tokens"] = 1  # a whole answer is waited for as long as its tokens take; upstreams here ignore it
    if case.tools:
        parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
        body["tools"] = [{"type": "function", "function": {"name": "weather", "parameters": parameters}}]
    return body


async def ask(client: httpx.AsyncClient, case: Case, mark: str) -> Seen:
    """Send the request and read the answer, strictly."""
    body = request_body(case, mark)
    async with client.stream("POST", "/v1/chat/completions", json=body, timeout=60) as response:
        kind = response.headers["content-type"].partition(";")[0]
        if response.status_code >= 400 or not case.streams:
            assert kind == "application/json", kind
            seen = _read_whole(response.status_code, json.loads(await response.aread()))
        else:
            assert kind == "text/event-stream", kind
            seen = await _read_stream(response)
    seen.headers = dict(response.headers)
    return seen


def _read_whole(status: int, body: dict[str, Any]) -> Seen:
    if status >= 400:
        return Seen(status, error=body["error"])
    assert body["object"] == "chat.completion"
    (choice,) = body["choices"]
    assert choice["message"]["role"] == "assistant"
    calls = choice["message"].get("tool_calls") or []
    arguments = "".join(call["function"]["arguments"] for call in calls)
    return Seen(status, choice["message"]["content"] or "", arguments, choice["finish_reason"], usage=body["usage"])


async def _read_stream(response: httpx.Response) -> Seen:
    seen, ids, roles, done = Seen(response.status_code), set(), 0, False
    async for name, data in _events(response):
        assert not done, f"{data!r} after [DONE]"
        assert seen.error is None, f"{data!r} after an error"
        if data == "[DONE]":
            done = True
            continue
        chunk = json.loads(data)
        if "error" in chunk:
            assert name == "error"
            seen.error = chunk["error"]
            continue
        assert name == "message"
        assert chunk["object"] == "chat.completion.chunk"
        ids.add((chunk["id"], chunk["created"]))
        if not chunk["choices"]:
            assert seen.finish is not None, "usage before the finish reason"
            assert seen.usage is None, "usage twice"
            seen.usage = chunk["usage"]
            continue
        assert seen.usage is None, "text after the usage"
        assert seen.finish is None, "text after the finish reason"
        (choice,) = chunk["choices"]
        roles += "role" in choice["delta"]
        seen.text += choice["delta"].get("content") or ""
        for call in choice["delta"].get("tool_calls") or []:
            seen.tool_arguments += call["function"].get("arguments") or ""
        seen.finish = choice["finish_reason"]
    assert len(ids) <= 1, f"chunks of several answers: {ids}"
    assert done != (seen.error is not None), "neither an end nor an error, or both"
    assert roles == 1 or (seen.error is not None and roles == 0), f"{roles} beginnings"
    return seen


async def _events(response: httpx.Response) -> AsyncIterator[tuple[str, str]]:
    """The events of a stream as name and data; every byte must belong to a complete one."""
    data = b""
    async for piece in response.aiter_bytes():
        data += piece
        while b"\n\n" in data:
            event, _, data = data.partition(b"\n\n")
            fields = [line.partition(": ") for line in event.decode().split("\n") if not line.startswith(":")]
            if fields:
                named = {name: value for name, _, value in fields}
                yield named.get("event", "message"), named["data"]
    assert data == b"", f"an event without an end: {data!r}"


def _check_calls(calls: list[Call]) -> None:
    for call in calls:
        assert "edgewise" not in call.body
        assert not any(name.startswith(("x-edgewise", "cookie")) for name in call.headers)
        assert call.headers["authorization"] == f"Bearer {API_KEY}"
        assert call.body["model"] == f"{call.model}-upstream"


def _check_error(case: Case, seen: Seen) -> None:
    assert seen.error is not None, f"an answer, although every call failed: {seen}"
    assert seen.error["message"]
    assert seen.error["type"]
    if seen.status == 200:
        assert seen.text, "an error inside a stream that had not begun"
        assert ANSWER.startswith(seen.text)
    elif case.faults[0].kind == "status_400":
        assert seen.status == 400
    else:
        assert seen.status in (429, 502, 503, 504), seen.status


def _check_answer(case: Case, seen: Seen, calls: list[Call]) -> None:
    assert seen.error is None, seen.error
    assert seen.status == 200
    assert len(calls) > len(case.faults), "fewer calls than faults"
    resumed = any(call.prefix for call in calls)
    assert not (resumed and not case.streams), "a whole answer is never gone on from"
    if case.tools:
        assert (seen.finish, seen.tool_arguments, seen.text) == ("tool_calls", "".join(TOOL_ARGUMENTS), "")
    else:
        assert seen.finish == "stop"
        _check_text(case, seen.text)
    if case.is_monitored and case.streams:
        return  # what was shown of the bad text counts, too
    _check_usage(seen, resumed, len(TOOL_ARGUMENTS) if case.tools else len(PIECES))


def _check_text(case: Case, text: str) -> None:
    if not (case.is_monitored and case.streams):
        assert text == ANSWER
        return
    assert text.startswith(PIECES[0])
    assert text.endswith(_TAIL)
    assert text.count(_TAIL) == 1
    assert len(text) < 2 * len(ANSWER), "a bad answer was shown to its end"


def _check_usage(seen: Seen, resumed: bool, written: int) -> None:
    usage = seen.usage
    assert usage is not None, "no usage"
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    if not resumed:
        assert (usage["prompt_tokens"], usage["completion_tokens"]) == (PROMPT_TOKENS, written)
        return
    assert 0 < usage["prompt_tokens"] <= 3 * PROMPT_TOKENS
    assert 0.6 * written <= usage["completion_tokens"] <= 2.2 * written
    assert seen.headers["x-edgewise-model"] in MODELS
