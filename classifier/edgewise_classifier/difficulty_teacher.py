"""Forecasts whether a small model will fail on a prompt, from the outcomes of prompts that mean something alike.

Too large to ship: it reads MiniLM embeddings and remembers every outcome. Its forecasts teach the network, which has
too few outcomes to learn difficulty from alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

FOLDS = 5
NEIGHBOURS = 60
_NEARNESS = 8.0  # a neighbour whose cosine is lower by 1 counts e^-8 as much
_PENALTY = 5.0
_LEAST = 0.02  # no forecast is surer than that


def forecast(vectors: Array, failed: Array, seed: int) -> npt.NDArray[np.float32]:
    """Log odds that a small model fails on each prompt.

    `vectors`: prompts x WIDTH, unit length. `failed`: the share of small models that failed on each, 0 to 1, or NaN
    where nobody tried. A prompt with an outcome is judged by what the others say of it; with fewer than FOLDS outcomes
    nothing is said of any (0).
    """
    untried, tried = np.isnan(failed), np.nonzero(~np.isnan(failed))[0]
    share = np.full(len(failed), 0.5)
    if len(tried) >= FOLDS:
        share[untried] = _predict(vectors[tried], failed[tried], vectors[untried])
        folds = np.random.default_rng(seed).permutation(len(tried)) % FOLDS
        for fold in range(FOLDS):
            known, asked = tried[folds != fold], tried[folds == fold]
            share[asked] = _predict(vectors[known], failed[known], vectors[asked])
    share = share.clip(_LEAST, 1 - _LEAST)
    odds: npt.NDArray[np.float32] = np.log(share / (1 - share)).astype(np.float32)
    return odds


def _predict(known: Array, failed: Array, asked: Array) -> Array:
    """The mean of a ridge regression, which sees what kinds of prompts are hard, and of the nearest neighbours."""
    from sklearn.linear_model import Ridge
    from sklearn.neighbors import KNeighborsRegressor

    if not len(asked):
        return np.zeros(0)
    neighbours = KNeighborsRegressor(min(NEIGHBOURS, len(known)), weights=_nearness, metric="cosine", algorithm="brute")
    models = (Ridge(_PENALTY), neighbours)
    mean: Array = np.mean([model.fit(known, failed).predict(asked) for model in models], axis=0)
    return mean


def _nearness(distances: Array) -> Array:
    return np.asarray(np.exp(-_NEARNESS * distances))
