"""Phrases that end a text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewise.core.phrases import (
    REFUSAL,
    REFUSALS_BY_LANGUAGE,
    STALE_BY_LANGUAGE,
    STALE_KNOWLEDGE,
    phrase_at_end,
    phrases_of,
)

KINDS = [(REFUSAL, REFUSALS_BY_LANGUAGE), (STALE_KNOWLEDGE, STALE_BY_LANGUAGE)]
RING = 256


def at_end(text: str, kind: int) -> int:
    data = text.encode()
    ring = bytearray(RING)
    for index, byte in enumerate(data):
        ring[index % RING] = byte
    return phrase_at_end(ring, len(data), kind)


@pytest.mark.parametrize(("kind", "listed"), KINDS, ids=["refusals", "stale knowledge"])
def test_every_phrase_is_found_as_people_write_it(kind, listed):
    assert len(listed) >= 12
    for phrase in phrases_of(listed):
        for form in (phrase, phrase[0].upper() + phrase[1:], phrase.replace("'", "’"), "Hm. " + phrase):
            assert at_end(form, kind) == len(form.removeprefix("Hm. ").encode()), form


@pytest.mark.parametrize(("kind", "listed"), KINDS, ids=["refusals", "stale knowledge"])
def test_every_phrase_is_needed_and_says_enough(kind, listed):
    phrases = phrases_of(listed)
    assert [(one, other) for one in phrases for other in set(phrases) - {one} if one in other] == []
    assert len(phrases) == len(set(phrases))
    assert all(len(phrase.encode()) >= 10 and phrase == phrase.strip() for phrase in phrases)


def test_a_phrase_begins_a_word():
    assert at_end("I can't help with", REFUSAL) > 0
    assert at_end("Hawaii can't help with", REFUSAL) == 0


def test_where_the_text_lies_in_the_ring_makes_no_difference():
    for before in range(0, 2 * RING, 7):
        assert at_end("." * before + "I cannot assist", REFUSAL) == 15


@given(st.text(max_size=80), st.sampled_from([REFUSAL, STALE_KNOWLEDGE]))
def test_any_text_is_read(text, kind):
    assert 0 <= at_end(text, kind) <= len(text.encode())
