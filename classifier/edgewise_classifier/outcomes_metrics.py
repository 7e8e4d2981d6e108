"""How a router's quality and cost are put into one number, as two papers define it.

RouterBench (Hu et al. 2024, "RouterBench: A Benchmark for Multi-LLM Routing System", section 3): a router is a set of
points of mean cost and mean quality; of their non-decreasing convex hull the average quality over the range of costs is
taken, the AIQ ("average improvement in quality"). RouteLLM (Ong et al. 2024, "RouteLLM: Learning to Route LLMs with
Preference Data", section 3): between a weak and a strong model, the share of the gap in quality that is recovered (PGR)
as a function of the share of calls to the strong model; its mean is APGR, and CPT(x) is the share of calls that PGR = x
takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
BOOTSTRAPS = 500


def hull(costs: Array, qualities: Array) -> tuple[Array, Array]:
    """The non-decreasing convex hull of points: from the cheapest on, every mix of two points that nothing beats."""
    corners: list[tuple[float, float]] = []
    order = np.lexsort((-qualities, costs))
    for cost, quality in zip(costs[order].tolist(), qualities[order].tolist(), strict=True):
        if corners and quality <= corners[-1][1]:
            continue
        while len(corners) > 1 and _is_below(corners[-2], corners[-1], (cost, quality)):
            corners.pop()
        corners.append((cost, quality))
    found = np.array(corners)
    return found[:, 0], found[:, 1]


def _is_below(left: tuple[float, float], middle: tuple[float, float], right: tuple[float, float]) -> bool:
    """Whether the middle point is not above the line between the others."""
    rise = (right[1] - left[1]) * (middle[0] - left[0])
    return (middle[1] - left[1]) * (right[0] - left[0]) <= rise


def aiq(costs: Array, qualities: Array, cheapest: float, dearest: float) -> float:
    """The mean quality of the hull over costs from `cheapest` to `dearest`; level outside its points."""
    x, y = hull(costs, qualities)
    inside = x[(x > cheapest) & (x < dearest)]
    at = np.concatenate([[cheapest], inside, [dearest]])
    return float(np.trapezoid(np.interp(at, x, y), at) / (dearest - cheapest))


def cost_of_quality(costs: Array, qualities: Array, wanted: float) -> float:
    """The least cost at which the hull reaches a quality; inf where it never does."""
    x, y = hull(costs, qualities)
    return float(np.interp(wanted, y, x)) if y[-1] >= wanted else float("inf")


def recovered(scores: Array, weak: Array, strong: Array) -> tuple[Array, Array]:
    """RouteLLM's curve: shares of calls to the strong model, highest scores first, and the gap in quality recovered.

    Rows with equal scores are taken in random order; the curve is what is to be expected of that.
    """
    order = np.argsort(-scores, kind="stable")
    gains = (strong - weak)[order]
    ends = np.append(np.nonzero(np.diff(scores[order]))[0], len(scores) - 1)
    shares = np.concatenate([[0.0], (ends + 1) / len(scores)])
    gap = np.concatenate([[0.0], np.cumsum(gains)[ends]]) / gains.sum()
    return shares, gap


def apgr(scores: Array, weak: Array, strong: Array) -> float:
    """The mean share of the gap that is recovered, over all shares of calls; 0.5 where the scores say nothing."""
    shares, gap = recovered(scores, weak, strong)
    return float(np.trapezoid(gap, shares))


def cpt(scores: Array, weak: Array, strong: Array, wanted: float) -> float:
    """The share of calls to the strong model from which on `wanted` of the gap is recovered."""
    shares, gap = recovered(scores, weak, strong)
    after = int(np.argmax(gap >= wanted))
    return float(np.interp(wanted, gap[after - 1 : after + 1], shares[after - 1 : after + 1]))


def bootstrap(size: int, measure: Callable[[Array], float], samples: int = BOOTSTRAPS, seed: int = 0) -> list[float]:
    """The 95% interval of a measure of row indexes, over rows drawn with replacement."""
    rng = np.random.default_rng(seed)
    values = [measure(rng.integers(0, size, size)) for _ in range(samples)]
    return [float(value) for value in np.percentile(values, [2.5, 97.5])]
