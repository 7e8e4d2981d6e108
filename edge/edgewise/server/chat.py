"""Chat completions, the API that clients and upstreams speak: what is read from its JSON, and what is written."""

import json
from dataclasses import dataclass
from typing import Any

from edgewise.config import EndpointConfig

Json = dict[str, Any]

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
_BYTES_PER_TOKEN = 4


class MalformedError(ValueError):
    """What an upstream sent is not what the API says."""


@dataclass(slots=True)
class Piece:
    """One payload chunk of an upstream, or its whole answer: the JSON, and what the monitor reads of it.

    `size`: in bytes, as it came. `finishes`: the finish reason of each choice that ends with it, by index, in the
    upstream's own words.
    """

    data: Json
    size: int
    text: str
    tokens: int
    logprobs: tuple[int, ...]
    tool: bool
    finishes: dict[int, str]


@dataclass(frozen=True, slots=True)
class Usage:
    """What an upstream counted; 0 where it did not."""

    input_tokens: int = 0
    output_tokens: int = 0


def read_json(data: str | bytes) -> Json:
    """The object that an upstream sent. Raises MalformedError."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise MalformedError("not JSON") from None
    if not isinstance(value, dict):
        raise MalformedError("not an object")
    return value


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
        if not isinstance(choice, dict) or not isinstance(choice.get(part, {}), dict):
            raise MalformedError(f"a choice without {part}")
        _read_choice(choice, choice.get(part, {}), piece)
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
    return tuple(min(0, round(max(number, -1e6) * _MILLI)) for number in numbers if number is not None)


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


def upstream_body(
    body: Json, name: str, endpoint: EndpointConfig, *, streams: bool, shown: str = "", shown_tokens: int = 0
) -> bytes:
    """What an upstream is sent: the client's body with the upstream's name of the model.

    `shown`: the beginning of the answer that the client has read, to go on from, of about `shown_tokens`.
    """
    data = {**body, "model": endpoint.model or name}
    if streams:
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
