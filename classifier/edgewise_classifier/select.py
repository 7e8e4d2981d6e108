"""Chooses the n-grams that own the slots: a float linear model over all of them says which ones carry the decisions."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from edgewise.core import classifier as core
from edgewise_classifier.balance import Targets
from edgewise_classifier.features import Hashed
from edgewise_classifier.linear import MARKS, fit_linear, identities

Array = npt.NDArray[Any]


def _usage(ids: Array, offsets: Array, order: Array, weight: Array, share: Array, rows: Array, last: Array) -> None:
    for i in order:
        count = offsets[i + 1] - offsets[i]
        for k in range(offsets[i], offsets[i + 1]):
            feature = ids[k]
            share[feature] += weight[i % len(weight)] / count
            if last[feature] != i:
                last[feature] = i
                rows[feature] += 1


def _best(score: Array, slots: int) -> Array:
    marks = np.zeros(slots, np.uint8)
    for slot in range(slots):
        top = 0.0
        for mark in range(MARKS):
            if score[slot * MARKS + mark] > top:
                top = score[slot * MARKS + mark]
                marks[slot] = mark
    return marks


def select(
    hashed: Hashed, order: Array, goal: Targets, *, epochs: int = 2, min_rows: int = 3, seed: int = 0
) -> npt.NDArray[np.uint8]:
    """The fingerprint of the n-gram that owns each slot; row v * len(goal.task) + i is version v of row i.

    The score of an n-gram is the weight it got in the linear model, squared, times how much of the rows it makes up;
    those in fewer than `min_rows` rows are left out.
    """
    ids = identities(hashed.hashes)
    model = fit_linear(ids, hashed.offsets, order, goal, epochs=epochs, seed=seed)
    size = core.SLOTS * MARKS
    share, rows = np.zeros(size, np.float32), np.zeros(size, np.int32)
    _compiled_usage(ids, hashed.offsets, order, goal.weights.sum(1), share, rows, np.full(size, -1, np.int32))
    score = share * (model.weights**2).sum(1) * (rows >= min_rows)
    chosen: npt.NDArray[np.uint8] = _compiled_best(score, core.SLOTS)
    return chosen


def _known(ids: Array, offsets: Array, ends: Array, marks: Array) -> tuple[Array, Array]:
    count = offsets.shape[0] - 1
    out = np.empty(ids.shape[0], np.int32)
    bounds = np.zeros((count, ends.shape[1] + 1), np.int64)
    position = 0
    for i in range(count):
        bounds[i, 0] = position
        k = offsets[i]
        for run in range(ends.shape[1]):
            while k - offsets[i] < ends[i, run]:
                slot = ids[k] // MARKS
                if marks[slot] == ids[k] % MARKS:
                    out[position] = slot
                    position += 1
                k += 1
            bounds[i, run + 1] = position
    return out[:position], bounds


def known_slots(hashed: Hashed, marks: npt.NDArray[np.uint8]) -> tuple[Array, Array]:
    """The slots of the n-grams that the table knows, end to end, and where the runs of each prompt begin and end."""
    slots, bounds = _compiled_known(identities(hashed.hashes), hashed.offsets, hashed.ends, marks)
    return slots, bounds


_compiled_usage: Any = numba.njit(_usage)
_compiled_best: Any = numba.njit(_best)
_compiled_known: Any = numba.njit(_known)
