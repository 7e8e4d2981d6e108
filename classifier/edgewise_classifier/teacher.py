"""What larger models say of every training prompt: soft targets for the network (Hinton et al., 2015).

Two models that could never ship are averaged: a linear one over every n-gram, which knows words, and a small network on
MiniLM embeddings, which knows what they mean and has a say on English prompts. Of jailbreaks and injections the words
alone speak, since an embedding of a long text misses one sentence in it; of difficulty, outcomes alone
(difficulty_teacher). Each prompt is judged by models that were fitted without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from edgewise.core import classifier as core
from edgewise_classifier.balance import HEAD_WEIGHTS, Targets
from edgewise_classifier.data import OUTCOMES, Row
from edgewise_classifier.difficulty_teacher import forecast
from edgewise_classifier.embeddings import WIDTH, embed
from edgewise_classifier.features import Hashed
from edgewise_classifier.folds import split
from edgewise_classifier.linear import fit_linear, identities
from edgewise_classifier.losses import label_loss

Array = npt.NDArray[Any]
Logits = npt.NDArray[np.float32]

FOLDS = 3
MINILM_SHARE = 0.4
UNLABELLED = 0.25
"""How much the word of the teacher weighs for a head that has no label for the row."""
DIFFICULTY_TAUGHT = 0.25
"""How much its forecast of difficulty weighs on an English prompt whose difficulty nobody told."""
OUTCOMES_TAUGHT = 3.0
"""And on one that small models tried: more than the outcome itself, which is noisier."""

_MINILM_SHARES = np.full(core.OUTPUTS, MINILM_SHARE, np.float32)
_MINILM_SHARES[core.FIRST_BINARY + core.BINARY_HEADS.index("jailbreak")] = 0
_LINEAR_EPOCHS = 2
_UNITS = 256
_EPOCHS = 12
_BATCH = 256
_RATE = 2e-3
_SMOOTHING = 0.05
_EMBEDDING_SCALE = 8.0  # elements of a unit vector of this width are small


@dataclass(frozen=True)
class Taught:
    """The teacher's word on every row: `logits`, rows x OUTPUTS, and how much they weigh, rows x heads."""

    logits: Logits
    weights: npt.NDArray[np.float32]


def teach(
    rows: list[Row],
    hashed: Hashed,
    goal: Targets,
    order: Array,
    versions: int,
    seed: int,
    progress: Callable[[str], None],
) -> Taught:
    """The teacher's word on the rows of `order`; it is silent (zero) on all others.

    Version v of row i stands at v * len(rows) + i in `hashed`. Needs the extra `train` for MiniLM, whose embeddings are
    computed once and kept.
    """
    english = np.array([row.lang == "en" for row in rows])
    vectors = np.zeros((len(rows), WIDTH), np.float32)
    vectors[english] = embed([row.text for row in rows if row.lang == "en"], progress)
    logits = _soft_targets(hashed, goal, order, english, vectors, versions, seed, progress)
    tried = np.array([row.source.startswith(OUTCOMES) for row in rows])
    read = order[english[order]]
    failed = np.where(tried & (goal.weights[:, -1] > 0), goal.binary[:, -1], np.nan)
    progress("teacher of difficulty")
    logits[:, -1] = 0
    logits[read, -1] = forecast(vectors[read], hashed.shapes[read], failed[read], seed)
    return Taught(logits, _weights(goal, english, ~np.isnan(failed)))


def _soft_targets(
    hashed: Hashed,
    goal: Targets,
    order: Array,
    english: Array,
    vectors: Array,
    versions: int,
    seed: int,
    progress: Callable[[str], None],
) -> Logits:
    meanings, ids = torch.from_numpy(vectors), identities(hashed.hashes)
    out = np.zeros((len(english), core.OUTPUTS), np.float32)
    for fold, (known, asked) in enumerate(split(order, FOLDS, seed), 1):
        progress(f"teacher {fold} of {FOLDS}")
        seen = np.concatenate([known, known + len(english)]) if versions > 1 else known
        linear = fit_linear(ids, hashed.offsets, seen, goal, epochs=_LINEAR_EPOCHS, seed=seed)
        meaning = _fit_meaning(meanings, goal, known[english[known]], seed)
        out[asked] = linear.logits(ids, hashed.offsets, asked)
        read = asked[english[asked]]
        with torch.no_grad():
            out[read] += _MINILM_SHARES * (meaning(meanings[read] * _EMBEDDING_SCALE).numpy() - out[read])
    return out


def _weights(goal: Targets, english: Array, tried: Array) -> npt.NDArray[np.float32]:
    """As a label would weigh, or UNLABELLED where there is none; difficulty by whether models tried the prompt.

    Where we told the difficulty of a prompt, a forecast from exam questions has nothing to add.
    """
    weights = np.where(goal.weights > 0, goal.weights, UNLABELLED * np.array(HEAD_WEIGHTS))
    told = goal.weights[:, -1] > 0
    weights[:, -1] = HEAD_WEIGHTS[-1] * np.where(tried, OUTCOMES_TAUGHT, np.where(told, 0, DIFFICULTY_TAUGHT)) * english
    return weights.astype(np.float32)


def _fit_meaning(vectors: torch.Tensor, goal: Targets, order: Array, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    network = nn.Sequential(
        nn.Dropout(0.1), nn.Linear(WIDTH, _UNITS), nn.ReLU(), nn.Dropout(0.3), nn.Linear(_UNITS, core.OUTPUTS)
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=0.02)
    steps = _EPOCHS * (len(order) // _BATCH)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, max(1, steps))
    rng = np.random.default_rng(seed)
    for _ in range(_EPOCHS):
        shuffled = rng.permutation(order)
        for first in range(0, len(shuffled) - _BATCH + 1, _BATCH):
            rows = shuffled[first : first + _BATCH]
            loss = label_loss(network(vectors[rows] * _EMBEDDING_SCALE), goal, rows, _SMOOTHING)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return network.eval()
