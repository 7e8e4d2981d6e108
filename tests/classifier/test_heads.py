"""The figures of a head, against hand-made cases."""

import numpy as np
import pytest

pytest.importorskip("numba")

from edgewise.core.labels import TASK_COUNT, TASKS
from edgewise_classifier.data import UNKNOWN, Row
from edgewise_classifier.heads import binary_head, labels_of, recency_false_positives, task_head


def _row(source, **labels):
    return Row("id", source, "text", labels.pop("lang", "en"), "test", **labels)


def test_a_binary_head_pools_what_it_may_and_shows_every_source():
    rows = [_row("a"), _row("a"), _row("b"), _row("b"), _row("aside")]
    labels, scores = np.array([1, 0, 1, UNKNOWN, 1]), np.array([0.9, 0.6, 0.4, 0.1, 0.2])
    head = binary_head(rows, labels, scores, not_pooled={"aside"})
    pooled = head["pooled"]
    assert (pooled["n"], pooled["positives"]) == (3, 2)
    assert (pooled["recall"], pooled["precision"], pooled["false_positives"]) == (0.5, 0.5, 1)
    assert pooled["auroc"] == 0.5
    assert {source: figures["n"] for source, figures in head["sources"].items()} == {"a": 2, "b": 1, "aside": 1}
    assert np.isnan(head["sources"]["b"]["auroc"])


def test_a_task_head_counts_clusters_and_confusion():
    rows = [_row("a", task=TASKS.index(task)) for task in ("factual", "extract", "code")]
    scores = np.zeros((3, TASK_COUNT))
    for index, guess in enumerate(("extract", "extract", "code")):
        scores[index, TASKS.index(guess)] = 0.8
    pooled = task_head(rows, scores)["pooled"]
    assert pooled["accuracy"] == pytest.approx(2 / 3)
    assert pooled["cluster_accuracy"] == 1
    assert pooled["confusion"][TASKS.index("factual")][TASKS.index("extract")] == 1
    assert pooled["calibration_error"] == pytest.approx(0.8 - 2 / 3)


def test_a_head_without_labels_is_empty():
    assert task_head([_row("a")], np.full((1, TASK_COUNT), 0.1)) == {"pooled": {"n": 0}, "sources": {}}


def test_task_prompts_are_the_benign_mix_of_safety():
    rows = [_row("a", task=0), _row("a", harm=1), _row("a", harm=0, jailbreak=1), _row("a", harm=0), _row("a")]
    assert labels_of("safety", rows).tolist() == [0, 1, 1, 0, UNKNOWN]
    assert labels_of("pii", rows).tolist() == [UNKNOWN] * 5


def test_false_positives_of_recency_leave_out_what_is_dated():
    code = TASKS.index("code")
    rows = [_row("a", task=code), _row("a", task=code), _row("a", task=code, recency=1)]
    found = recency_false_positives(rows, np.array([0.9, 0.1, 0.9]))
    assert found["code"]["share"] == 0.5
    assert set(found) == {"code"}
