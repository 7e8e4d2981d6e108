"""Requests: what callers send, validated, and packed into the bytes that the core reads."""

import re
import struct
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from edgewise.core.labels import NEEDS, OBJECTIVES, ROLES, TIERS
from edgewise.core.layout import Request as RequestRecord
from edgewise.core.transcript import Message as MessageRecord
from edgewise.core.types import Span
from edgewise.errors import RequestError
from edgewise.money import PICODOLLARS_PER_DOLLAR

MAX_REQUEST_BYTES = 32 * 1024 * 1024

_MESSAGE = struct.Struct("<BxxxII")
assert _MESSAGE.size == MessageRecord.size
_SURROGATE = re.compile("[\ud800-\udfff]")

Role = Literal["system", "developer", "user", "assistant", "tool"]
Need = Literal["tools", "json", "vision", "audio", "live_retrieval"]


def _check_text(text: str) -> str:
    """Refuse what UTF-8 cannot carry and what no prompt contains."""
    if surrogate := _SURROGATE.search(text):
        raise ValueError(f"character {surrogate.start()} is a lone surrogate, which is not text; remove it")
    if (position := text.find("\0")) >= 0:
        raise ValueError(f"character {position} is NUL; remove it")
    return text


def _check_number(value: Any) -> Any:
    """Refuse what only reads like a number: text and truth values."""
    if isinstance(value, bool | str):
        raise ValueError("Input should be a number")
    return value


Text = Annotated[str, AfterValidator(_check_text)]
Integer = Annotated[int, BeforeValidator(_check_number)]
Number = Annotated[float, BeforeValidator(_check_number)]


class Message(BaseModel):
    """One turn. `content` is text; anything else of an OpenAI message shows in the request's needs only."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    role: Role
    content: Text = ""


class Request(BaseModel):
    """One request. Only `messages` is required, and `text` stands for one user message.

    `budget_usd`: the most that the answer may cost. `latency_slo_ms`: the longest wait for the first token.
    `at_ms`: Unix time in milliseconds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    messages: tuple[Message, ...] = Field(min_length=1)
    id: Text = ""
    max_tokens: Integer = Field(default=0, ge=0, le=2**31 - 1)
    region: Text = ""
    budget_usd: Number = Field(default=0.0, ge=0.0, le=1e6, allow_inf_nan=False)
    latency_slo_ms: Integer = Field(default=0, ge=0, le=2**31 - 1)
    tier: Literal["unset", "free", "pro", "enterprise"] = "unset"
    tenant: Text = ""
    needs: frozenset[Need] = frozenset()
    objective: Literal["unset", "cost", "balanced", "quality", "latency"] = "unset"
    session: Text = ""
    at_ms: Integer = Field(default=0, ge=0, le=2**53)

    @property
    def budget(self) -> int:
        """The budget in picodollars; 0 where none was given, at least 1 where one was."""
        return max(round(self.budget_usd * PICODOLLARS_PER_DOLLAR), 1 if self.budget_usd > 0 else 0)

    @model_validator(mode="before")
    @classmethod
    def _read_shorthands(cls, data: Any) -> Any:
        """Turn `text` into a message, and parts of content into text and needs."""
        if not isinstance(data, dict):
            raise ValueError('write a request as a JSON object such as {"text": "..."}')
        fields = {key: value for key, value in data.items() if value is not None}
        if "text" in fields:
            if "messages" in fields:
                raise ValueError("give either text or messages, not both")
            fields["messages"] = [{"role": "user", "content": fields.pop("text")}]
        if isinstance(fields.get("messages"), (list, tuple)):
            needs: set[str] = set()
            fields["messages"] = [message for one in fields["messages"] for message in _read_parts(one, needs)]
            given = fields.get("needs", ())
            if needs and isinstance(given, (list, tuple, set, frozenset)):
                fields["needs"] = [*given, *needs]
        return fields

    @classmethod
    def parse(cls, data: Any) -> Self:
        """The request that a JSON object stands for. Raises RequestError naming the first field that is wrong."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise RequestError(_explain(error)) from None
        except RecursionError:
            raise RequestError("messages: nested too deeply") from None


def _read_parts(message: Any, needs: set[str]) -> list[Any]:
    """A message whose content comes in parts, as messages of plain text: tool results become turns of the tool."""
    if not isinstance(message, dict):
        return [message]
    content = message.get("content")
    role = "tool" if message.get("role") == "function" else message.get("role")
    if content is None:
        return [{"role": role, "content": ""}]
    if not isinstance(content, list):
        return [{"role": role, "content": content}]
    texts: list[str] = []
    results: list[str] = []
    for part in content:
        kind = str(part.get("type")) if isinstance(part, dict) else ""
        if kind == "tool_result":
            results.append(_text_of(part.get("content")))
        elif "image" in kind:
            needs.add("vision")
        elif "audio" in kind:
            needs.add("audio")
        else:
            texts.append(_text_of(part))
    turns = [{"role": "tool", "content": result} for result in results]
    return [*turns, {"role": role, "content": "\n".join(texts)}]


def _text_of(part: Any) -> str:
    if isinstance(part, list):
        return "\n".join(_text_of(one) for one in part)
    if isinstance(part, dict):
        part = part.get("text", "")
    return part if isinstance(part, str) else ""


def _explain(error: ValidationError) -> str:
    """The first problem, as `field: what is wrong`."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        message = 'missing; a request is {"messages": [{"role": "user", "content": "..."}]} or {"text": "..."}'
    elif first["type"] == "extra_forbidden":
        message = f"unknown; the fields of a request are {', '.join(Request.model_fields)}"
    elif first["type"] == "too_short":
        message = "empty; give at least one message"
    return f"{place}: {message}" if place else message


def pack_request(request: Request, base: int) -> bytes:
    """The request as the core reads it at address `base`: the record, its messages, then all text.

    Raises RequestError when it is larger than MAX_REQUEST_BYTES.
    """
    contents = [message.content.encode() for message in request.messages]
    strings = [text.encode() for text in (request.id, request.region, request.tenant, request.session)]
    first_message = RequestRecord.size
    first_string = first_message + len(contents) * MessageRecord.size
    first_content = first_string + sum(map(len, strings))
    total = first_content + sum(map(len, contents))
    if total > MAX_REQUEST_BYTES:
        raise RequestError(f"messages: {total} bytes are more than the {MAX_REQUEST_BYTES} that a request may have")
    record = RequestRecord()
    _point(record.messages, base + first_message, len(contents))
    position = base + first_string
    for span, text in zip((record.id, record.region, record.tenant, record.session), strings, strict=True):
        _point(span, position, len(text))
        position += len(text)
    record.needs = sum(1 << NEEDS.index(need) for need in request.needs)
    record.tier = TIERS.index(request.tier)
    record.objective = OBJECTIVES.index(request.objective)
    record.max_output_tokens = request.max_tokens
    record.latency_slo_ms = request.latency_slo_ms
    record.budget = request.budget
    record.at_ms = request.at_ms
    rows = []
    for message, content in zip(request.messages, contents, strict=True):
        rows.append(_MESSAGE.pack(ROLES.index(message.role), position, len(content)))
        position += len(content)
    return b"".join([record.to_bytes(), *rows, *strings, *contents])


def _point(span: Span, start: int, length: int) -> None:
    span.start, span.length = start, length
