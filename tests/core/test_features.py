"""Which n-grams an ask holds, and the shape of its characters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewise.core.features import (
    ENDS,
    MAX_FEATURES,
    SHAPE_CHARACTERS,
    SHAPE_DIGITS,
    SHAPE_IDEOGRAPHS,
    SHAPE_LAST_MARK,
    SHAPE_LINES,
    SHAPE_QUESTIONS,
    SHAPE_UPPER,
    SHAPE_WORDS,
    ZONE_BYTES,
    Features,
    read_features,
)
from support.core import ask_of


def features_of(*turns: tuple[str, str | bytes]) -> Features:
    features = Features()
    read_features(ask_of(*turns), features)
    return features


def hashes_of(*texts: str | bytes) -> list[int]:
    features = features_of(*(("user", text) for text in texts))
    return list(features.hashes[: features.count])


class TestFolding:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("Write A Poem", "write a poem"),
            ("ÉCRIS un poème", "ecris un poeme"),
            ("ПРИВЕТ мир", "привет мир"),
            ("don't stop", "dont stop"),
            ("don’t stop", "don't stop"),
            ("ｈｅｌｌｏ", "hello"),
        ],
    )
    def test_what_reads_alike_has_the_same_features(self, one, other):
        assert hashes_of(one) == hashes_of(other)

    def test_digits_share_a_shape_but_keep_their_value(self):
        first, second = set(hashes_of("in 1984")), set(hashes_of("in 2077"))
        assert first & second
        assert first != second

    def test_word_order_matters(self):
        assert set(hashes_of("dog bites man")) != set(hashes_of("man bites dog"))

    def test_a_typo_leaves_most_of_a_longer_text(self):
        right, wrong = set(hashes_of("summarize this article please")), set(hashes_of("sumarize this article please"))
        assert len(right & wrong) > len(right) * 0.6


class TestZones:
    def test_a_short_turn_is_one_run(self):
        features = features_of(("user", "hello there"))
        assert features.ends[0] == 0
        assert features.ends[1] == features.ends[2] == features.count

    def test_a_long_turn_has_head_middle_and_tail(self):
        features = features_of(("user", "word " * 100))
        head, middle, tail = features.ends[0], features.ends[1], features.ends[2]
        assert 0 < head < middle < tail == features.count

    def test_the_head_does_not_depend_on_what_follows(self):
        head = "please translate this letter into German for my aunt, keep it polite and short: " * 2
        first, second = features_of(("user", head + "x" * 500)), features_of(("user", head + "y 12 " * 100))
        assert len(head) > ZONE_BYTES
        assert first.ends[0] == second.ends[0]
        assert list(first.hashes[: first.ends[0]]) == list(second.hashes[: second.ends[0]])

    def test_turns_before_come_after(self):
        features = features_of(("user", "older"), ("user", "old"), ("user", "new"))
        assert features.ends[2] < features.ends[3] < features.ends[4] == features.count
        assert features.ends[ENDS - 1] == 0

    def test_nothing_to_read(self):
        features = features_of(("user", " "))
        assert features.count == 0


class TestShapes:
    def test_counts(self):
        shapes = features_of(("user", "Is 42 OK?\nYes 日本")).shapes
        assert shapes[SHAPE_CHARACTERS] == len("Is 42 OK?\nYes 日本") + 1  # the end counts as a space
        assert shapes[SHAPE_WORDS] == 4
        assert (shapes[SHAPE_UPPER], shapes[SHAPE_DIGITS], shapes[SHAPE_IDEOGRAPHS]) == (4, 2, 2)
        assert (shapes[SHAPE_LINES], shapes[SHAPE_QUESTIONS], shapes[SHAPE_LAST_MARK]) == (1, 1, ord("?"))


@given(st.binary(max_size=600))
def test_any_bytes_can_be_read(data):
    features = features_of(("user", data))
    assert 0 <= features.count < MAX_FEATURES
    ends = [features.ends[index] for index in range(3)]
    assert ends == sorted(ends)
    assert all(0 <= features.hashes[index] < 2**32 for index in range(features.count))


@pytest.mark.parametrize("unit", ["a", "a ", "!", "日", "한", "1 ", "é ", "\U00020000"])
def test_the_longest_ask_fits(unit):
    features = features_of(*(("user", unit * 5000) for _ in range(4)))
    assert features.count < MAX_FEATURES - 16
