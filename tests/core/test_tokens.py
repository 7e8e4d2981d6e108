"""The token estimate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewise.core.tokens import UNITS_OF_BYTE, estimate, units
from support.core import CountingBuffer

PROSE = "The committee will publish its findings next week, and members may comment until the end of the month. "


def tokens(text: str) -> int:
    return estimate(text.encode(), 0, len(text.encode()))


def test_nothing_is_no_token():
    assert tokens("") == 0


@given(st.text(min_size=1, max_size=2000))
def test_any_text_has_a_token(text):
    assert tokens(text) >= 1


@pytest.mark.parametrize(
    ("text", "expected"),
    # Counts of common byte-pair vocabularies for these texts; the estimate stays within 40%.
    [
        (PROSE, 20),
        ("def add(a: int, b: int) -> int:\n    return a + b\n", 19),
        ("今日は天気がいいので、公園を散歩しました。", 20),
        ("Мы решили перенести встречу на следующую неделю.", 15),
        ("3.14159 26535 89793", 11),
    ],
)
def test_it_is_close_to_real_vocabularies(text, expected):
    assert 0.6 * expected <= tokens(text) <= 1.4 * expected


@given(st.text(max_size=700))
def test_a_stretch_counts_as_if_it_stood_alone(text):
    data = text.encode()
    framed = b"xyz" + data + b"123"
    assert estimate(framed, 3, len(data)) == estimate(data, 0, len(data))
    assert units(framed, 3, len(data)) == units(data, 0, len(data))


@given(st.text(max_size=100), st.text(max_size=100))
def test_units_add_up(left, right):
    both = (left + right).encode()
    cut = len(left.encode())
    assert units(both, 0, len(both)) == units(both, 0, cut) + units(both, cut, len(both) - cut)


@pytest.mark.parametrize("size", [769, 10_000, 1_000_000])
def test_a_long_text_is_sampled(size):
    text = (PROSE * (size // len(PROSE) + 1)).encode()[:size]
    buffer = CountingBuffer(text)
    sampled = estimate(buffer, 0, size)
    assert buffer.reads <= 768
    exact = units(text, 0, size) / 64
    assert abs(sampled - exact) <= 0.05 * exact + 2


def test_only_the_first_byte_of_a_character_counts():
    assert len(UNITS_OF_BYTE) == 256
    assert set(UNITS_OF_BYTE[0x80:0xC0]) == {0}
    assert min(UNITS_OF_BYTE[:0x80] + UNITS_OF_BYTE[0xC0:]) > 0
