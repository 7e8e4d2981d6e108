"""Calls of upstreams: one HTTP request each, heard as the events that a session reads."""

import asyncio
import contextlib
import email.utils
import logging
import os
import time
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import aiohttp

from edgewise.config import EndpointConfig
from edgewise.server.api import BrokenOffError, MalformedError, Piece, Reading, read_json
from edgewise.server.sse import EventReader, EventTooLargeError, ServerEvent

MAX_EVENT_BYTES = 4 * 2**20
"""One event of a stream may be this large: with images in it they are not small."""
MAX_ANSWER_BYTES = 16 * 2**20

_MOST_HEARD = 64
_CONNECT_SECONDS = 10.0
_KEEP_ALIVE_SECONDS = 30.0
_AFTER_FINISH_SECONDS = 0.5
"""How long the usage, and the end of the stream, are waited for after the last finish reason."""
_ERROR_SECONDS = 2.0
_MOST_ERROR_BYTES = 64 * 2**10
_MOST_ERROR_TEXT = 500
_NOT_SPOKEN = 405
_JSON, _STREAM = "application/json", "text/event-stream"


_log = logging.getLogger("edgewise.server")


@dataclass(frozen=True, slots=True)
class Heard:
    """One thing that a call brought: the fields of an Event, the piece that came with it, an upstream's own message."""

    kind: str
    at_ms: int
    fields: Mapping[str, Any]
    piece: Piece | None = None
    message: str = ""


Put = Callable[[Heard], Coroutine[Any, Any, None]]


def now_ms() -> int:
    """The Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


class Upstreams:
    """The HTTP client that all calls share: pooled connections, no redirects, no cookies, no proxies."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._ending: set[asyncio.Task[None]] = set()

    def call(
        self, url: str, headers: Mapping[str, str], body: bytes, reading: Reading, *, streams: bool, not_before_ms: int
    ) -> "Call":
        """Begin a call, at the time given; what is heard of it comes out of `Call.next`."""
        headers = {"content-type": _JSON, "accept": _STREAM if streams else _JSON, **headers}

        async def hear(put: Put) -> None:
            if (wait := not_before_ms - now_ms()) > 0:
                await asyncio.sleep(wait / 1000)
            request = self._client().post(url, data=body, headers=headers, allow_redirects=False)
            await _hear(request, streams, reading, put)

        return Call(hear, self._ending)

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("user-agent", "accept-encoding"),
                headers={"user-agent": "edgewise", "accept-encoding": "identity"},
                read_bufsize=2**16,
            )
        return self._session

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()


class Call:
    """One call under way. Its reader waits while more than a few events are not taken: that slows the upstream down."""

    def __init__(self, hear: Callable[[Put], Coroutine[Any, Any, None]], ending: set[asyncio.Task[None]]) -> None:
        self._heard: asyncio.Queue[Heard] = asyncio.Queue(_MOST_HEARD)
        self._task = asyncio.create_task(self._run(hear))
        ending.add(self._task)
        self._task.add_done_callback(ending.discard)

    async def _run(self, hear: Callable[[Put], Coroutine[Any, Any, None]]) -> None:
        try:
            await hear(self._heard.put)
        except Exception as error:
            _log.error("%s\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
            await self._heard.put(_fault("malformed"))

    @property
    def is_silent(self) -> bool:
        """Whether nothing was heard that was not taken."""
        return self._heard.empty()

    async def next(self, until_ms: int) -> Heard | None:
        """What is heard next; None where that is nothing until the Unix time given."""
        if not self._heard.empty():
            return self._heard.get_nowait()
        try:
            async with asyncio.timeout(max(0, until_ms - now_ms()) / 1000 if until_ms else None):
                return await self._heard.get()
        except TimeoutError:
            return None

    def cancel(self) -> None:
        """End the call: its connection is closed, so that the upstream stops writing. One that has ended stays."""
        self._task.cancel()


def silent_call(heard: Heard) -> Call:
    """A call that is not made, of which the one thing is heard."""

    async def hear(put: Put) -> None:
        await put(heard)

    return Call(hear, set())


def not_spoken() -> Heard:
    """For an endpoint that does not speak the client's API, or that has none: nothing was observed of it."""
    return Heard("headers", now_ms(), {"status": _NOT_SPOKEN})


def key_of(endpoint: EndpointConfig) -> str | None:
    """The API key of an endpoint, None where it takes none. Raises KeyError where the environment lacks it."""
    return os.environ[endpoint.api_key_env] if endpoint.api_key_env else None


def _fault(fault: str) -> Heard:
    return Heard("fault", now_ms(), {"fault": fault})


async def _hear(
    request: AbstractAsyncContextManager[aiohttp.ClientResponse], streams: bool, reading: Reading, put: Put
) -> None:
    """All that a call brings, in order. Its last event is an end, a fault, or headers that refuse."""
    fault = "unreachable"
    try:
        async with request as response:
            fault = "cut"
            await _hear_response(response, streams, reading, put)
    except (MalformedError, UnicodeDecodeError, aiohttp.ClientResponseError, aiohttp.InvalidURL):
        await put(_fault("malformed"))
    except EventTooLargeError:
        await put(_fault("too_large"))
    except BrokenOffError:
        await put(_fault("cut"))
    except (aiohttp.ClientError, OSError):
        await put(_fault(fault))


async def _hear_response(response: aiohttp.ClientResponse, streams: bool, reading: Reading, put: Put) -> None:
    status = response.status
    if not 200 <= status < 300:
        message = await _read_error(response) if 400 <= status < 500 else ""
        fields = {"status": status, "retry_after_ms": _read_retry_after(response.headers)}
        await put(Heard("headers", now_ms(), fields, message=message))
        return
    await put(Heard("headers", now_ms(), {"status": status}))
    if response.content_type != (_STREAM if streams else _JSON):
        await put(_fault("wrong_type"))
    elif streams:
        await _hear_stream(response, reading, put)
    else:
        await _hear_whole(response, reading, put)


async def _hear_stream(response: aiohttp.ClientResponse, reading: Reading, put: Put) -> None:
    """The pieces of a stream, and its end once it is complete and the usage had time to come."""
    async for event in _read_events(response, reading):
        piece = reading.take(event)
        if piece is not None:
            await put(_chunk(piece))
    await put(_end(reading) if reading.is_complete else _fault("cut"))
    with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(_AFTER_FINISH_SECONDS):  # what is read to its end keeps its connection
            while await response.content.readany():
                pass


async def _read_events(response: aiohttp.ClientResponse, reading: Reading) -> AsyncIterator[ServerEvent]:
    """The events until the answer is over. Once it is complete, neither silence nor a cut is a fault."""
    reader, size = EventReader(MAX_EVENT_BYTES), 0
    while True:
        try:
            async with asyncio.timeout(_AFTER_FINISH_SECONDS if reading.is_complete else None):
                data = await response.content.readany()
        except (TimeoutError, aiohttp.ClientError, OSError):
            if reading.is_complete:
                return
            raise
        size += len(data)
        if size > MAX_ANSWER_BYTES:
            raise EventTooLargeError
        for event in reader.feed(data):
            yield event
            if reading.is_over:
                return
        if not data:
            return


async def _hear_whole(response: aiohttp.ClientResponse, reading: Reading, put: Put) -> None:
    """A whole answer: one piece, then its end."""
    await put(_chunk(reading.take_whole(await _read_body(response, MAX_ANSWER_BYTES))))
    await put(_end(reading))


async def _read_body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The body. Raises EventTooLargeError."""
    pieces, size = [], 0
    while piece := await response.content.readany():
        size += len(piece)
        if size > limit:
            raise EventTooLargeError
        pieces.append(piece)
    return b"".join(pieces)


def _chunk(piece: Piece) -> Heard:
    fields = {"text": piece.text, "tokens": piece.tokens, "logprobs": piece.logprobs, "tool": piece.tool}
    return Heard("chunk", now_ms(), fields, piece)


def _end(reading: Reading) -> Heard:
    finish, usage = reading.end()
    fields = {"finish": finish, "input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    return Heard("end", now_ms(), fields)


def _read_retry_after(headers: Mapping[str, str]) -> int:
    """How long an upstream asks to wait, in milliseconds: in `retry-after-ms` or `retry-after`."""
    with contextlib.suppress(KeyError, ValueError, TypeError, OverflowError):
        if "retry-after-ms" in headers:
            return max(0, int(float(headers["retry-after-ms"])))
        value = headers["retry-after"]
        if value.strip().isdigit():
            return int(value) * 1000
        return max(0, int(email.utils.parsedate_to_datetime(value).timestamp() * 1000) - now_ms())
    return 0


async def _read_error(response: aiohttp.ClientResponse) -> str:
    """What the upstream says is wrong with the request, in at most a few hundred characters."""
    with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError, EventTooLargeError, MalformedError):
        async with asyncio.timeout(_ERROR_SECONDS):
            error = read_json(await _read_body(response, _MOST_ERROR_BYTES)).get("error")
            message = error.get("message") if isinstance(error, dict) else error
            return message[:_MOST_ERROR_TEXT] if isinstance(message, str) else ""
    return ""
