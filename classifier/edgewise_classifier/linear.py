"""A float linear model over every n-gram, all heads at once: it says which n-grams carry the decisions, and it teaches.

Logistic regression by AdaGrad steps (Duchi et al., 2011). An n-gram is identified by the slot and fingerprint that
it would have in the core's table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from edgewise.core import classifier as core
from edgewise.core.labels import TASK_COUNT
from edgewise_classifier.balance import Targets

Array = npt.NDArray[Any]
MARKS = 256
"""Fingerprints a slot can have."""

_TASKS, _DOMAIN_END = TASK_COUNT, core.FIRST_BINARY
_OUTPUTS = core.OUTPUTS
_BINARY = _OUTPUTS - _DOMAIN_END
_RATE = 0.12
_DROP = 0.15


@dataclass(frozen=True)
class Linear:
    """The fitted model: a weight for each identity and output, SLOTS * MARKS x OUTPUTS, and OUTPUTS biases."""

    weights: npt.NDArray[np.float32]
    bias: Array

    def logits(self, ids: Array, offsets: Array, rows: Array) -> npt.NDArray[np.float32]:
        """The logits of some rows, len(rows) x OUTPUTS."""
        found: npt.NDArray[np.float32] = _compiled_predict(ids, offsets, rows, self.weights, self.bias)
        return found


def identities(hashes: Array) -> Array:
    """Slot and fingerprint of each hash, as the core derives them, in one number: slot * MARKS + fingerprint."""
    ids: Array = _compiled_identities(hashes, core.SLOTS)
    return ids


def fit_linear(ids: Array, offsets: Array, order: Array, goal: Targets, *, epochs: int, seed: int) -> Linear:
    """Fit on the rows of `order`; row v * len(goal.task) + i is version v of row i."""
    weights = np.zeros((core.SLOTS * MARKS, _OUTPUTS), np.float32)
    energy = np.zeros(core.SLOTS * MARKS, np.float32)
    bias = np.zeros(_OUTPUTS)
    rng = np.random.default_rng(seed)
    row_weights = goal.weights.astype(np.float64)
    for epoch in range(epochs):
        shuffled = rng.permutation(order)
        rate = _RATE / (1 + epoch)
        labels = (goal.task, goal.domain, goal.binary, row_weights)
        _compiled_fit(ids, offsets, shuffled, *labels, weights, energy, bias, rate, _DROP, seed + epoch)
    return Linear(weights, bias)


def _identities(hashes: Array, slots: int) -> Array:
    out = np.empty(hashes.shape[0], np.int32)
    for k in range(hashes.shape[0]):
        mixed = (np.int64(hashes[k]) * 0x9E3779B1) & 0xFFFFFFFF
        mixed = mixed ^ (mixed >> 15)
        mixed = (mixed * 0x85EBCA6B) & 0xFFFFFFFF
        out[k] = ((mixed * slots) >> 32) * MARKS + ((mixed >> 4) & 0xFF)
    return out


def _fit(
    ids: Array,
    offsets: Array,
    order: Array,
    task: Array,
    domain: Array,
    binary: Array,
    row_weights: Array,
    weights: Array,
    energy: Array,
    bias: Array,
    rate: float,
    drop: float,
    seed: int,
) -> None:
    np.random.seed(seed)
    z = np.empty(_OUTPUTS)
    kept = np.empty(65536, np.int64)
    for version in order:
        i = version % task.shape[0]
        n = 0
        for k in range(offsets[version], offsets[version + 1]):
            if np.random.random() >= drop:
                kept[n] = ids[k]
                n += 1
        if n == 0:
            continue
        value = 1.0 / np.sqrt(n)
        for o in range(_OUTPUTS):
            z[o] = bias[o]
        for k in range(n):
            row = weights[kept[k]]
            for o in range(_OUTPUTS):
                z[o] += value * row[o]
        for head in range(2):
            first = 0 if head == 0 else _TASKS
            last = _TASKS if head == 0 else _DOMAIN_END
            label = task[i] if head == 0 else domain[i]
            weight = row_weights[i, head]
            if label < 0 or weight == 0:
                for o in range(first, last):
                    z[o] = 0
                continue
            top = z[first:last].max()
            total = 0.0
            for o in range(first, last):
                z[o] = np.exp(z[o] - top)
                total += z[o]
            for o in range(first, last):
                z[o] = (z[o] / total - (1.0 if o - first == label else 0.0)) * weight
        for head in range(_BINARY):
            label_value = binary[i, head]
            if label_value < 0:
                z[_DOMAIN_END + head] = 0
            else:
                probability = 1 / (1 + np.exp(-z[_DOMAIN_END + head]))
                z[_DOMAIN_END + head] = (probability - label_value) * row_weights[i, 2 + head]
        square = 0.0
        for o in range(_OUTPUTS):
            bias[o] -= 0.01 * z[o]
            square += z[o] * z[o]
        for k in range(n):
            row = weights[kept[k]]
            energy[kept[k]] += square * value * value
            step = rate * value / np.sqrt(energy[kept[k]] + 1e-6)
            for o in range(_OUTPUTS):
                row[o] -= step * z[o]


def _predict(ids: Array, offsets: Array, rows: Array, weights: Array, bias: Array) -> Array:
    out = np.zeros((rows.shape[0], weights.shape[1]), np.float32)
    for at in range(rows.shape[0]):
        first, last = offsets[rows[at]], offsets[rows[at] + 1]
        for k in range(first, last):
            for o in range(weights.shape[1]):
                out[at, o] += weights[ids[k], o]
        scale = 1 / np.sqrt(max(1, last - first))
        for o in range(weights.shape[1]):
            out[at, o] = out[at, o] * scale + bias[o]
    return out


_compiled_identities: Any = numba.njit(_identities)
_compiled_fit: Any = numba.njit(fastmath=True)(_fit)
_compiled_predict: Any = numba.njit(_predict)
