"""Stitching: which part of a resumed answer repeats what the client has already been shown.

A model that is asked to go on where another one stopped may begin again from the start, or with the last words once
more. What it repeats is dropped, so that the client reads one text.
"""

from edgewise.core.types import U8

UNDECIDED = -1
"""More of the answer is needed to tell."""

MIN_OVERLAP = 8
"""Bytes: what is shorter than this may well stand there twice."""
MAX_OVERLAP = 512


def overlap(text: U8, shown: int, shown_length: int, fresh: int, fresh_length: int, whole: bool) -> int:
    """How many of the first bytes of `fresh` repeat what was `shown`; UNDECIDED while that cannot be told.

    Both stand in `text`, as start and length. `whole`: nothing follows `fresh`, so that it is always decided.
    """
    again = _common_prefix(text, shown, shown_length, fresh, fresh_length)
    if again == shown_length:
        return shown_length
    if again == fresh_length:
        return fresh_length if whole else UNDECIDED
    return _repeated_tail(text, shown, shown_length, fresh, fresh_length, whole)


def _repeated_tail(text: U8, shown: int, shown_length: int, fresh: int, fresh_length: int, whole: bool) -> int:
    """The longest end of what was shown with which `fresh` begins, of at least MIN_OVERLAP bytes."""
    pending = False
    for start in range(max(0, shown_length - MAX_OVERLAP), shown_length):
        left = shown_length - start
        common = _common_prefix(text, shown + start, left, fresh, fresh_length)
        if common == left and common >= MIN_OVERLAP:
            return common
        pending = pending or (common == fresh_length and left > common and left >= MIN_OVERLAP)
    return UNDECIDED if pending and not whole else 0


def _common_prefix(text: U8, one: int, one_length: int, other: int, other_length: int) -> int:
    length = min(one_length, other_length)
    for index in range(length):
        if text[one + index] != text[other + index]:
            return index
    return length
