"""Repetition loops: a stretch of text that comes again and again, right behind itself.

A text that repeats with period p equals itself p bytes earlier. The newest place where the last few bytes stood before
proposes p, as in an LZ77 compressor; from then on one comparison a byte counts how long the text keeps to it.
"""

from typing import Annotated

from edgewise.core.types import U8, U16, Record, i32, i64

HISTORY_BYTES = 1024
"""How far back the text is kept, a power of two: the longest period is a little shorter."""

WORDS_BYTES = 128
MARKS_BYTES = 256
"""A loop is at least so long; one without a letter longer, for it may be a ruler, a table's frame or a blank line."""

_GRAM = 7
_PLACES = 256
_RING = HISTORY_BYTES - 1
_REST_OF_GRAM = (1 << 8 * (_GRAM - 1)) - 1
_HALF_BITS = (1 << 4 * _GRAM) - 1


def _is_letter(byte: int) -> bool:
    """Whether a character with this first byte is one of a script: U+2000 to U+2FFF and emoji are marks."""
    return chr(byte).isalpha() if byte < 0x80 else 0xC3 <= byte <= 0xEF and byte != 0xE2


IS_LETTER = tuple(int(_is_letter(byte)) for byte in range(256))


class Loop(Record):
    """What the newest text repeats. `text`: a ring; `period`: 0 while there is none; `run`: bytes that kept to it.

    `gram`: the newest bytes as a number; `places`: where grams were met last, the newest two of each hash, in 16
    bits; `letter_at`: where the newest letter begins.
    """

    length: i64
    gram: i64
    letter_at: i64
    period: i32
    run: i32
    text: Annotated[U8, HISTORY_BYTES]
    places: Annotated[U16, _PLACES]


def begin_loop(loop: Loop) -> None:
    """Forget the text."""
    loop.length = 0
    loop.gram = 0
    loop.letter_at = -1
    loop.period = 0
    loop.run = 0
    for slot in range(_PLACES):
        loop.places[slot] = 0


def read_loop(loop: Loop, byte: int) -> None:
    """Read one byte."""
    at = loop.length
    loop.text[at & _RING] = byte
    loop.length = at + 1
    loop.gram = (loop.gram & _REST_OF_GRAM) << 8 | byte
    if IS_LETTER[byte] == 1:
        loop.letter_at = at
    slot = ((loop.gram ^ loop.gram >> 4 * _GRAM) & _HALF_BITS) * 0x9E3779B1 >> 24 & _PLACES - 2
    if loop.period > 0 and loop.text[(at - loop.period) & _RING] == byte:
        loop.run += 1
    else:
        loop.period = _proposed_period(loop, at, loop.places[slot])
        if loop.period == 0:
            loop.period = _proposed_period(loop, at, loop.places[slot + 1])
        loop.run = _GRAM if loop.period > 0 else 0
    loop.places[slot + 1] = loop.places[slot]
    loop.places[slot] = at & 0xFFFF


def repeats(loop: Loop, times: int) -> bool:
    """Whether the text ends with a stretch that came at least so many times (2 or more) in a row."""
    if loop.period == 0 or loop.run < (times - 1) * loop.period:
        return False
    has_letters = loop.length - loop.letter_at <= loop.period
    return loop.run + loop.period >= (WORDS_BYTES if has_letters else MARKS_BYTES)


def _proposed_period(loop: Loop, at: int, place: int) -> int:
    """How far back the newest gram stood before, by the place that was remembered; 0 where it did not."""
    period = (at - place) & 0xFFFF
    if period == 0 or period > HISTORY_BYTES - _GRAM or period > at - _GRAM + 1:
        return 0
    for back in range(_GRAM):
        if loop.text[(at - back) & _RING] != loop.text[(at - back - period) & _RING]:
            return 0
    return period
