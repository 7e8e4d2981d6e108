"""Which decisions stay the same when a prompt is changed in a way that should not matter."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from edgewise_classifier.data import UNKNOWN, Row
from edgewise_classifier.heads import THRESHOLD, Figures, summarize
from edgewise_classifier.language import CoreIdentifier
from edgewise_classifier.metrics import Array
from edgewise_classifier.perturb import PERTURBATIONS
from edgewise_classifier.predictions import Predictions, predict, sample
from edgewise_classifier.runtime import CoreClassifier

PROMPTS = 1500

Decisions = dict[str, Array]


def robustness(classifier: CoreClassifier, rows: Sequence[Row], seed: int) -> dict[str, Figures]:
    """For each perturbation of the last turn, and for each head, the share of decisions that stay the same.

    On at most PROMPTS of the rows that have a task. `task_accuracy` is how many tasks are right afterwards.
    """
    asked = [row for row in rows if row.task != UNKNOWN]
    chosen = sample(asked, PROMPTS, seed, group=lambda _: "all")
    identify = CoreIdentifier()
    labels = np.array([row.task for row in chosen])
    before = _decisions(predict(classifier, chosen), identify, chosen)
    figures = {}
    for name, perturb in PERTURBATIONS.items():
        rng = random.Random(f"{seed}-{name}")
        changed = [_with_last_turn(row, perturb(row.messages[-1][1], rng)) for row in chosen]
        figures[name] = _compare(before, _decisions(predict(classifier, changed), identify, changed), labels)
    return figures


def _with_last_turn(row: Row, text: str) -> Row:
    turns = (*row.messages[:-1], (row.messages[-1][0], text))
    return Row(row.id, row.source, text, row.lang, row.role, messages=turns)


def _decisions(found: Predictions, identify: CoreIdentifier, rows: Sequence[Row]) -> Decisions:
    yes = {name: found.binary[name] >= THRESHOLD for name in ("code", "recency", "pii")}
    languages = np.array([identify(row.messages[-1][1]).language for row in rows])
    return {
        "task": found.task.argmax(1),
        "domain": found.domain.argmax(1),
        **yes,
        "safety": found.unsafe >= THRESHOLD,
        "language": languages,
    }


def _compare(before: Decisions, after: Decisions, labels: Array) -> Figures:
    def measure(chosen: Array) -> dict[str, float]:
        same = {head: float(np.mean(before[head][chosen] == after[head][chosen])) for head in before}
        return {**same, "task_accuracy": float(np.mean(after["task"][chosen] == labels[chosen]))}

    return summarize(measure, np.arange(len(labels)))
