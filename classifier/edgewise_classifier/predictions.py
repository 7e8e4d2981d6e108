"""What the shipped classifier says of many prompts, and which prompts are asked."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from edgewise.core import classifier as core
from edgewise.core.labels import DOMAIN_COUNT, SCORE_ONE, TASK_COUNT
from edgewise_classifier.data import Row
from edgewise_classifier.metrics import Array
from edgewise_classifier.runtime import CoreClassifier


@dataclass(frozen=True)
class Predictions:
    """The scores of n prompts, from 0 to 1: `task` n x TASK_COUNT, `domain` n x DOMAIN_COUNT, the others n."""

    task: Array
    domain: Array
    binary: dict[str, Array]
    abstained: Array

    @property
    def unsafe(self) -> Array:
        """The higher of the two safety scores."""
        highest: Array = np.maximum(self.binary["harm"], self.binary["jailbreak"])
        return highest


def predict(classifier: CoreClassifier, rows: Sequence[Row]) -> Predictions:
    """Classify rows through the compiled core."""
    task = np.zeros((len(rows), TASK_COUNT))
    domain = np.zeros((len(rows), DOMAIN_COUNT))
    binary = {name: np.zeros(len(rows)) for name in core.BINARY_HEADS}
    abstained = np.zeros(len(rows), bool)
    for index, row in enumerate(rows):
        scores = classifier.classify(row.messages)
        task[index] = scores["task"][0] / SCORE_ONE
        domain[index] = scores["domain"][0] / SCORE_ONE
        for name in core.BINARY_HEADS:
            binary[name][index] = scores[name][0] / SCORE_ONE
        abstained[index] = scores["task"][0].max() < scores["abstain_below"][0]
    return Predictions(task, domain, binary, abstained)


def sample(
    rows: Sequence[Row], limit: int, seed: int, group: Callable[[Row], Hashable] = lambda row: row.source
) -> list[Row]:
    """At most `limit` rows of each group, by default of each source, in a fixed order."""
    groups: dict[Hashable, list[Row]] = defaultdict(list)
    for row in rows:
        groups[group(row)].append(row)
    drawn: list[Row] = []
    for name in sorted(groups, key=str):
        rng = random.Random(f"{seed}-{name}")
        drawn += groups[name] if len(groups[name]) <= limit else rng.sample(groups[name], limit)
    return drawn
