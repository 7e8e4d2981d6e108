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


def reliability(confidence: Array, correct: Array, bins: int = 10) -> list[dict[str, float]]:
    """The bins of a reliability plot, those without rows left out: mean confidence, accuracy and number of rows."""
    inside = [_bin(confidence, bins) == index for index in range(bins)]
    return [
        {
            "confidence": float(np.mean(confidence[rows])),
            "accuracy": float(np.mean(correct[rows])),
            "n": int(rows.sum()),
        }
        for rows in inside
        if rows.any()
    ]


def calibration_error(confidence: Array, correct: Array, bins: int = 10) -> float:
    """The expected calibration error over bins of equal width (Naeini et al., AAAI 2015); nan without rows."""
    found = reliability(confidence, correct, bins)
    gaps = [each["n"] * abs(each["confidence"] - each["accuracy"]) for each in found]
    return sum(gaps) / len(confidence) if found else float("nan")


def _bin(confidence: Array, bins: int) -> Array:
    numbers: Array = np.minimum((confidence * bins).astype(int), bins - 1)
    return numbers


def coverage_at(confidence: Array, correct: Array, precision: float) -> tuple[float, float]:
    """The largest share that can be answered at this precision, and the confidence it takes."""
    order = np.argsort(-confidence, kind="stable")
    running = np.cumsum(correct[order]) / np.arange(1, len(order) + 1)
    enough = np.nonzero(running >= precision)[0]
    if len(enough) == 0:
        return 0.0, 1.0
    return float(enough[-1] + 1) / len(order), float(confidence[order][enough[-1]])


def abstention_curve(confidence: Array, correct: Array, points: int = 20) -> list[tuple[float, float]]:
    """Coverage against precision: of the most confident share of rows, the share that is right."""
    order = np.argsort(-confidence, kind="stable")
    running = np.cumsum(correct[order]) / np.arange(1, len(order) + 1)
    lasts = [max(1, round(len(order) * (point + 1) / points)) for point in range(points)] if len(order) else []
    return [(last / len(order), float(running[last - 1])) for last in lasts]


def intervals(
    measure: Callable[[Array], dict[str, float]], rows: Array, samples: int = 500, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """The 95% percentile bootstrap interval of everything that `measure` says of rows, given by their indices."""
    rng = np.random.default_rng(seed)
    drawn = [measure(rng.choice(rows, len(rows))) for _ in range(samples)] if len(rows) else []
    found = {}
    for name in drawn[0] if drawn else ():
        values = np.array([each[name] for each in drawn], float)
        values = values[~np.isnan(values)]
        low, high = np.percentile(values, [2.5, 97.5]) if len(values) else (float("nan"), float("nan"))
        found[name] = (float(low), float(high))
    return found


def interval(metric: Callable[..., float], *arrays: Array, samples: int = 500, seed: int = 0) -> tuple[float, float]:
    """The 95% percentile bootstrap interval of one metric over the rows of arrays."""
    rows = np.arange(len(arrays[0]))
    return intervals(lambda chosen: {"": metric(*(array[chosen] for array in arrays))}, rows, samples, seed)[""]
