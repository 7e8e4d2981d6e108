"""The evaluation end to end on a tiny set: its JSON, its sampling, its page and plots, and that its words follow it."""

import json
import random
import re
from xml.etree import ElementTree

import pytest

pytest.importorskip("onnxruntime")

from click.testing import CliRunner

from edgewise.cli import main
from edgewise.core.labels import TASKS
from edgewise_classifier import baselines, evaluate
from edgewise_classifier.baselines import HEADS, keyword_rules, lesson
from edgewise_classifier.data import Row
from edgewise_classifier.perturb import PERTURBATIONS
from edgewise_classifier.predictions import sample

PROMPTS = {
    "code": "Write a Python function that parses a CSV file and returns a list of dictionaries, with type hints.",
    "factual": "who painted the ceiling of the sistine chapel",
    "creative": "Write a short poem about the sea in autumn.",
    "reasoning": "A train leaves at 9:00 at 60 km/h, another at 10:00 at 90 km/h. When do they meet?",
}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report on five times four prompts and a few sentences; the hashed baseline learns from the same prompts."""
    data = tmp_path_factory.mktemp("data")
    (data / "sets").mkdir()
    asks = [
        {"id": f"mini-{index}", "text": f"{text} ({index})", "source": "mini", "role": "test", "lang": "en",
         "label_task": task, "label_time_sensitive": index % 2}
        for index, (task, text) in enumerate(list(PROMPTS.items()) * 5)
    ]  # fmt: skip
    # easy enough that the cheapest model would do, were it not for the language
    sentences = [("he", "תודה רבה ולילה טוב לכולם"), ("de", "Danke dir und einen schönen Abend noch")]
    foreign = [
        {"id": f"t-{lang}", "text": text, "source": "tatoeba_laser", "role": "test", "lang": lang}
        for lang, text in sentences
    ]
    for name, rows in (("mini", asks), ("tatoeba_laser", foreign)):
        (data / "sets" / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgewise_classifier.train.training_rows", lambda data, own, seed: _taught())
        patch.setattr("edgewise_classifier.identification._PEERS", {})
        found = evaluate.evaluate(data, progress=lines.append)
    assert lines
    return found


def _taught():
    return [
        Row(f"{task}-{index}", "taught", f"{text} {index}", "en", "train", task=TASKS.index(task), code=task == "code",
            recency=index % 2, harm=index % 2, jailbreak=0, pii=index % 2)
        for task, text in PROMPTS.items()
        for index in range(4)
    ]  # fmt: skip


def test_a_report_has_the_agreed_shape(report):
    found = report.to_json()
    assert json.loads(json.dumps(found)) == found
    assert {"task", "domain", "code", "recency", "safety", "pii", "difficulty", "language"} <= set(found["heads"])
    task = found["heads"]["task"]
    assert task["sources"]["mini"]["n"] == task["pooled"]["n"] == 20
    assert task["pooled"]["accuracy"] >= 0.5
    low, high = task["pooled"]["accuracy_interval"]
    assert low <= task["pooled"]["accuracy"] <= high
    assert set(found["robustness"]) == {*PERTURBATIONS, "mean"}
    assert set(found["baselines"]["hashed_logistic"]) == set(HEADS)
    assert set(found["baselines"]["keyword_rules"]) == {"task"}
    assert found["costs"]["n"] == 20


def test_the_language_signal_sends_hebrew_to_a_model_that_knows_it(report):
    gain = report.extra["language_gain"]["default catalogue"]["sentences"]
    assert gain["languages"]["he"]["knows_with"] == gain["languages"]["de"]["knows_with"] == 1
    assert gain["languages"]["he"]["quality_with"] >= gain["languages"]["he"]["quality_without"]
    english_only = report.extra["language_gain"]["cheaper models know English only"]["sentences"]
    assert english_only["pooled"]["knows_with"] == 1
    assert english_only["pooled"]["knows_without"] < 1
    assert english_only["pooled"]["quality_gain"] > 0.4


def test_the_command_writes_the_page_its_plots_and_its_figures(report, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "evaluate", lambda *_, **__: report)
    (tmp_path / "evaluation-old.svg").write_text("of an earlier run")
    arguments = ["eval", "--data", str(tmp_path), "--docs", str(tmp_path)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "task: accuracy, pooled" in result.output
    page = (tmp_path / "evaluation.md").read_text(encoding="utf-8")
    pictures = re.findall(r"\]\((evaluation-\w+\.svg)\)", page)
    assert sorted(pictures) == sorted(path.name for path in tmp_path.glob("*.svg"))
    assert len(pictures) >= 4
    for picture in pictures:
        assert ElementTree.parse(tmp_path / picture).getroot().tag.endswith("svg")
    assert json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8")) == report.to_json()
    for heading in ("## Bars", "## Known failures", "## Task", "## Safety", "## Language", "## What misrouting costs"):
        assert heading in page
    assert "nan" not in page
    columns = [line.count(" |") for line in page.splitlines() if line.startswith("| ---")]
    assert min(columns) >= 2


def test_without_test_sets_the_command_says_what_is_missing(tmp_path):
    result = CliRunner().invoke(main, ["eval", "--data", str(tmp_path)])
    assert result.exit_code == 2
    assert "no test sets in its folder sets/" in result.output


def test_sampling_is_fixed_and_capped():
    rows = [Row(str(index), "a" if index % 3 else "b", "text", "en", "test") for index in range(90)]
    first, second = sample(rows, 20, 1), sample(list(reversed(rows)), 100, 1)
    assert first == sample(rows, 20, 1)
    assert len(first) == 40
    assert len(second) == 90
    assert len(sample(rows, 7, 1, group=lambda row: row.lang)) == 7


def test_keyword_rules_know_the_plain_cases():
    rows = [Row(task, "a", text, "en", "test") for task, text in PROMPTS.items()]
    guesses = [TASKS[index] for index in keyword_rules(rows).argmax(1)]
    assert guesses[:3] == ["code", "factual", "creative"]


def test_a_lesson_caps_public_sources_but_not_our_own(monkeypatch):
    monkeypatch.setattr(baselines, "ROWS_OF_A_CLASS", 3)
    public = [Row(f"p{index}", "public", "text", "en", "train", task=index % 2, pii=0) for index in range(20)]
    own = [Row(f"o{index}", "ours", "text", "en", "train", task=0, own=True) for index in range(9)]
    taught = lesson([*public, *own], 0)
    sources = [taught.rows[index].source for index in taught.chosen["task"]]
    assert (sources.count("public"), sources.count("ours")) == (6, 9)
    assert [taught.rows[index].task for index in taught.chosen["task"]] == taught.labels["task"].tolist()
    assert (taught.weights["task"] > 0).all()


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_perturbations_keep_most_of_the_text(name):
    text = "Please translate this letter to my landlord into German, and keep it polite."
    changed = PERTURBATIONS[name](text, random.Random(3))
    assert changed
    assert abs(len(changed) - len(text)) < 60
