"""The evaluation: its JSON, its sampling, and that it reads what the core says."""

import json
import random

import pytest

pytest.importorskip("onnxruntime")

from edgewise.core.labels import TASKS
from edgewise_classifier import evaluate
from edgewise_classifier.baselines import keyword_rules
from edgewise_classifier.data import Row
from edgewise_classifier.perturb import PERTURBATIONS

PROMPTS = {
    "code": "Write a Python function that parses a CSV file and returns a list of dictionaries, with type hints.",
    "factual": "who painted the ceiling of the sistine chapel",
    "creative": "Write a short poem about the sea in autumn.",
    "reasoning": "A train leaves at 9:00 at 60 km/h, another at 10:00 at 90 km/h. When do they meet?",
}


@pytest.fixture
def data(tmp_path):
    (tmp_path / "sets").mkdir()
    rows = [
        {"id": f"mini-{index}", "text": f"{text} ({index})", "source": "mini", "role": "test", "lang": "en",
         "label_task": task, "label_time_sensitive": 0}
        for index, (task, text) in enumerate(list(PROMPTS.items()) * 5)
    ]  # fmt: skip
    (tmp_path / "sets" / "mini.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return tmp_path


def test_a_report_has_the_agreed_shape(data):
    lines: list[str] = []
    report = evaluate.evaluate(data, baselines=False, progress=lines.append).to_json()
    assert json.loads(json.dumps(report)) == report
    assert {"task", "domain", "code", "recency", "safety", "pii", "difficulty"} <= set(report["heads"])
    task = report["heads"]["task"]
    assert task["sources"]["mini"]["n"] == task["pooled"]["n"] == 20
    assert task["pooled"]["accuracy"] >= 0.5
    assert set(report["robustness"]) == {*PERTURBATIONS, "mean"}
    assert lines


def test_sampling_is_fixed_and_capped():
    rows = [Row(str(index), "a" if index % 3 else "b", "text", "en", "test") for index in range(90)]
    first, second = evaluate.sample(rows, 20, 1), evaluate.sample(list(reversed(rows)), 100, 1)
    assert first == evaluate.sample(rows, 20, 1)
    assert len(first) == 40
    assert len(second) == 90


def test_keyword_rules_know_the_plain_cases():
    rows = [Row(task, "a", text, "en", "test") for task, text in PROMPTS.items()]
    guesses = [TASKS[index] for index in keyword_rules(rows).argmax(1)]
    assert guesses[:3] == ["code", "factual", "creative"]


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_perturbations_keep_most_of_the_text(name):
    text = "Please translate this letter to my landlord into German, and keep it polite."
    changed = PERTURBATIONS[name](text, random.Random(3))
    assert changed
    assert abs(len(changed) - len(text)) < 60
