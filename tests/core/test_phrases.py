"""Phrases that end a text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewise.core.phrases import (
    LANGUAGE_NAME,
    LANGUAGE_NAMES,
    REFUSAL,
    REFUSALS_BY_LANGUAGE,
    STALE_BY_LANGUAGE,
    STALE_KNOWLEDGE,
    names_language,
    phrase_at_end,
    phrases_of,
)

KINDS = [(REFUSAL, REFUSALS_BY_LANGUAGE), (STALE_KNOWLEDGE, STALE_BY_LANGUAGE), (LANGUAGE_NAME, LANGUAGE_NAMES)]
every_kind = pytest.mark.parametrize(("kind", "listed"), KINDS, ids=["refusals", "stale knowledge", "languages"])
RING = 256


def at_end(text: str, kind: int) -> int:
    data = text.encode()
    ring = bytearray(RING)
    for index, byte in enumerate(data):
        ring[index % RING] = byte
    return phrase_at_end(ring, len(data), kind)


@every_kind
def test_every_phrase_is_found_as_people_write_it(kind, listed):
    assert len(listed) >= 12
    for phrase in phrases_of(listed):
        for form in (phrase, phrase[0].upper() + phrase[1:], phrase.replace("'", "’"), "Hm. " + phrase):
            assert at_end(form, kind) == len(form.removeprefix("Hm. ").encode()), form


@every_kind
def test_every_phrase_is_needed_and_says_enough(kind, listed):
    phrases = phrases_of(listed)
    assert [(one, other) for one in phrases for other in set(phrases) - {one} if one in other] == []
    assert len(phrases) == len(set(phrases))
    assert kind == LANGUAGE_NAME or all(len(phrase.encode()) >= 10 for phrase in phrases)


def test_a_phrase_begins_a_word():
    assert at_end("I can't help with", REFUSAL) > 0
    assert at_end("Hawaii can't help with", REFUSAL) == 0


def test_where_the_text_lies_in_the_ring_makes_no_difference():
    for before in range(0, 2 * RING, 7):
        assert at_end("." * before + "I cannot assist", REFUSAL) == 15


@pytest.mark.parametrize(
    "text",
    [
        "Schreib mir eine Mail auf Englisch, in der ich absage.",
        "Réponds-moi en allemand, s'il te plaît",
        "write a toast in Japanese",
        "Напиши письмо по-английски",
        "用英文写一封辞职信",
        "英語で短いメールを書いて",
        "이 이메일을 영어로 써 줘",
        "اكتب رسالة باللغة الإنجليزية",
    ],
)
def test_an_ask_that_names_a_language(text):
    data = text.encode()
    assert names_language(data.ljust(RING), len(data))


@pytest.mark.parametrize("text", ["", "How do I boil an egg?", "Was kostet ein Brief nach Rom?", "明日の天気は？"])
def test_an_ask_that_names_none(text):
    data = text.encode()
    assert not names_language(data.ljust(RING) + b"in English", len(data))


@given(st.text(max_size=80), st.sampled_from([REFUSAL, STALE_KNOWLEDGE]))
def test_any_text_is_read(text, kind):
    assert 0 <= at_end(text, kind) <= len(text.encode())
