"""The losses of the classifier: what counts, what does not, and where they are least."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from edgewise.core import classifier as core
from edgewise_classifier.balance import Targets
from edgewise_classifier.losses import label_loss, teacher_loss

HEADS = len(core.HEADS)


def goal_of(weights: np.ndarray) -> Targets:
    count = len(weights)
    return Targets(
        task=np.zeros(count, np.int32),
        domain=np.full(count, -1, np.int32),
        binary=np.zeros((count, len(core.BINARY_HEADS)), np.float32),
        weights=weights.astype(np.float32),
    )


def test_a_head_without_weight_costs_nothing():
    weights = np.zeros((2, HEADS))
    weights[:, 0] = 1
    logits = torch.zeros(2, core.OUTPUTS)
    logits[:, core.FIRST_DOMAIN :] = 5
    assert label_loss(logits, goal_of(weights), np.arange(2), 0.0).item() == pytest.approx(np.log(11), abs=1e-5)


def test_labels_are_taken_from_the_rows_that_are_asked_for():
    weights = np.zeros((2, HEADS))
    weights[1, 0] = 3
    logits = torch.zeros(1, core.OUTPUTS)
    assert label_loss(logits, goal_of(weights), np.array([0]), 0.0).item() == 0
    assert label_loss(logits, goal_of(weights), np.array([1]), 0.0).item() == pytest.approx(3 * np.log(11), abs=1e-5)


def test_no_logits_cost_less_than_the_teachers_own():
    generator = torch.Generator().manual_seed(1)
    teacher = torch.randn(8, core.OUTPUTS, generator=generator)
    weights = torch.ones(8, HEADS)
    least = teacher_loss(teacher, teacher, weights)
    for _ in range(5):
        assert teacher_loss(teacher + 0.3 * torch.randn(teacher.shape, generator=generator), teacher, weights) > least
