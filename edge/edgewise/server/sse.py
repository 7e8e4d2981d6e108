"""Server-sent events, read as they arrive: bytes in, however they are cut, and events out."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")


class EventTooLargeError(Exception):
    """One event is larger than the limit."""


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event: its name, and its data."""

    name: str
    data: str


class EventReader:
    """Reads a stream of events piece by piece. A piece may end anywhere, inside a character too.

    Raises, from `feed`: EventTooLargeError where an event has more bytes than `limit`; UnicodeDecodeError.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = b""
        self._name = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, piece: bytes) -> Iterator[ServerEvent]:
        """The events that are complete with this piece."""
        self._rest += piece
        start = 0
        for end in _LINE_END.finditer(self._rest):
            line = self._rest[start : end.start()]
            start = end.end()
            self._size += len(line)
            if line:
                self._take(line)
            elif event := self._finish():
                yield event
        self._rest = self._rest[start:]
        if self._size + len(self._rest) > self._limit:
            raise EventTooLargeError

    def _take(self, line: bytes) -> None:
        name, _, value = line.decode().partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._name = value

    def _finish(self) -> ServerEvent | None:
        """The event that an empty line ends; None where it has no data."""
        event = ServerEvent(self._name or "message", "\n".join(self._data)) if self._data else None
        self._name, self._data, self._size = "", [], 0
        return event
