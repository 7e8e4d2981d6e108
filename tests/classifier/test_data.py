"""Our own prompts and the labels we gave to public rows."""

import json
from collections import Counter

import pytest

from edgewise.core.labels import DOMAINS, TASKS
from edgewise_classifier import data
from edgewise_classifier.augment import variants
from edgewise_classifier.balance import targets

KEYS = {"text", "lang", "task", "difficulty", "domain", "code", "time_sensitive", "safety", "pii", "messages"}
PROMPT_FILES = sorted(path for path in data.OWN.glob("*.jsonl") if path.stem != "languages")


@pytest.mark.parametrize("path", PROMPT_FILES, ids=lambda path: path.stem)
def test_own_prompts_are_well_formed(path):
    for raw in data.read_jsonl(path):
        assert set(raw) <= KEYS
        assert raw["text"].strip()
        assert raw.get("task", "chat") in TASKS
        assert raw["domain"] in DOMAINS
        assert raw["difficulty"] in range(4)
        if "messages" in raw:
            assert raw["messages"][-1] == {"role": "user", "content": raw["text"]}


def test_own_prompts_cover_every_task_in_many_languages():
    rows = data.load_own()
    tasks = Counter(row.task for row in rows)
    assert all(tasks[task] >= 300 for task in range(len(TASKS)))
    assert len({row.lang for row in rows}) >= 40


def test_no_prompt_stands_twice():
    texts = Counter((row.text, row.history) for row in data.load_own())
    assert [text for text, count in texts.items() if count > 1] == []


def test_read_labels_name_classes(tmp_path):
    assert set(data.read_labels("recency").values()) == {0, 1}
    assert set(data.read_labels("task").values()) <= set(range(len(TASKS)))
    assert data.read_labels("none") == {}


def test_a_public_set(tmp_path):
    sets = tmp_path / "sets"
    sets.mkdir()
    rows = [
        {"id": "a-0", "text": "fix it", "source": "a", "role": "train", "lang": "en", "label_task": "code"},
        {"id": "a-1", "text": "why?", "source": "a", "role": "train", "lang": "en", "label_task": "factual",
         "messages": [{"role": "user", "content": "first"}, {"role": "assistant", "content": "yes"},
                      {"role": "user", "content": "why?"}], "label_time_sensitive": 1},
    ]  # fmt: skip
    (sets / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    first, second = data.load_sets(tmp_path, "train")
    assert (first.task, first.code, first.recency) == (TASKS.index("code"), 1, data.UNKNOWN)
    assert (second.code, second.recency, second.history) == (0, 1, ("first",))
    assert data.load_sets(tmp_path, "test") == []


def test_rows_teach_unless_they_share_a_run_of_words_with_a_test_row(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    from edgewise_classifier import train

    sets, known = tmp_path / "sets", "one two three four five six seven eight nine"
    sets.mkdir()
    for name, role, texts in (
        ("seen", "test", [known, "Hello there!"]),
        ("told", "train", [f"so {known}"]),
        ("read", "unlabelled", [f"now {known}", "write a poem", "hm"]),
    ):
        rows = [
            {"id": f"{name}-{n}", "text": text, "source": name, "role": role, "lang": "en"}
            for n, text in enumerate(texts)
        ]
        (sets / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    ours = [
        {"text": text, "lang": "en", "task": "chat"} for text in ("good morning", f"and then {known}", "hello there")
    ]
    (tmp_path / "ours.jsonl").write_text("\n".join(map(json.dumps, ours)), encoding="utf-8")
    given = {"task": {"read-0": TASKS.index("factual"), "read-1": TASKS.index("creative")}}
    monkeypatch.setattr(data, "read_labels", lambda name: given.get(name, {}))
    assert [row.id for row in train.training_rows(tmp_path, tmp_path, 0)] == ["ours-1", "read-1"]


def test_a_large_set_teaches_the_task_up_to_a_limit_and_the_other_heads_whole(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    from edgewise_classifier import train

    sets = tmp_path / "sets"
    sets.mkdir()
    for name, label in (
        ("unsafe", {"label_safety": "harmful"}),
        ("ages", {"label_task": "factual", "label_time_sensitive": 1}),
        ("plain", {"label_task": "factual"}),
    ):
        rows = [
            {"id": f"{name}-{n}", "text": f"{name} {n}", "source": name, "role": "train", "lang": "en", **label}
            for n in range(5)
        ]
        (sets / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    monkeypatch.setattr(train, "TASK_LIMIT", 2)
    taught = train.training_rows(tmp_path, tmp_path, 0)
    assert Counter(row.source for row in taught) == {"unsafe": 5, "ages": 5, "plain": 2}
    assert Counter(row.source for row in taught if row.task != data.UNKNOWN) == {"ages": 2, "plain": 2}


def test_variants_keep_labels_and_change_the_last_turn():
    rows = data.load_own()[:50]
    changed = variants(rows, 1)
    assert [row.task for row in changed] == [row.task for row in rows]
    assert sum(a.text != b.text for a, b in zip(changed, rows, strict=True)) > 40
    assert all(row.messages[-1][1] == row.text for row in changed)


def test_targets_fill_in_what_follows_from_a_task():
    rows = [row for row in data.load_own() if row.task == TASKS.index("code")][:5]
    goal = targets(rows)
    assert (goal.binary[:, 0] == 1).all()
    assert (goal.weights[:, 0] > 0).all()
