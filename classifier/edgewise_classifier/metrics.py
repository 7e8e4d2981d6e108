"""Metrics over arrays of labels and scores, and their bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def accuracy(labels: Array, predicted: Array) -> float:
    """The share that is right."""
    return float(np.mean(labels == predicted)) if len(labels) else float("nan")


def macro_f1(labels: Array, predicted: Array) -> float:
    """The mean F1 over the classes that occur among the labels."""
    scores = []
    for value in np.unique(labels):
        hits = float(np.sum((labels == value) & (predicted == value)))
        scores.append(2 * hits / max(1.0, float(np.sum(labels == value) + np.sum(predicted == value))))
    return float(np.mean(scores)) if scores else float("nan")


def balanced_accuracy(labels: Array, predicted: Array) -> float:
    """The mean recall of the classes that occur."""
    return float(np.mean([np.mean(predicted[labels == value] == value) for value in np.unique(labels)]))


def auroc(labels: Array, scores: Array) -> float:
    """The chance that a positive scores above a negative, ties counted half; nan with one class only."""
    positives, negatives = int(np.sum(labels == 1)), int(np.sum(labels == 0))
    if positives == 0 or negatives == 0:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[inverse]
    rank_sum = float(np.sum(ranks[labels == 1]))
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def calibration_error(confidence: Array, correct: Array, bins: int = 10) -> float:
    """The expected calibration error over bins of equal width."""
    edges = np.minimum((confidence * bins).astype(int), bins - 1)
    total = 0.0
    for index in range(bins):
        inside = edges == index
        if inside.any():
            total += float(np.mean(inside)) * abs(float(np.mean(confidence[inside])) - float(np.mean(correct[inside])))
    return total


def coverage_at(confidence: Array, correct: Array, precision: float) -> tuple[float, float]:
    """The largest share that can be answered at this precision, and the confidence it takes."""
    order = np.argsort(-confidence, kind="stable")
    running = np.cumsum(correct[order]) / np.arange(1, len(order) + 1)
    enough = np.nonzero(running >= precision)[0]
    if len(enough) == 0:
        return 0.0, 1.0
    return float(enough[-1] + 1) / len(order), float(confidence[order][enough[-1]])


def interval(metric: Callable[..., float], *arrays: Array, samples: int = 500, seed: int = 0) -> tuple[float, float]:
    """The 95% bootstrap interval of a metric over rows."""
    rng = np.random.default_rng(seed)
    size = len(arrays[0])
    values = []
    for _ in range(samples):
        drawn = rng.integers(0, size, size)
        values.append(metric(*(array[drawn] for array in arrays)))
    if np.isnan(values).all():
        return float("nan"), float("nan")
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)
