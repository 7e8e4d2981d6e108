"""What the client reads: one well-formed answer, whoever writes it, as a stream of chunks or as a whole."""

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from edgewise.server.api import Ask, Json, Piece
from edgewise.server.chat import finish_of, usage_json
from edgewise.server.errors import HttpError
from edgewise.session import Action

Overlap = Callable[[str, str, bool], int]
"""How many bytes of a fresh text repeat the shown one; -1 while that cannot be told (`Router.overlap`)."""

_SEPARATORS = (",", ":")


class Reply(Protocol):
    """Where an answer goes. `shown` is the text that the client has read of it, `shown_pieces` in how many pieces."""

    shown: str
    shown_pieces: int

    def begin_call(self, model: str, resumes: bool) -> None:
        """What is shown from now on was written by another model."""

    async def show(self, pieces: Sequence[Piece], headers: Mapping[str, str]) -> None:
        """Let the client read more of the answer; `headers` go out with the first of it. What follows may wait."""

    async def flush(self) -> None:
        """Nothing comes for now: the client gets what waits."""

    async def finish(self, action: Action, headers: Mapping[str, str], about: Json | None) -> None:
        """The answer is complete. `about`: what the router says about it, for clients that asked."""

    async def fail(self, error: HttpError, headers: Mapping[str, str]) -> None:
        """There is no answer, or no more of it."""


class _Identity:
    """What all parts of one answer carry."""

    def __init__(self) -> None:
        self.id = f"chatcmpl-{uuid.uuid4().hex}"
        self.created = int(time.time())

    def put_on(self, data: Json, model: str) -> Json:
        return {**data, "id": self.id, "created": self.created, "model": model}


class WholeReply:
    """The answer as one JSON object. It is never shown before it is complete."""

    def __init__(self, ask: Ask, scope: Scope, receive: Receive, send: Send) -> None:
        self.shown, self.shown_pieces = "", 0
        self._ask, self._identity = ask, _Identity()
        self._door = (scope, receive, send)
        self._model = ""
        self._answer: Json = {}

    def begin_call(self, model: str, resumes: bool) -> None:
        """As Reply says; a whole answer always starts from scratch."""
        self._model, self._answer = model, {}

    async def show(self, pieces: Sequence[Piece], headers: Mapping[str, str]) -> None:
        """Keep the answer for its end."""
        for piece in pieces:
            self._answer = piece.data

    async def flush(self) -> None:
        """Nothing of a whole answer is sent before its end."""

    async def finish(self, action: Action, headers: Mapping[str, str], about: Json | None) -> None:
        """Write it, with the finish reason and the usage that the session counted."""
        answer = self._identity.put_on(self._answer, self._model)
        self.shown = "".join(
            str((choice.get("message") or {}).get("content") or "") for choice in self._answer["choices"]
        )
        answer["choices"] = [self._tidy(choice, action.finish) for choice in self._answer["choices"]]
        answer["usage"] = usage_json(action.input_tokens, action.output_tokens, self._answer.get("usage"))
        if about is not None:
            answer["edgewise"] = about
        await JSONResponse(answer, headers=dict(headers))(*self._door)

    def _tidy(self, choice: Json, finish: str) -> Json:
        said = choice.get("finish_reason")
        same = self._ask.choices > 1 or (isinstance(said, str) and finish_of(said) == finish)
        tidy = {**choice, "finish_reason": said if same else finish}
        if not self._ask.wants_logprobs:
            tidy.pop("logprobs", None)
        return tidy

    async def fail(self, error: HttpError, headers: Mapping[str, str]) -> None:
        """One JSON error."""
        response = error.response()
        response.headers.update(headers)
        await response(*self._door)


class StreamReply:
    """The answer as server-sent events: one beginning, one text, one end, even where several models wrote it.

    Nothing is sent before there is something to read, so that what fails before is a plain error with its status.
    """

    def __init__(self, ask: Ask, overlap: Overlap, scope: Scope, receive: Receive, send: Send) -> None:
        self.shown, self.shown_pieces = "", 0
        self._ask, self._overlap, self._identity = ask, overlap, _Identity()
        self._door = (scope, receive, send)
        self._model = ""
        self._begun = False
        self._roles: set[int] = set()
        self._finish_said = ""
        self._usage_said: Any = None
        self._stitching = False
        self._unstitched: list[Piece] = []
        self._unsent: list[bytes] = []

    def begin_call(self, model: str, resumes: bool) -> None:
        """Another model goes on: what it repeats of the text will be dropped."""
        self._model = model
        self._finish_said, self._usage_said = "", None
        self._stitching, self._unstitched = resumes, []

    async def show(self, pieces: Sequence[Piece], headers: Mapping[str, str]) -> None:
        """Send what the pieces hold, apart from their finish reasons, which wait for the end."""
        self._unsent += self._encode(self._stitch(pieces, whole=False))
        if not self._begun:
            await self._send([], headers)

    async def flush(self) -> None:
        """Send what waits, in one message."""
        await self._send([], {})

    async def finish(self, action: Action, headers: Mapping[str, str], about: Json | None) -> None:
        """Send what is left, the finish reason, the usage for clients that asked, and the end mark."""
        events = self._encode(self._stitch((), whole=True))
        events += self._encode_end(action, about)
        if self._ask.wants_usage:
            usage = usage_json(action.input_tokens, action.output_tokens, self._usage_said)
            events.append(_event({**self._chunk([]), "usage": usage}))
        await self._send([*events, b"data: [DONE]\n\n"], headers)
        await self._close()

    async def fail(self, error: HttpError, headers: Mapping[str, str]) -> None:
        """A JSON error with its status; in a stream that has begun, an event of the name `error`, and no end mark."""
        if not self._begun:
            response = error.response()
            response.headers.update(headers)
            await response(*self._door)
            return
        events = self._encode(self._stitch((), whole=True))
        await self._send([*events, b"event: error\n" + _event(error.to_json())], headers)
        await self._close()

    def _stitch(self, pieces: Sequence[Piece], *, whole: bool) -> list[Piece]:
        """The pieces without what repeats the shown text; none while that cannot be told."""
        if not self._stitching:
            return list(pieces)
        self._unstitched += pieces
        fresh = "".join(piece.text for piece in self._unstitched)
        repeated = self._overlap(self.shown, fresh, whole)
        if repeated < 0:
            return []
        left, self._stitching, self._unstitched = self._unstitched, False, []
        return _drop(left, repeated)

    def _encode(self, pieces: Sequence[Piece]) -> list[bytes]:
        events = []
        for piece in pieces:
            self._usage_said = piece.data.get("usage") or self._usage_said
            choices = [tidy for choice in piece.data["choices"] if (tidy := self._tidy(choice)) is not None]
            if choices:
                events.append(_event(self._chunk(choices, piece.data)))
                self.shown += piece.text
                self.shown_pieces += 1
        return events

    def _tidy(self, choice: Json) -> Json | None:
        """A choice with the role the first time only, and without a finish reason; None where nothing is left."""
        index, delta = choice.get("index", 0), dict(choice.get("delta") or {})
        if self._ask.choices == 1 and isinstance(said := choice.get("finish_reason"), str):
            self._finish_said = said
        delta.pop("role", None)
        finish = choice.get("finish_reason") if self._ask.choices > 1 else None
        if finish is None and not any(delta.values()):
            return None
        if index not in self._roles:
            self._roles.add(index)
            delta = {"role": "assistant", **delta}
        tidy = {**choice, "delta": delta, "finish_reason": finish}
        if not self._ask.wants_logprobs:
            tidy.pop("logprobs", None)
        return tidy

    def _encode_end(self, action: Action, about: Json | None) -> list[bytes]:
        if self._ask.choices > 1 and about is None:
            return []
        choices: list[Json] = []
        if self._ask.choices == 1:
            delta = {} if self._roles else {"role": "assistant", "content": ""}
            same = finish_of(self._finish_said) == action.finish and self._finish_said
            finish = self._finish_said if same else action.finish
            choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
        chunk = self._chunk(choices)
        return [_event({**chunk, "edgewise": about} if about is not None else chunk)]

    def _chunk(self, choices: list[Json], data: Json | None = None) -> Json:
        fields = {key: value for key, value in (data or {}).items() if key != "usage"}
        chunk = self._identity.put_on({**fields, "object": "chat.completion.chunk"}, self._model)
        return {**chunk, "choices": choices}

    async def _send(self, events: list[bytes], headers: Mapping[str, str]) -> None:
        events, self._unsent = self._unsent + events, []
        if not events:
            return
        _, _, send = self._door
        if not self._begun:
            self._begun = True
            named = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache", **headers}
            raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in named.items()]
            await send({"type": "http.response.start", "status": 200, "headers": raw})
        await send({"type": "http.response.body", "body": b"".join(events), "more_body": True})

    async def _close(self) -> None:
        _, _, send = self._door
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _event(data: Json) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False, separators=_SEPARATORS).encode("utf-8", "replace") + b"\n\n"


def _drop(pieces: list[Piece], size: int) -> list[Piece]:
    """The pieces without the first `size` bytes of their text; log-probabilities of what is cut go with it."""
    left = []
    for piece in pieces:
        text = piece.text.encode()
        cut = min(size, len(text))
        size -= cut
        if cut:
            piece.text = text[cut:].decode("utf-8", "ignore")
            choices = piece.data["choices"]
            for choice in choices:
                if choice.get("index", 0) == 0:
                    choice["delta"] = {**choice["delta"], "content": piece.text}
                    choice.pop("logprobs", None)
        left.append(piece)
    return left
