"""Loops are found, and what only looks like one is not."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewise.core.repetition import HISTORY_BYTES, MARKS_BYTES, WORDS_BYTES, Loop, begin_loop, read_loop, repeats

INTRO = "Let us work through this step by step, since each part of it depends on the one before:"


def found_at(text: str | bytes, times: int = 3) -> int:
    """How many bytes were read when the loop was found; -1 where none is."""
    loop = Loop()
    begin_loop(loop)
    for byte in text if isinstance(text, bytes) else text.encode():
        read_loop(loop, byte)
        if repeats(loop, times):
            return loop.length
    return -1


def prose(size: int, seed: int = 7) -> str:
    """Words in random order: nothing in it repeats for long."""
    words = [
        "tide",
        "harbour",
        "seven",
        "slowly",
        "green",
        "under",
        "because",
        "window",
        "letter",
        "found",
        "where",
        "paper",
        "salt",
        "light",
    ]
    draw = random.Random(seed)
    return " ".join(draw.choice(words) + str(draw.randrange(1000)) for _ in range(size // 8))[:size]


@pytest.mark.parametrize(
    "stretch",
    [
        "ha",
        "pa",  # its two grams have the same hash
        "no, ",
        "The answer is (B).\n",
        "the lower part of ",
        " = \\sqrt{200} - \\sqrt{121}",
        "Я не знаю. ",
        "同じことを",
        "In a haploid organism, the haploid number of chromosomes is ten. ",
        prose(150),
        prose(600),
    ],
)
@pytest.mark.parametrize("times", [2, 3, 5])
def test_a_loop_is_found_soon_after_it_came_often_enough(stretch, times):
    size = len(stretch.encode())
    if size * times > 3000:
        return
    at = found_at(INTRO + stretch * (times + 400 // size + 2), times)
    needed = max(times * size, WORDS_BYTES)
    assert len(INTRO) + needed <= at <= len(INTRO) + needed + 2 * size + 32


@pytest.mark.parametrize("stretch", ["\n", " ", "0", "=", "-+", "🎉"])
def test_marks_repeat_longer_before_they_are_a_loop(stretch):
    room = MARKS_BYTES // len(stretch.encode())
    assert found_at(INTRO + stretch * (room - 2) + "\n" + prose(300)) == -1
    assert found_at(INTRO + stretch * (room + 20)) > 0


TABLE = (
    "| name | value |\n|" + "-" * 60 + "|" + "-" * 60 + "|\n" + "".join(f"| row {n} | {n * n} |\n" for n in range(40))
)
CODE = "def f(x):\n" + "".join(" " * 40 + f"self.field_{n} = x.field_{n}\n" for n in range(30))
POEM = (
    "Sleep, the hills are dark.\n" * 3
    + "Then the lamps go out along the quay, one by one.\n"
    + ("Sleep, the hills are dark.\n" * 3)
)
BOX = "┌" + "─" * 78 + "┐\n" + "│ total" + " " * 72 + "│\n" + "└" + "─" * 78 + "┘\n"
ITEMS = "".join(f"{n}. Take part {n} out of the box and put it beside part {n + 1}.\n" for n in range(20))
RECORDS = "[" + ", ".join(f'{{"id": {n}, "name": "user {n}", "active": true}}' for n in range(30)) + "]"
NUMBER = "A googol is 1" + "0" * 100 + ", and pi is 3.14159265358979323846."


@pytest.mark.parametrize(
    "text",
    [TABLE, CODE, POEM, BOX, ITEMS, RECORDS, NUMBER, "=" * 120 + "\nTitle\n" + "=" * 120, prose(9000), INTRO],
    ids=["table", "code", "poem", "box", "items", "records", "number", "heading", "prose", "short"],
)
def test_what_people_write_is_no_loop(text):
    assert found_at(text) == -1


def test_a_stretch_that_changes_each_time_is_none():
    assert found_at("".join(f"The {n}th slice is worth {n * 3} utils. " for n in range(60))) == -1


def test_longer_than_the_text_kept_is_none():
    assert found_at(prose(HISTORY_BYTES + 100) * 4) == -1


def test_no_period_reaches_beyond_the_text_kept():
    loop = Loop()
    begin_loop(loop)
    for byte in b"compare" + b"0" * (HISTORY_BYTES - 7) + b"compare":
        read_loop(loop, byte)
    assert loop.period == 0


@given(st.binary(min_size=1, max_size=40), st.integers(2, 6))
def test_any_bytes_that_repeat_long_enough_are_a_loop(stretch, times):
    assert found_at(stretch * (1200 // len(stretch) + times), times) > 0


@given(st.binary(max_size=60), st.binary(min_size=1, max_size=30), st.integers(0, 30))
def test_what_is_found_does_repeat(intro, stretch, count):
    """The independent test: some shift of the text agrees with it over all that was claimed."""
    text = intro + stretch * count
    at = found_at(text)
    if at > 0:
        tail = text[:at]
        assert any(
            all(tail[-1 - back] == tail[-1 - back - period] for back in range(max(2 * period, WORDS_BYTES - period)))
            for period in range(1, at // 3 + 1)
        )


def test_an_answer_before_leaves_nothing_behind():
    loop, fresh = Loop(), Loop()
    begin_loop(loop)
    for byte in b"a" * 2000:
        read_loop(loop, byte)
    begin_loop(loop)
    begin_loop(fresh)
    for byte in b"aaaaaaa":
        read_loop(loop, byte)
        read_loop(fresh, byte)
    assert loop.numbers() == fresh.numbers()
    assert bytes(loop.places.cast("B")) == bytes(fresh.places.cast("B"))
