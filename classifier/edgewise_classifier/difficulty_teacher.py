"""Forecasts whether a small model will fail on a prompt, from the outcomes of prompts that mean something alike.

Two things tell: what kind of prompt it is, and, among prompts of a kind, how long it is and how many figures and signs
it holds. They are fitted apart, so that a benchmark of short questions does not make short questions easy (the
partially linear model of Robinson, 1988). Too large to ship: it reads MiniLM embeddings and remembers every outcome.
Its forecasts teach the network, which has too few outcomes to learn difficulty from alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise_classifier.folds import split

Array = npt.NDArray[Any]

FOLDS = 5
NEIGHBOURS = 60
_NEARNESS = 8.0  # a neighbour whose cosine is lower by 1 counts e^-8 as much
_PENALTY = 5.0
_SHAPE_PENALTY = 200.0
_LEAST = 0.02  # no forecast is surer than that


def forecast(vectors: Array, shapes: Array, failed: Array, seed: int) -> npt.NDArray[np.float32]:
    """Log odds that a small model fails on each prompt.

    `vectors`: prompts x WIDTH, unit length. `shapes`: prompts x counts of characters, words, digits and the like.
    `failed`: the share of small models that failed on each, 0 to 1, or NaN where nobody tried. A prompt with an outcome
    is judged by what the others say of it; with fewer than FOLDS**2 outcomes nothing is said of any (0).
    """
    untried, tried = np.nonzero(np.isnan(failed))[0], np.nonzero(~np.isnan(failed))[0]
    share = np.full(len(failed), 0.5)
    if len(tried) >= FOLDS**2:
        counts = np.log1p(shapes.astype(float))
        counts = (counts - counts[tried].mean(0)) / (counts[tried].std(0) + 1e-9)
        for known, asked in [(tried, untried), *split(tried, FOLDS, seed)]:
            share[asked] = _predict(vectors, counts, failed, known, asked)
    share = share.clip(_LEAST, 1 - _LEAST)
    odds: npt.NDArray[np.float32] = np.log(share / (1 - share)).astype(np.float32)
    return odds


def _predict(vectors: Array, counts: Array, failed: Array, known: Array, asked: Array) -> Array:
    """What the prompts `known` say of the prompts `asked`."""
    slopes = _slopes(vectors[known], counts[known], failed[known])
    share: Array = _by_kind(vectors[known], failed[known] - counts[known] @ slopes, vectors[asked])
    share += counts[asked] @ slopes
    return share


def _slopes(vectors: Array, counts: Array, failed: Array) -> Array:
    """How much oftener models fail with each unit of a count, among prompts that mean something alike."""
    from sklearn.linear_model import Ridge

    both = np.column_stack([failed, counts])
    usual = np.zeros_like(both)
    for known, asked in split(np.arange(len(both)), FOLDS, seed=0):
        usual[asked] = _by_kind(vectors[known], both[known], vectors[asked])
    rest = both - usual
    slopes: Array = Ridge(_SHAPE_PENALTY, fit_intercept=False).fit(rest[:, 1:], rest[:, 0]).coef_
    return slopes


def _by_kind(known: Array, values: Array, asked: Array) -> Array:
    """The mean of a ridge regression, which sees what kinds of prompts there are, and of the nearest neighbours."""
    from sklearn.linear_model import Ridge
    from sklearn.neighbors import KNeighborsRegressor

    if not len(asked):
        return np.zeros((0, *values.shape[1:]))
    neighbours = KNeighborsRegressor(min(NEIGHBOURS, len(known)), weights=_nearness, metric="cosine", algorithm="brute")
    models = (Ridge(_PENALTY), neighbours)
    mean: Array = np.mean([model.fit(known, values).predict(asked) for model in models], axis=0)
    return mean


def _nearness(distances: Array) -> Array:
    return np.asarray(np.exp(-_NEARNESS * distances))
