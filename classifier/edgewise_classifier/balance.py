"""How much each training row weighs for each head: own prompts most, large public sets and templates least."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.core.classifier import BINARY_HEADS
from edgewise.core.labels import TASKS
from edgewise_classifier.data import UNKNOWN, Row

Array = npt.NDArray[Any]

READ_BY_US = frozenset({"oasst1_en_val", "selfinstruct_seed", "selfinstruct_user", "koala_test"})
"""Prompts of real users whose labels we gave by reading: they weigh like our own."""
TEMPLATES = {"template_aug": 0.3, "p3_t0_templates": 0.3, "uncommonroute_bench": 0.4, "xquad": 0.5}
NOISY = {"donotanswer": 0.3, "evergreen_train_synth": 0.5}
OWN_WEIGHT = 4.0
FULL_WEIGHT_ROWS = 300
TASK_BALANCE = 0.6
TASK_FLOOR = 0.02
"""The share of each task in training is drawn towards what real users asked for (the sets in READ_BY_US)."""
HEAD_WEIGHTS = (1.0, 0.25, 1.0, 1.5, 1.2, 0.8, 0.4, 0.8)
OWN_DIFFICULTY = 0.15
"""Our four levels say less about which model fails than outcomes do."""

_FACTUAL, _TOOL = TASKS.index("factual"), TASKS.index("tool")


@dataclass(frozen=True)
class Targets:
    """Labels of all heads and the weight of every row for every head (task, domain, then the binary heads)."""

    task: npt.NDArray[np.int32]
    domain: npt.NDArray[np.int32]
    binary: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]


def targets(rows: list[Row]) -> Targets:
    """The labels of rows, with what follows from a task where a head's own label is missing.

    A prompt of a task set is taken for safe and without personal data, and one that is neither a question nor an errand
    for timeless; both hold for nearly all of them.
    """
    task = np.array([row.task for row in rows], np.int32)
    domain = np.array([row.domain for row in rows], np.int32)
    columns = [[row.code, row.recency, row.harm, row.jailbreak, row.pii, row.difficulty] for row in rows]
    binary = np.array(columns, np.float32).reshape(len(rows), len(BINARY_HEADS))
    has_task = task != UNKNOWN
    for column in (2, 3, 4):
        binary[has_task & (binary[:, column] < 0), column] = 0
    timeless = has_task & (task != _FACTUAL) & (task != _TOOL) & (binary[:, 1] < 0)
    binary[timeless, 1] = 0
    weights = np.zeros((len(rows), 2 + len(BINARY_HEADS)))
    weights[:, 0] = _balance(rows, task, has_task, TASK_BALANCE, _task_shares(rows))
    weights[:, 1] = _balance(rows, domain, domain != UNKNOWN, 0.5)
    for column in range(5):
        known = binary[:, column] >= 0
        weights[:, 2 + column] = _balance(rows, (binary[:, column] > 0.5).astype(int), known, 0.5)
    weights[:, 7] = np.where(binary[:, 5] < 0, 0, np.where([row.own for row in rows], OWN_DIFFICULTY, 1.0))
    return Targets(task, domain, binary, (weights * HEAD_WEIGHTS).astype(np.float32))


def _task_shares(rows: list[Row]) -> dict[int, float] | None:
    """How often each task is asked for in the sets of real prompts; None where there are too few of them."""
    seen = Counter(row.task for row in rows if row.source in READ_BY_US and row.task != UNKNOWN)
    total = sum(seen.values())
    return {task: seen[task] / total + TASK_FLOOR for task in range(len(TASKS))} if total >= 200 else None


def _balance(
    rows: list[Row], labels: Array, known: Array, class_balance: float, shares: dict[int, float] | None = None
) -> Array:
    sizes = Counter((row.source, int(label)) for row, label, k in zip(rows, labels, known, strict=True) if k)
    weights = np.zeros(len(rows))
    for index, row in enumerate(rows):
        if not known[index]:
            continue
        if row.own or row.source in READ_BY_US:
            weights[index] = OWN_WEIGHT
        else:
            size = sizes[(row.source, int(labels[index]))]
            weights[index] = min(1.0, (FULL_WEIGHT_ROWS / size) ** 0.5)
            weights[index] *= TEMPLATES.get(row.source, 1.0) * NOISY.get(row.source, 1.0)
    totals = {label: weights[known & (labels == label)].sum() for label in set(labels[known].tolist())}
    mean = float(np.mean(list(totals.values()))) if totals else 1.0
    for label, total in totals.items():
        wanted = mean if shares is None else len(shares) * mean * shares[label] / sum(shares.values())
        weights[known & (labels == label)] *= (wanted / max(total, 1e-9)) ** class_balance
    used = weights > 0
    return weights / weights[used].mean() if used.any() else weights
