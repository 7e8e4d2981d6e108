"""Splits rows into folds, so that each row can be judged by models that were fitted without it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def split(rows: Array, folds: int, seed: int) -> Iterator[tuple[Array, Array]]:
    """For each fold in turn, the rows outside it and the rows in it; every row is in exactly one."""
    fold_of = np.random.default_rng(seed).permutation(len(rows)) % folds
    for fold in range(folds):
        yield rows[fold_of != fold], rows[fold_of == fold]
