"""What every API of upstreams has in common: how an answer is read, and how a call is made."""

import json
from dataclasses import dataclass, field
from typing import Any, Protocol

from edgewise.config import EndpointConfig
from edgewise.request import Request
from edgewise.server.sse import ServerEvent

Json = dict[str, Any]


class MalformedError(ValueError):
    """What an upstream sent is not what the API says."""


class BrokenOffError(Exception):
    """An upstream says inside its answer that it cannot go on."""


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


@dataclass(frozen=True, slots=True)
class Ask:
    """One request of a client. `body`: what is passed on. `choices`: how many answers it wants at once."""

    api: "Api"
    request: Request
    body: Json
    streams: bool
    choices: int = 1
    wants_usage: bool = False
    explain: bool = False
    headers: Json = field(default_factory=dict)

    @property
    def wants_logprobs(self) -> bool:
        """Whether the client asked for log-probabilities itself."""
        return bool(self.body.get("logprobs"))


class Reading(Protocol):
    """Reads one answer: its events or its whole body as pieces, and how it ended."""

    is_over: bool
    """Nothing follows that belongs to the answer."""

    @property
    def is_complete(self) -> bool:
        """The answer has all its text and its finish reason; perhaps its usage still comes."""

    def take(self, event: ServerEvent) -> Piece | None:
        """The payload of an event. Raises MalformedError, BrokenOffError."""

    def take_whole(self, body: bytes) -> Piece:
        """The payload of a whole answer. Raises MalformedError, BrokenOffError."""

    def end(self) -> tuple[str, Usage]:
        """One of FINISHES, and the usage."""


class Api(Protocol):
    """An API that clients and upstreams speak."""

    name: str
    path: str
    resumes: bool
    """Whether a model can be made to go on with an answer that another one began."""

    def read(self, ask: Ask) -> Reading:
        """For one answer to an ask."""

    def headers(self, key: str | None, ask: Ask) -> dict[str, str]:
        """What an upstream is sent beside the body: the key of the endpoint, and headers that belong to the API."""

    def body(self, ask: Ask, name: str, endpoint: EndpointConfig, shown: str, shown_tokens: int) -> bytes:
        """What an upstream is sent: the client's body with the upstream's name of the model.

        `shown`: the beginning of the answer that the client has read, to go on from, of about `shown_tokens`.
        """


def bearer(key: str | None) -> dict[str, str]:
    """The key as most APIs want it."""
    return {} if key is None else {"authorization": f"Bearer {key}"}


def read_json(data: str | bytes) -> Json:
    """The object that an upstream sent. Raises MalformedError."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise MalformedError("not JSON") from None
    if not isinstance(value, dict):
        raise MalformedError("not an object")
    return value
