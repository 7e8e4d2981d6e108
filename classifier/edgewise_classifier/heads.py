"""The figures of a head: pooled and by source, with intervals, calibration and the abstention curve.

A figure named M has its 95% bootstrap interval beside it as M_interval.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from edgewise.core.labels import CLUSTER_OF_TASK, TASK_COUNT, TASKS
from edgewise_classifier import metrics
from edgewise_classifier.data import UNKNOWN, Row
from edgewise_classifier.metrics import Array

Measure = Callable[[Array], dict[str, float]]
Figures = dict[str, Any]

POOLED_DRAWS = 500
SOURCE_DRAWS = 200
THRESHOLD = 0.5
PRECISIONS = (0.8, 0.85, 0.9, 0.95)
NOT_POOLED = {"recency": frozenset({"realtimeqa"})}
"""realtimeqa asks about past events in the wording of a quiz: shown, not pooled."""

_TIMELESS = ("code", "reasoning", "creative")
_ROWS_OF_A_LANGUAGE = 20


def summarize(measure: Measure, chosen: Array, draws: int = POOLED_DRAWS) -> Figures:
    """What a measure says of the chosen rows, each figure with its interval, and their number."""
    found = metrics.intervals(measure, chosen, draws)
    return {**measure(chosen), **{f"{name}_interval": bounds for name, bounds in found.items()}, "n": len(chosen)}


def _by_source(rows: Sequence[Row], known: Array, measure: Measure, draws: int) -> dict[str, Figures]:
    sources = np.array([row.source for row in rows])
    return {
        source: summarize(measure, np.nonzero(known & (sources == source))[0], draws)
        for source in sorted(set(sources[known].tolist()))
    }


def _pool(known: Array, measure: Measure, right: Array, confidence: Array) -> Figures:
    """The pooled part of a head; `right` and `confidence` are of all rows, `known` says which have a label to pool."""
    pooled = np.nonzero(known)[0]
    if len(pooled) == 0:
        return {"n": 0}
    figures = summarize(measure, pooled)
    figures["reliability"] = metrics.reliability(confidence[pooled], right[pooled])
    figures["abstention_curve"] = metrics.abstention_curve(confidence[pooled], right[pooled])
    return figures


def task_head(rows: Sequence[Row], scores: Array, source_draws: int = SOURCE_DRAWS) -> Figures:
    """The figures of the task head from its scores, rows x TASK_COUNT."""
    labels = np.array([row.task for row in rows])
    predicted, confidence = scores.argmax(1), scores.max(1)
    right = (labels == predicted).astype(float)
    clusters = np.array(CLUSTER_OF_TASK)

    def measure(chosen: Array) -> dict[str, float]:
        truth, guess = labels[chosen], predicted[chosen]
        return {
            "accuracy": metrics.accuracy(truth, guess),
            "macro_f1": metrics.macro_f1(truth, guess),
            "cluster_accuracy": metrics.accuracy(clusters[truth], clusters[guess]),
            "calibration_error": metrics.calibration_error(confidence[chosen], right[chosen]),
        }

    known = labels != UNKNOWN
    pooled, sources = _pool(known, measure, right, confidence), _by_source(rows, known, measure, source_draws)
    if sources:
        chosen = np.nonzero(known)[0]
        pooled["mean_of_sources"] = float(np.mean([entry["accuracy"] for entry in sources.values()]))
        pooled["coverage"] = {
            str(precision): metrics.coverage_at(confidence[chosen], right[chosen], precision)[0]
            for precision in PRECISIONS
        }
        table = np.zeros((TASK_COUNT, TASK_COUNT), int)
        np.add.at(table, (labels[chosen], predicted[chosen]), 1)
        pooled["confusion"] = table.tolist()
        pooled["languages"] = accuracy_by_language([rows[index] for index in chosen.tolist()], right[chosen])
    return {"pooled": pooled, "sources": sources}


def accuracy_by_language(rows: Sequence[Row], right: Array) -> dict[str, Figures]:
    """The share of rows that are right in each language of which there are enough."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        groups[row.lang].append(index)
    return {
        language: summarize(lambda chosen: {"accuracy": float(np.mean(right[chosen]))}, np.array(group), SOURCE_DRAWS)
        for language, group in sorted(groups.items())
        if len(group) >= _ROWS_OF_A_LANGUAGE
    }


def domain_head(rows: Sequence[Row], scores: Array) -> Figures:
    """The figures of the domain head from its scores, rows x DOMAIN_COUNT."""
    labels = np.array([row.domain for row in rows])
    predicted, confidence = scores.argmax(1), scores.max(1)
    right = (labels == predicted).astype(float)

    def measure(chosen: Array) -> dict[str, float]:
        return {
            "accuracy": metrics.accuracy(labels[chosen], predicted[chosen]),
            "macro_f1": metrics.macro_f1(labels[chosen], predicted[chosen]),
            "calibration_error": metrics.calibration_error(confidence[chosen], right[chosen]),
        }

    known = labels != UNKNOWN
    sources = _by_source(rows, known, measure, SOURCE_DRAWS)
    return {"pooled": _pool(known, measure, right, confidence), "sources": sources}


def binary_head(
    rows: Sequence[Row],
    labels: Array,
    scores: Array,
    not_pooled: Collection[str] = (),
    source_draws: int = SOURCE_DRAWS,
) -> Figures:
    """The figures of a head that says yes from THRESHOLD on; `labels`: 1, 0 or UNKNOWN, `scores`: from 0 to 1."""
    guess = (scores >= THRESHOLD).astype(int)
    right = (guess == labels).astype(float)
    confidence = np.maximum(scores, 1 - scores)

    def measure(chosen: Array) -> dict[str, float]:
        truth, yes = labels[chosen], guess[chosen]
        return {
            "accuracy": metrics.accuracy(truth, yes),
            "balanced_accuracy": metrics.balanced_accuracy(truth, yes),
            "auroc": metrics.auroc(truth, scores[chosen]),
            "precision": _share(truth[yes == 1]),
            "recall": _share(yes[truth == 1]),
            "false_positives": _share(yes[truth == 0]),
            "calibration_error": metrics.calibration_error(confidence[chosen], right[chosen]),
        }

    known = labels != UNKNOWN
    names = np.array([row.source for row in rows])
    to_pool = known & ~np.isin(names, list(not_pooled))
    pooled, sources = _pool(to_pool, measure, right, confidence), _by_source(rows, known, measure, source_draws)
    pooled["positives"] = int(np.sum(labels[to_pool]))
    for source, figures in sources.items():
        figures["positives"] = int(np.sum(labels[known & (names == source)]))
    return {"pooled": pooled, "sources": sources}


def _share(yes: Array) -> float:
    return float(np.mean(yes)) if len(yes) else float("nan")


def labels_of(head: str, rows: Sequence[Row]) -> Array:
    """The labels of a head that `binary_head` measures: code, recency, safety or pii."""
    if head == "safety":
        return np.array([_unsafe(row) for row in rows])
    return np.array([getattr(row, head) for row in rows])


def _unsafe(row: Row) -> int:
    """1 for unsafe prompts, 0 for those labelled safe and for the prompts of task sets, which are the benign mix."""
    if row.harm != UNKNOWN:
        return int(row.harm == 1 or row.jailbreak == 1)
    return 0 if row.task != UNKNOWN else UNKNOWN


def recency_false_positives(rows: Sequence[Row], scores: Array) -> dict[str, Figures]:
    """By task, how many prompts of tasks that hardly ever age are taken for time-sensitive."""
    tasks = np.array([row.task for row in rows])
    dated = np.array([row.recency for row in rows]) == 1
    groups = {task: np.nonzero((tasks == TASKS.index(task)) & ~dated)[0] for task in _TIMELESS}

    def measure(chosen: Array) -> dict[str, float]:
        return {"share": float(np.mean(scores[chosen] >= THRESHOLD))}

    return {task: summarize(measure, chosen) for task, chosen in groups.items() if len(chosen)}
