"""Calibration: the temperature that makes scores mean what they say, every source counting alike."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

from edgewise.core import classifier as core
from edgewise.core.labels import TASK_COUNT
from edgewise_classifier.data import Row
from edgewise_classifier.train import _best_scale


def rows_of(source: str, tasks: np.ndarray) -> list[Row]:
    return [Row(f"{source}-{n}", source, "text", "en", "val", task=int(task)) for n, task in enumerate(tasks)]


def draw(count: int, sharpness: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from what they say when multiplied by `sharpness`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1, (count, core.OUTPUTS))
    noise = rng.gumbel(size=(count, TASK_COUNT))
    return logits, (logits[:, :TASK_COUNT] * sharpness + noise).argmax(1)


@pytest.mark.parametrize("sharpness", [0.6, 1.0, 1.8])
def test_the_scale_is_found_that_labels_were_drawn_with(sharpness):
    logits, tasks = draw(4000, sharpness, 1)
    assert _best_scale("task", rows_of("a", tasks), logits) == pytest.approx(sharpness, rel=0.1)


def test_a_large_source_counts_like_a_small_one():
    large, of_large = draw(4000, 2.0, 1)
    small, of_small = draw(400, 0.5, 2)
    rows = rows_of("large", of_large) + rows_of("small", of_small)
    assert 0.8 < _best_scale("task", rows, np.concatenate([large, small])) < 1.4


def test_too_few_labels_leave_the_logits_as_they_are():
    logits, tasks = draw(20, 2.0, 1)
    assert _best_scale("task", rows_of("a", tasks), logits) == 1.0
