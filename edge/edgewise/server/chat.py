"""Chat completions, the API that clients and upstreams speak: what is read from its JSON, and what is written."""

import json
from typing import Any

from edgewise.config import EndpointConfig
from edgewise.server.api import (
    Ask,
    BrokenOffError,
    Json,
    MalformedError,
    Piece,
    Reading,
    Usage,
    bearer,
    read_json,
)
from edgewise.server.sse import ServerEvent

RESUME_INSTRUCTION = (
    "Your last message broke off. Go on exactly where it stopped, in the same language and format: no greeting, no"
    " comment, and not one word of it again."
)

_FINISHES = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
_LIMITS = ("max_tokens", "max_completion_tokens")
_MILLI = 1000
_LEAST_LOGPROB = -1e6
_BYTES_PER_TOKEN = 4


def read_piece(data: Json, part: str, size: int) -> Piece | None:
    """The payload in a chunk (`part` is "delta") or in a whole answer ("message"); None where no choice is in it.

    The text is that of the first choice: the others are passed on unwatched. Raises MalformedError.
    """
    choices = data.get("choices")
    if not isinstance(choices, list):
        if choices is None and "usage" in data:
            return None
        raise MalformedError("no choices")
    if not choices:
        return None
    piece = Piece(data, size, "", 0, (), False, {})
    for choice in choices:
        if not isinstance(choice, dict) or not isinstance(choice.get(part) or {}, dict):
            raise MalformedError(f"a choice without {part}")
        _read_choice(choice, choice.get(part) or {}, piece)
    return piece


def _read_choice(choice: Json, part: Json, piece: Piece) -> None:
    index, content = choice.get("index", 0), part.get("content")
    if not isinstance(index, int) or not isinstance(content, str | None):
        raise MalformedError("content that is not text")
    piece.tool = piece.tool or bool(part.get("tool_calls") or part.get("function_call"))
    if isinstance(finish := choice.get("finish_reason"), str):
        piece.finishes[index] = finish
    if index > 0:
        return
    piece.text = content or ""
    reasoning = part.get("reasoning_content") or part.get("reasoning") or part.get("refusal")
    if isinstance(reasoning, str):
        piece.tokens = len(reasoning) // _BYTES_PER_TOKEN + 1 if not piece.text else 0
    if isinstance(logprobs := choice.get("logprobs"), dict):
        piece.logprobs = _read_logprobs(logprobs.get("content"))
        piece.tokens = len(piece.logprobs) or piece.tokens


def _read_logprobs(tokens: Any) -> tuple[int, ...]:
    """The log-probabilities in thousandths; none where they are not as the API says."""
    if not isinstance(tokens, list):
        return ()
    numbers = [token.get("logprob") if isinstance(token, dict) else None for token in tokens]
    if not all(isinstance(number, int | float) for number in numbers):
        return ()
    return tuple(round(max(_LEAST_LOGPROB, min(0.0, number)) * _MILLI) for number in numbers if number is not None)


def finish_of(reason: str) -> str:
    """An upstream's finish reason as one of FINISHES; words of its own for a good end are "stop"."""
    return _FINISHES.get(reason, "stop")


def read_usage(data: Json) -> Usage:
    """The usage in a chunk or an answer."""
    usage = data.get("usage")
    if not isinstance(usage, dict):
        return Usage()
    counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    return Usage(*(count if isinstance(count, int) and count > 0 else 0 for count in counts))


class ChatReading:
    """Reads an answer of chat completions.

    It is complete when each of its choices has a finish reason; for upstreams that know one choice only, when they say
    that they are done.
    """

    def __init__(self, choices: int) -> None:
        self.is_over = False
        self._choices = choices
        self._finishes: dict[int, str] = {}
        self._usage = Usage()

    @property
    def is_complete(self) -> bool:
        """As Reading says."""
        return len(self._finishes) >= (1 if self.is_over else self._choices)

    def take(self, event: ServerEvent) -> Piece | None:
        """The payload of a chunk."""
        if event.data == "[DONE]":
            self.is_over = True
            return None
        return self._take(read_json(event.data), "delta", len(event.data))

    def take_whole(self, body: bytes) -> Piece:
        """The payload of a completion."""
        piece = self._take(read_json(body), "message", len(body))
        if piece is None:
            raise MalformedError("no choices")
        return piece

    def _take(self, data: Json, part: str, size: int) -> Piece | None:
        if "error" in data and "choices" not in data:
            raise BrokenOffError
        if isinstance(data.get("usage"), dict):
            self._usage = read_usage(data)
        piece = read_piece(data, part, size)
        if piece is not None:
            self._finishes.update(piece.finishes)
        return piece

    def end(self) -> tuple[str, Usage]:
        """As Reading says: the finish reason of the first choice."""
        reason = self._finishes[min(self._finishes)] if self._finishes else "stop"
        return finish_of(reason), self._usage


class Chat:
    """Chat completions."""

    name = "chat"
    path = "/chat/completions"
    resumes = True

    def read(self, ask: Ask) -> Reading:
        """As Api says."""
        return ChatReading(ask.choices)

    def headers(self, key: str | None, ask: Ask) -> dict[str, str]:
        """As Api says."""
        return bearer(key)

    def body(self, ask: Ask, name: str, endpoint: EndpointConfig, shown: str, shown_tokens: int) -> bytes:
        """As Api says."""
        body = ask.body
        data = {**body, "model": endpoint.model or name}
        if ask.streams:
            data["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
        if endpoint.logprobs:
            data["logprobs"] = True
        if shown:
            data["messages"] = [*body["messages"], {"role": "assistant", "content": shown}]
            if endpoint.resume == "ask":
                data["messages"].append({"role": "user", "content": RESUME_INSTRUCTION})
            for limit in _LIMITS:
                if isinstance(body.get(limit), int):
                    data[limit] = max(1, body[limit] - shown_tokens)
        return json.dumps(data).encode()


def usage_json(input_tokens: int, output_tokens: int, counted: Any = None) -> Json:
    """A usage object; details that the upstream `counted` beside stay."""
    details = counted if isinstance(counted, dict) else {}
    return {
        **details,
        "prompt_tokens": input_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": input_tokens + output_tokens,
    }
