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


@dataclass(frozen=True)
class Rule:
    """How rows are weighed for one head.

    `own`: the weight of a prompt of ours. `full_rows`: a public source and class of that many rows keeps weight 1 each;
    in a larger one, weights fall with the root of its size. `balance`: 1 makes the classes weigh alike, 0 leaves them.
    """

    own: float
    full_rows: int
    balance: float = 0.5


READ_BY_US = frozenset({"oasst1_en_val", "selfinstruct_seed", "selfinstruct_user", "koala_test"})
"""Prompts of real users whose labels we gave by reading: they weigh like our own."""
TEMPLATES = {"template_aug": 0.3, "p3_t0_templates": 0.3, "uncommonroute_bench": 0.4, "xquad": 0.5}
NOISY = {"donotanswer": 0.3, "evergreen_train_synth": 0.5}
READ_FOR_RECENCY = frozenset({"nq_open_dev", "timeqa_explicit", "webquestions"})
"""Questions as people type them into a search box, of which we read which ones age."""
TASK_RULE = Rule(own=3.0, full_rows=300)
PUBLIC_RULE = Rule(own=1.5, full_rows=4000)
RULES = {
    "code": TASK_RULE,
    "recency": PUBLIC_RULE,
    "harm": PUBLIC_RULE,
    "jailbreak": PUBLIC_RULE,
    "pii": Rule(own=2.0, full_rows=600),
}
"""A head whose public sets are good leans on them more, and on our prompts less, than the task does."""
TASK_BALANCE = 0.6
TASK_FLOOR = 0.02
"""The share of each task in training is drawn towards what real users asked for (the sets in READ_BY_US)."""
HEAD_WEIGHTS = (1.6, 0.25, 1.2, 1.0, 1.6, 1.2, 0.4, 0.8)
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
    weights[:, 0] = _balance(rows, task, has_task, TASK_RULE, _task_shares(rows))
    weights[:, 1] = _balance(rows, domain, domain != UNKNOWN, TASK_RULE)
    for column, name in enumerate(BINARY_HEADS[:5]):
        known = binary[:, column] >= 0
        weights[:, 2 + column] = _balance(rows, (binary[:, column] > 0.5).astype(int), known, RULES[name])
    weights[:, 7] = np.where(binary[:, 5] < 0, 0, np.where([row.own for row in rows], OWN_DIFFICULTY, 1.0))
    return Targets(task, domain, binary, (weights * HEAD_WEIGHTS).astype(np.float32))


def _task_shares(rows: list[Row]) -> dict[int, float] | None:
    """How often each task is asked for in the sets of real prompts; None where there are too few of them."""
    seen = Counter(row.task for row in rows if row.source in READ_BY_US and row.task != UNKNOWN)
    total = sum(seen.values())
    if total < 200:
        return None
    return {task: seen[task] / total + TASK_FLOOR for task in range(len(TASKS))}


def _balance(rows: list[Row], labels: Array, known: Array, rule: Rule, shares: dict[int, float] | None = None) -> Array:
    sizes = Counter((row.source, int(label)) for row, label, k in zip(rows, labels, known, strict=True) if k)
    weights = np.zeros(len(rows))
    for index, row in enumerate(rows):
        if not known[index]:
            continue
        if row.own or row.source in READ_BY_US:
            weights[index] = rule.own
        else:
            size = sizes[(row.source, int(labels[index]))]
            weights[index] = min(1.0, (rule.full_rows / size) ** 0.5)
            weights[index] *= TEMPLATES.get(row.source, 1.0) * NOISY.get(row.source, 1.0)
            if rule is RULES["recency"] and row.source in READ_FOR_RECENCY:
                weights[index] *= 2
    totals = {label: weights[known & (labels == label)].sum() for label in set(labels[known].tolist())}
    mean = float(np.mean(list(totals.values()))) if totals else 1.0
    for label, total in totals.items():
        wanted = mean if shares is None else len(shares) * mean * shares[label] / sum(shares.values())
        weights[known & (labels == label)] *= (wanted / max(total, 1e-9)) ** (
            TASK_BALANCE if shares is not None else rule.balance
        )
    used = weights > 0
    return weights / weights[used].mean() if used.any() else weights
