"""What a prediction costs: against the labels that rows have, and against what a teacher says of them."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from edgewise.core import classifier as core
from edgewise_classifier.balance import Targets

_TASK = slice(0, core.FIRST_DOMAIN)
_DOMAIN = slice(core.FIRST_DOMAIN, core.FIRST_BINARY)
_BINARY = slice(core.FIRST_BINARY, core.OUTPUTS)
_BINARY_SCALE = 2  # two classes lose less than many: so the heads stay comparable


def label_loss(logits: Tensor, goal: Targets, rows: npt.NDArray[Any], smoothing: float) -> Tensor:
    """The mean weighted loss of logits, len(rows) x OUTPUTS, against the labels of these rows."""
    task = torch.from_numpy(goal.task[rows]).long().clamp(min=0)
    domain = torch.from_numpy(goal.domain[rows]).long().clamp(min=0)
    binary = torch.from_numpy(goal.binary[rows]).clamp(0, 1)
    weights = torch.from_numpy(goal.weights[rows])
    of_task = functional.cross_entropy(logits[:, _TASK], task, reduction="none", label_smoothing=smoothing)
    of_domain = functional.cross_entropy(logits[:, _DOMAIN], domain, reduction="none", label_smoothing=smoothing)
    of_binary = functional.binary_cross_entropy_with_logits(logits[:, _BINARY], binary, reduction="none")
    return _weighted(of_task, of_domain, of_binary, weights)


def teacher_loss(logits: Tensor, teacher: Tensor, weights: Tensor) -> Tensor:
    """The mean weighted cross entropy of logits, n x OUTPUTS, against a teacher's; `weights` is n x heads."""
    of_task = functional.cross_entropy(logits[:, _TASK], teacher[:, _TASK].softmax(1), reduction="none")
    of_domain = functional.cross_entropy(logits[:, _DOMAIN], teacher[:, _DOMAIN].softmax(1), reduction="none")
    of_binary = functional.binary_cross_entropy_with_logits(
        logits[:, _BINARY], teacher[:, _BINARY].sigmoid(), reduction="none"
    )
    return _weighted(of_task, of_domain, of_binary, weights)


def _weighted(of_task: Tensor, of_domain: Tensor, of_binary: Tensor, weights: Tensor) -> Tensor:
    total = (of_task * weights[:, 0]).sum() + (of_domain * weights[:, 1]).sum()
    return (total + _BINARY_SCALE * (of_binary * weights[:, 2:]).sum()) / len(weights)
