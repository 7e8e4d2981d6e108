"""The difficulty head against outcomes: who counts as a small model, and what counts as failing."""

import json

import numpy as np
import pytest

pytest.importorskip("numba")

from edgewise_classifier import difficulty
from edgewise_classifier.difficulty import difficulty_head
from edgewise_classifier.predictions import Predictions


@pytest.fixture
def data(tmp_path):
    (tmp_path / "outcomes").mkdir()
    texts = [(f"{'long ' * (number % 4)}question {number}", number) for number in range(12)]
    files = {
        "routellm_mmlu_gsm8k": [
            {"category": "gsm8k" if number % 2 else "mmlu law",
             "scores": {"mixtral-8x7b-instruct": int(number % 4 < 2), "gpt-4-1106-preview": 1}}
            for _, number in texts
        ],
        "alpaca_eval2": [
            {"category": "", "scores": {"Mistral-7B-Instruct": 1 - number % 4 / 4, "gpt4": 0}} for _, number in texts
        ],
        "llmrouter_mix": [],
    }  # fmt: skip
    for name, rows in files.items():
        lines = [
            json.dumps({"id": f"{name}-{number}", "text": text, **row})
            for (text, number), row in zip(texts, rows, strict=False)
        ]
        (tmp_path / "outcomes" / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def _by_length(_, rows):
    scores = np.array([len(row.text) / 100 for row in rows])
    return Predictions(scores, scores, {"difficulty": scores}, scores > 1)


def test_small_models_fail_where_their_scores_say_so(data, monkeypatch):
    monkeypatch.setattr(difficulty, "predict", _by_length)
    head = difficulty_head(None, data)
    assert head["pooled"] == head["sources"]["routellm"]
    assert {name: figures["n"] for name, figures in head["sources"].items()} == {
        "routellm": 12, "routellm_mmlu": 6, "routellm_gsm8k": 6, "alpaca_eval2": 12,
    }  # fmt: skip
    assert head["pooled"]["positives"] == 6
    assert head["pooled"]["auroc"] == head["pooled"]["auroc_of_length"] == 1
    assert head["sources"]["alpaca_eval2"]["auroc"] == 1


def test_without_outcomes_there_is_nothing_to_say(tmp_path):
    assert difficulty_head(None, tmp_path) == {"pooled": {"n": 0}, "sources": {}}
