"""Bars and known failures follow the figures, also when these are bad."""

import pytest

pytest.importorskip("numba")

from edgewise.core.labels import TASK_COUNT, TASKS
from edgewise_classifier.bars import bars
from edgewise_classifier.failures import known_failures


def _binary(auroc):
    return {"auroc": auroc, "balanced_accuracy": 0.9, "false_positives": 0.05, "recall": 0.3, "positives": 50, "n": 100}


@pytest.fixture
def report():
    confusion = [[0] * TASK_COUNT for _ in TASKS]
    confusion[TASKS.index("extract")][TASKS.index("factual")] = 30
    task = {"accuracy": 0.76, "accuracy_interval": [0.74, 0.78], "macro_f1": 0.4, "cluster_accuracy": 0.9,
            "calibration_error": 0.06, "confusion": confusion, "n": 30}  # fmt: skip
    heads = {
        "task": {"pooled": task, "sources": {"hard": {"accuracy": 0.4}}},
        "code": {"pooled": _binary(0.99), "sources": {"prose": _binary(0.9)}},
        "recency": {"pooled": _binary(0.8), "sources": {}, "false_positives": {"code": {"share": 0.01}}},
        "safety": {"pooled": _binary(0.96), "sources": {}},
        "pii": {"pooled": _binary(0.9), "sources": {}},
        "difficulty": {"pooled": {"auroc": 0.65}, "sources": {"sums": {"auroc": 0.5}, "exams": {"auroc": 0.7}}},
    }
    better = {"task": {"pooled": {"accuracy": 0.8}}, "code": {"pooled": {"auroc": 0.5}}}
    robustness = {"typos": {"task": 0.96}, "wrapper": {"task": 0.9}}
    return {
        "heads": heads,
        "baselines": {"hashed_logistic": better},
        "robustness": {"typos": 0.96, "wrapper": 0.9, "mean": 0.93},
        "robustness_by_head": robustness,
        "weights_bytes": 1_200_000,
    }


def test_a_bar_is_held_only_when_the_figure_clears_it(report):
    found = {bar.what: bar for bar in bars(report["heads"], report["baselines"], report)}
    held = {what for what, bar in found.items() if bar.held}
    assert found["task: accuracy, pooled"].interval == [0.74, 0.78]
    assert "task: accuracy, pooled" in held
    assert "task: accuracy of the 5 clusters, pooled" in held
    assert "recency: false positives on code prompts" in held
    assert "robustness: task unchanged under typos" in held
    for missed in ("task: macro-F1, pooled", "task: calibration error, pooled", "safety: false positives, pooled",
                   "robustness: task unchanged under wrapper", "weights of both models, MB"):  # fmt: skip
        assert not found[missed].held
    assert "task: accuracy on arena_hard_v01" not in found


def test_failures_are_named_in_words(report):
    said = "\n".join(known_failures(report))
    assert "Logistic on hashes (0.800) beats our pooled accuracy of `task` (0.760)." in said
    assert "AUROC of `code`" not in said
    assert "often wrong on hard (0.40)" in said
    assert "0% of the 30 `extract` prompts are found; the others are mostly taken for factual (100%)" in said
    assert "Most asks for code are missed on prose (30% found)." in said
    assert "near chance on sums (0.50)" in said
    assert "`wrapper` turns 10%" in said
    assert "typos" not in said
