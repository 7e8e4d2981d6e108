"""What a resumed answer repeats."""

from hypothesis import given
from hypothesis import strategies as st

from edgewise.core.stitching import MIN_OVERLAP, UNDECIDED, overlap

TEXT = st.text(alphabet="ab é", max_size=40)


def drop(shown: str, fresh: str, whole: bool = False) -> int:
    one, other = shown.encode(), fresh.encode()
    return overlap(bytearray(one + other), 0, len(one), len(one), len(other), whole)


def test_an_answer_from_the_start_repeats_all_that_was_shown() -> None:
    assert drop("Hello wor", "Hello world") == len("Hello wor")


def test_the_last_words_once_more_are_dropped() -> None:
    assert drop("The sea is wide and blue", "wide and blue, and deep") == len("wide and blue")


def test_a_few_letters_may_well_stand_there_twice() -> None:
    assert drop("The sea is wide", " wide open") == 0


def test_what_may_still_become_a_repetition_is_waited_for() -> None:
    assert drop("Hello world", "Hel") == UNDECIDED
    assert drop("The sea is wide and blue", "wide an") == UNDECIDED
    assert drop("Hello world", "Hel", whole=True) == len("Hel")
    assert drop("The sea is wide and blue", "wide an", whole=True) == 0


def test_something_new_is_kept() -> None:
    assert drop("Hello world", ", how are you?") == 0


@given(TEXT, TEXT)
def test_what_is_dropped_was_shown_and_ends_between_characters(shown: str, fresh: str) -> None:
    length = drop(shown, fresh, whole=True)
    dropped = fresh.encode()[:length]
    assert dropped.decode() in shown
    assert length == 0 or length >= MIN_OVERLAP or shown.startswith(dropped.decode())


@given(TEXT, TEXT, st.integers(0, 40))
def test_what_was_decided_early_stays_true(shown: str, fresh: str, cut: int) -> None:
    early = drop(shown, fresh[:cut])
    assert early == UNDECIDED or early == drop(shown, fresh) or cut == 0
