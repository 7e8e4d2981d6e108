"""Percentiles by nearest rank."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewise.percentiles import percentile


@pytest.mark.parametrize(
    ("count", "share", "expected"),
    [(100, 0.5, 50), (100, 0.99, 99), (100, 0.07, 7), (1, 0.99, 1), (3, 0, 1), (3, 1, 3)],
)
def test_known(count, share, expected):
    assert percentile(list(range(count, 0, -1)), share) == expected


def test_of_nothing():
    assert percentile([], 0.5) == 0.0


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=300), st.integers(0, 100))
def test_it_is_the_smallest_that_enough_values_do_not_exceed(values, percent):
    needed = max(1, math.ceil(Fraction(percent, 100) * len(values)))
    expected = min(value for value in values if sum(other <= value for other in values) >= needed)
    assert percentile(values, percent / 100) == expected
