"""Percentiles of measured times, and how sure the median is."""

import math
from collections.abc import Mapping, Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of the values do not exceed; 0.0 for no values."""
    if not values:
        return 0.0
    ordered = sorted(values)
    rank = math.ceil(round(len(ordered) * share, 6))  # 100 * 0.07 is a little more than 7
    return ordered[max(0, rank - 1)]


def percentile_of_counts(counts: Mapping[int, int], share: float) -> int:
    """The same of values that are given by how often each occurs; 0 for no values."""
    rank = math.ceil(round(sum(counts.values()) * share, 6))
    for value in sorted(counts):
        rank -= counts[value]
        if rank <= 0:
            return value
    return 0


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95% confidence interval of the median: two order statistics, whatever the values' distribution."""
    if not values:
        return 0.0, 0.0
    ordered = sorted(values)
    middle, reach = len(ordered) / 2, 0.98 * math.sqrt(len(ordered))  # 1.96 standard deviations of a fair coin
    low, high = math.floor(middle - reach), math.ceil(middle + reach)
    return ordered[max(0, low)], ordered[min(len(ordered) - 1, high)]
