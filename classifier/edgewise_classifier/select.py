"""Chooses the n-grams that own the slots: a float linear model over all of them says which ones carry the decisions."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from edgewise.core import classifier as core
from edgewise.core.labels import TASK_COUNT
from edgewise_classifier.balance import Targets
from edgewise_classifier.features import Hashed

Array = npt.NDArray[Any]
_TASKS, _DOMAIN_END = TASK_COUNT, core.FIRST_BINARY
_OUTPUTS = core.OUTPUTS
_BINARY = _OUTPUTS - _DOMAIN_END
_MARKS = 256


def identities(hashes: Array, slots: int) -> Array:
    """Slot and fingerprint of each hash, as the core derives them, in one number."""
    out = np.empty(hashes.shape[0], np.int32)
    for k in range(hashes.shape[0]):
        mixed = (np.int64(hashes[k]) * 0x9E3779B1) & 0xFFFFFFFF
        mixed = mixed ^ (mixed >> 15)
        mixed = (mixed * 0x85EBCA6B) & 0xFFFFFFFF
        out[k] = ((mixed * slots) >> 32) * 256 + ((mixed >> 4) & 0xFF)
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
    for i in order:
        n = 0
        for k in range(offsets[i], offsets[i + 1]):
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


def _usage(ids: Array, offsets: Array, order: Array, weight: Array, share: Array, rows: Array, last: Array) -> None:
    for i in order:
        count = offsets[i + 1] - offsets[i]
        for k in range(offsets[i], offsets[i + 1]):
            feature = ids[k]
            share[feature] += weight[i] / count
            if last[feature] != i:
                last[feature] = i
                rows[feature] += 1


def _best(score: Array, slots: int) -> Array:
    marks = np.zeros(slots, np.uint8)
    for slot in range(slots):
        top = 0.0
        for mark in range(_MARKS):
            if score[slot * _MARKS + mark] > top:
                top = score[slot * _MARKS + mark]
                marks[slot] = mark
    return marks


def select(
    hashed: Hashed, order: Array, goal: Targets, *, epochs: int = 2, min_rows: int = 3, seed: int = 0
) -> npt.NDArray[np.uint8]:
    """The fingerprint of the n-gram that owns each slot.

    The score of an n-gram is the weight it got in the linear model, squared, times how much of the rows it makes up;
    those in fewer than `min_rows` rows are left out.
    """
    ids = _compiled_identities(hashed.hashes, core.SLOTS)
    size = core.SLOTS * _MARKS
    weights = np.zeros((size, _OUTPUTS), np.float32)
    energy = np.zeros(size, np.float32)
    bias = np.zeros(_OUTPUTS)
    order = order.copy()
    rng = np.random.default_rng(seed)
    row_weights = goal.weights.astype(np.float64)
    for epoch in range(epochs):
        rng.shuffle(order)
        rate = 0.12 / (1 + epoch)
        _compiled_fit(
            ids,
            hashed.offsets,
            order,
            goal.task,
            goal.domain,
            goal.binary,
            row_weights,
            weights,
            energy,
            bias,
            rate,
            0.15,
            seed + epoch,
        )
    share, rows = np.zeros(size, np.float32), np.zeros(size, np.int32)
    _compiled_usage(ids, hashed.offsets, order, row_weights.sum(1), share, rows, np.full(size, -1, np.int32))
    chosen: npt.NDArray[np.uint8] = _compiled_best(share * (weights**2).sum(1) * (rows >= min_rows), core.SLOTS)
    return chosen


def _known(hashes: Array, offsets: Array, ends: Array, marks: Array, slots: int) -> tuple[Array, Array]:
    count = offsets.shape[0] - 1
    out = np.empty(hashes.shape[0], np.int32)
    bounds = np.zeros((count, ends.shape[1] + 1), np.int64)
    position = 0
    for i in range(count):
        bounds[i, 0] = position
        k = offsets[i]
        for run in range(ends.shape[1]):
            while k - offsets[i] < ends[i, run]:
                mixed = (np.int64(hashes[k]) * 0x9E3779B1) & 0xFFFFFFFF
                mixed = mixed ^ (mixed >> 15)
                mixed = (mixed * 0x85EBCA6B) & 0xFFFFFFFF
                slot = (mixed * slots) >> 32
                if marks[slot] == ((mixed >> 4) & 0xFF):
                    out[position] = slot
                    position += 1
                k += 1
            bounds[i, run + 1] = position
    return out[:position], bounds


def known_slots(hashed: Hashed, marks: npt.NDArray[np.uint8]) -> tuple[Array, Array]:
    """The slots of the n-grams that the table knows, end to end, and where the runs of each prompt begin and end."""
    slots, bounds = _compiled_known(hashed.hashes, hashed.offsets, hashed.ends, marks, core.SLOTS)
    return slots, bounds


_compiled_identities: Any = numba.njit(identities)
_compiled_fit: Any = numba.njit(fastmath=True)(_fit)
_compiled_usage: Any = numba.njit(_usage)
_compiled_best: Any = numba.njit(_best)
_compiled_known: Any = numba.njit(_known)
