"""Requests: what callers send, validated."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from edgewise.errors import RequestError
from edgewise.money import PICODOLLARS_PER_DOLLAR
from edgewise.wire import MAX_REQUEST_BYTES, pack_request, read_shorthands

__all__ = ["MAX_REQUEST_BYTES", "Message", "Request", "pack_request"]

_SURROGATE = re.compile("[\ud800-\udfff]")

Role = Literal["system", "developer", "user", "assistant", "tool"]
Need = Literal["tools", "json", "vision", "audio", "live_retrieval", "guarded", "private"]


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
    `session_model`: who answered last in this conversation, and has `cached_tokens` of the prompt in its cache.
    `model`: the only model that may answer. `stream`: whether the answer is read while it is written. `at_ms`: Unix
    time in milliseconds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    messages: tuple[Message, ...] = Field(min_length=1)
    id: Text = ""
    max_tokens: Integer = Field(default=0, ge=0, le=2**31 - 1)
    region: Text = ""
    budget_usd: Number | None = Field(default=None, ge=0.0, le=1e6, allow_inf_nan=False)
    latency_slo_ms: Integer = Field(default=0, ge=0, le=2**31 - 1)
    tier: Literal["unset", "free", "pro", "enterprise"] = "unset"
    tenant: Text = ""
    needs: frozenset[Need] = frozenset()
    objective: Literal["unset", "cost", "balanced", "quality", "latency"] = "unset"
    session: Text = ""
    session_model: Text = ""
    cached_tokens: Integer = Field(default=0, ge=0, le=2**31 - 1)
    model: Text = ""
    stream: Annotated[bool, Field(strict=True)] = False
    at_ms: Integer = Field(default=0, ge=0, le=2**53)

    @property
    def budget(self) -> int:
        """The budget in picodollars; 0 where none was given, at least 1 where one was, so that 0 USD buys nothing."""
        return 0 if self.budget_usd is None else max(1, round(self.budget_usd * PICODOLLARS_PER_DOLLAR))

    @model_validator(mode="before")
    @classmethod
    def _read_shorthands(cls, data: Any) -> Any:
        """Turn `text` into a message, and parts of content into text and needs."""
        return read_shorthands(data)

    @classmethod
    def parse(cls, data: Any) -> Self:
        """The request that a JSON object stands for. Raises RequestError naming the first field that is wrong."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise RequestError(explain(error, _ADVICE)) from None
        except RecursionError:
            raise RequestError("messages: nested too deeply") from None


_ADVICE = {
    "missing": 'missing; a request is {"messages": [{"role": "user", "content": "..."}]} or {"text": "..."}',
    "extra_forbidden": f"unknown; the fields of a request are {', '.join(Request.model_fields)}",
    "too_short": "empty; give at least one message",
}


def explain(error: ValidationError, advice: Mapping[str, str]) -> str:
    """The first problem, as `field: what is wrong`; `advice` says it for some types of errors."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    message = advice.get(first["type"], first["msg"].removeprefix("Value error, "))
    return f"{place}: {message}" if place else message
