"""Events are the same however their bytes are cut."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewise.server.sse import EventReader, EventTooLargeError, ServerEvent

STREAM = (
    b": a comment\n\n"
    b"data: one\n\n"
    b"event: named\r\ndata: two\r\ndata:  lines\r\n\r\n"
    b"id: 7\rdata:no space\r\r"
    b"retry: 10\n\n"
    b"data\n\n"
    b"data: \xe2\x80\x94 \xf0\x9f\xa6\xad\n\n"
)
EVENTS = [
    ServerEvent("message", "one"),
    ServerEvent("named", "two\n lines"),
    ServerEvent("message", "no space"),
    ServerEvent("message", ""),
    ServerEvent("message", "— 🦭"),
]


def read(*pieces: bytes, limit: int = 1000) -> list[ServerEvent]:
    reader = EventReader(limit)
    return [event for piece in pieces for event in reader.feed(piece)]


def test_every_form_of_an_event() -> None:
    assert read(STREAM) == EVENTS


@given(st.sets(st.integers(1, len(STREAM) - 1)))
def test_cuts_make_no_difference(cuts: set[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    assert read(*(STREAM[start:end] for start, end in itertools.pairwise(places))) == EVENTS


def test_an_event_that_is_not_complete_is_none() -> None:
    assert read(b"data: one\n") == []
    assert read(b"data: one\n\ndata: tw") == [ServerEvent("message", "one")]


def test_bytes_that_are_not_text() -> None:
    with pytest.raises(UnicodeDecodeError):
        read(b"data: \xe2\x80\n\n")


@pytest.mark.parametrize("pieces", [[b"data: " + b"a" * 50], [b"data: aaaaaaaa\n"] * 5, [b"a"] * 50])
def test_an_event_has_a_largest_size(pieces: list[bytes]) -> None:
    with pytest.raises(EventTooLargeError):
        read(*pieces, limit=40)
    assert len(read(*[b"data: aaaaaaaa\n\n"] * 100, limit=40)) == 100
