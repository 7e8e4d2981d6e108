"""The Responses API and the Messages API, for clients and upstreams that both speak one of them.

Events are passed on as they come. Another model takes over as long as the client has read no text; what has begun in
one of these APIs cannot be gone on with by another model, so from then on a fault ends the answer with an error.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from edgewise.config import Config, EndpointConfig
from edgewise.server.api import Ask, BrokenOffError, Json, MalformedError, Piece, Reading, Usage, bearer, read_json
from edgewise.server.asking import ask_fields, parse_request, read_flag
from edgewise.server.errors import HttpError, bad_request
from edgewise.server.sse import ServerEvent
from edgewise.session import Action

_MESSAGES_VERSION = "2023-06-01"
_PASSED_ON = ("anthropic-version", "anthropic-beta", "openai-beta")
_MESSAGES_FINISHES = {"max_tokens": "length", "tool_use": "tool_calls", "refusal": "content_filter"}


class _EventReading:
    """What the two APIs have in common: typed events, of which some carry text, and some end the answer."""

    def __init__(self) -> None:
        self.is_over = False
        self._finish = ""
        self._usage = Usage()

    @property
    def is_complete(self) -> bool:
        return self._finish != ""

    def end(self) -> tuple[str, Usage]:
        return self._finish or "none", self._usage

    def _count(self, usage: Any) -> None:
        """Take in a usage object; what it leaves out stays."""
        if isinstance(usage, dict):
            known = (self._usage.input_tokens, self._usage.output_tokens)
            counts = (usage.get("input_tokens"), usage.get("output_tokens"))
            self._usage = Usage(*(new if isinstance(new, int) else old for new, old in zip(counts, known, strict=True)))


class ResponsesReading(_EventReading):
    """Reads an answer of the Responses API."""

    def take(self, event: ServerEvent) -> Piece | None:
        """The payload of an event."""
        data = read_json(event.data)
        kind = data.get("type")
        if not isinstance(kind, str):
            raise MalformedError("an event without a type")
        if kind in ("error", "response.failed"):
            raise BrokenOffError
        piece = _piece(data, len(event.data))
        if kind == "response.output_text.delta":
            piece.text = _text(data.get("delta"))
        elif kind == "response.output_item.added" and isinstance(item := data.get("item"), dict):
            piece.tool = str(item.get("type", "")).endswith("_call")
        elif kind.endswith(".delta"):
            piece.tokens = 1
        elif kind in ("response.completed", "response.incomplete"):
            self._finish_with(data.get("response"))
            piece.finishes = {0: self._finish}
            self.is_over = True
        return piece

    def take_whole(self, body: bytes) -> Piece:
        """The payload of a whole response."""
        data = read_json(body)
        if data.get("error") is not None:
            raise BrokenOffError
        if not isinstance(data.get("output"), list):
            raise MalformedError("no output")
        self._finish_with(data)
        piece = _piece(data, len(body))
        for item in data["output"]:
            if not isinstance(item, dict) or not isinstance(item.get("content") or [], list):
                raise MalformedError("an item that is none")
            piece.tool = piece.tool or str(item.get("type", "")).endswith("_call")
            parts = item.get("content") or []
            piece.text += "".join(_text(part.get("text")) for part in parts if isinstance(part, dict))
        return piece

    def _finish_with(self, response: Any) -> None:
        if not isinstance(response, dict):
            raise MalformedError("an end without a response")
        self._finish = "length" if response.get("status") == "incomplete" else "stop"
        self._count(response.get("usage"))


class MessagesReading(_EventReading):
    """Reads an answer of the Messages API."""

    def take(self, event: ServerEvent) -> Piece | None:
        """The payload of an event."""
        data = read_json(event.data)
        kind = data.get("type")
        if not isinstance(kind, str):
            raise MalformedError("an event without a type")
        if kind == "error":
            raise BrokenOffError
        piece = _piece(data, len(event.data))
        delta = data.get("delta") if isinstance(data.get("delta"), dict) else {}
        assert isinstance(delta, dict)
        if kind == "message_start" and isinstance(message := data.get("message"), dict):
            self._count(message.get("usage"))
        elif kind == "content_block_start" and isinstance(block := data.get("content_block"), dict):
            piece.tool = block.get("type") == "tool_use"
        elif kind == "content_block_delta":
            piece.text = _text(delta.get("text"))
            piece.tokens = 0 if piece.text else 1
        elif kind == "message_delta":
            self._count(data.get("usage"))
            self._finish = _MESSAGES_FINISHES.get(str(delta.get("stop_reason")), "stop")
            piece.finishes = {0: self._finish}
        elif kind == "message_stop":
            piece.finishes = {0: self._finish}
            self.is_over = True
        return piece

    def take_whole(self, body: bytes) -> Piece:
        """The payload of a whole message."""
        data = read_json(body)
        if data.get("type") == "error":
            raise BrokenOffError
        blocks = data.get("content")
        if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
            raise MalformedError("no content")
        self._finish = _MESSAGES_FINISHES.get(str(data.get("stop_reason")), "stop")
        self._count(data.get("usage"))
        piece = _piece(data, len(body))
        piece.text = "".join(_text(block.get("text")) for block in blocks)
        piece.tool = any(block.get("type") == "tool_use" for block in blocks)
        return piece


def _piece(data: Json, size: int) -> Piece:
    return Piece(data, size, "", 0, (), False, {})


def _text(value: Any) -> str:
    if not isinstance(value, str | None):
        raise MalformedError("text that is not text")
    return value or ""


class _Relayed:
    """An API whose bodies are passed on with nothing but the model's name changed."""

    resumes = False

    def body(self, ask: Ask, name: str, endpoint: EndpointConfig, shown: str, shown_tokens: int) -> bytes:
        return json.dumps({**ask.body, "model": endpoint.model or name}).encode()


class Responses(_Relayed):
    """The Responses API."""

    name = "responses"
    path = "/responses"

    def read(self, ask: Ask) -> Reading:
        """As Api says."""
        return ResponsesReading()

    def headers(self, key: str | None, ask: Ask) -> dict[str, str]:
        """As Api says."""
        return {**bearer(key), **ask.headers}

    def messages(self, body: Json) -> list[Any]:
        """The conversation in a body, as messages of a request."""
        given = body.get("input")
        turns = [{"role": "user", "content": given}] if isinstance(given, str) else given
        if not isinstance(turns, list):
            raise bad_request("input: neither text nor a list")
        spoken = [turn for turn in turns if isinstance(turn, dict) and "role" in turn]
        return [*_system(body.get("instructions")), *spoken]

    def most_tokens(self, body: Json) -> Any:
        """How long the answer may be."""
        return body.get("max_output_tokens")


class Messages(_Relayed):
    """The Messages API."""

    name = "messages"
    path = "/messages"

    def read(self, ask: Ask) -> Reading:
        """As Api says."""
        return MessagesReading()

    def headers(self, key: str | None, ask: Ask) -> dict[str, str]:
        """As Api says."""
        named = {} if key is None else {"x-api-key": key}
        return {"anthropic-version": _MESSAGES_VERSION, **named, **ask.headers}

    def messages(self, body: Json) -> list[Any]:
        """The conversation in a body, as messages of a request."""
        turns = body.get("messages")
        if not isinstance(turns, list):
            raise bad_request("messages: missing; a list of turns")
        system = body.get("system")
        return [*_system(system), *turns]

    def most_tokens(self, body: Json) -> Any:
        """How long the answer may be."""
        return body.get("max_tokens")


def _system(content: Any) -> list[Json]:
    return [] if content is None else [{"role": "system", "content": content}]


def read_relayed(
    data: Any, headers: Mapping[str, str], config: Config, tenant: str | None, api: Responses | Messages
) -> Ask:
    """The ask in a body for one of these APIs. Raises HttpError naming the field."""
    router, body = ask_fields(data, headers, config, tenant)
    streams = read_flag(body, "stream")
    router.pop("explain", None)
    fields = {"messages": api.messages(body), "max_tokens": api.most_tokens(body), "stream": streams, **router}
    own = {name: headers[name] for name in _PASSED_ON if name in headers}
    return Ask(api=api, request=parse_request(fields), body=body, streams=streams, headers=own)


class RelayReply:
    """What the client reads: the events of the one model whose text it has seen, or a whole answer."""

    def __init__(self, ask: Ask, scope: Scope, receive: Receive, send: Send) -> None:
        self.shown, self.shown_pieces = "", 0
        self._ask, self._door = ask, (scope, receive, send)
        self._begun = False
        self._waiting: list[Piece] = []

    def begin_call(self, model: str, resumes: bool) -> None:
        """What no text was shown of is forgotten."""
        self._waiting = []

    async def show(self, pieces: Sequence[Piece], headers: Mapping[str, str]) -> None:
        """Send the events once there is text among them; those that end the answer wait for its end."""
        self._waiting += pieces
        if self._ask.streams and (self._begun or any(piece.text for piece in self._waiting)):
            ready = [piece for piece in self._waiting if not piece.finishes]
            self._waiting = [piece for piece in self._waiting if piece.finishes]
            self.shown += "".join(piece.text for piece in ready)
            await self._send(ready, headers)

    async def flush(self) -> None:
        """Nothing waits here."""

    async def finish(self, action: Action, headers: Mapping[str, str], about: Json | None) -> None:
        """Send what is left."""
        if not self._ask.streams:
            await JSONResponse(self._waiting[-1].data, headers=dict(headers))(*self._door)
            return
        await self._send(self._waiting, headers)
        await self._close()

    async def fail(self, error: HttpError, headers: Mapping[str, str]) -> None:
        """A JSON error with its status; in a stream that has begun, an event of the type `error`."""
        if not self._begun:
            response = JSONResponse({"type": "error", **error.to_json()}, error.status, error.headers)
            response.headers.update(headers)
            await response(*self._door)
            return
        said = error.to_json()["error"]
        data = {"type": "error", "error": said} if self._ask.api.name == "messages" else {"type": "error", **said}
        await self._send([_piece({**data, "type": "error"}, 0)], headers)
        await self._close()

    async def _send(self, pieces: Sequence[Piece], headers: Mapping[str, str]) -> None:
        _, _, send = self._door
        if not self._begun:
            self._begun = True
            named = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache", **headers}
            raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in named.items()]
            await send({"type": "http.response.start", "status": 200, "headers": raw})
        events = [f"event: {piece.data['type']}\ndata: {json.dumps(piece.data)}\n\n" for piece in pieces]
        await send({"type": "http.response.body", "body": "".join(events).encode(), "more_body": True})

    async def _close(self) -> None:
        _, _, send = self._door
        await send({"type": "http.response.body", "body": b"", "more_body": False})
