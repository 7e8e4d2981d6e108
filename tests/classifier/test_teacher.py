"""The teacher: prompts are judged by models that did not see them, and its word weighs where no label does."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")

from edgewise.core.labels import TASK_COUNT, TASKS
from edgewise_classifier import teacher
from edgewise_classifier.balance import HEAD_WEIGHTS, targets
from edgewise_classifier.data import UNKNOWN, Row
from edgewise_classifier.features import Reader

CODE, CHAT = TASKS.index("code"), TASKS.index("chat")


def row(number: int, text: str, task: int) -> Row:
    return Row(str(number), "some", text, "en", "train", task=task, messages=(("user", text),))


@pytest.fixture
def without_meaning(monkeypatch):
    monkeypatch.setattr(teacher, "embed", lambda texts, _: np.zeros((len(texts), teacher.WIDTH), np.float32))


@pytest.mark.heavy
def test_prompts_are_judged_by_what_others_say(without_meaning):
    rows = [row(n, f"fix this python function number {n}", CODE) for n in range(30)]
    rows += [row(n, f"hello, lovely weather today {n}", CHAT) for n in range(30, 60)]
    rows.append(row(60, "xyzzy plugh", CHAT))
    hashed, goal = Reader().read_many([each.messages for each in rows]), targets(rows)
    logits = teacher.teach(rows, hashed, goal, np.arange(len(rows)), 1, 0, lambda _: None).logits[:, :TASK_COUNT]
    assert (logits[:60].argmax(1) == goal.task[:60]).all()
    spread = logits[:, CHAT] - logits[:, CODE]
    assert spread[60] < spread[30:60].min()  # its words are its own: nobody else could tell


def test_its_word_weighs_little_without_a_label_and_much_on_the_difficulty_of_english():
    told = replace(row(4, "hello", CHAT), own=True, difficulty=0.1)
    tried = replace(row(3, "2 + 2?", UNKNOWN), difficulty=0.4)
    goal = targets([row(0, "fix it", CODE), row(1, "hmm", UNKNOWN), row(2, "corrige-le", CODE), tried, told])
    weights = teacher._weights(goal, np.arange(5) != 2, np.arange(5) == 3)
    assert weights[1, 0] == pytest.approx(teacher.UNLABELLED * HEAD_WEIGHTS[0])
    assert weights[0, 0] > weights[1, 0]
    each = [teacher.DIFFICULTY_TAUGHT, teacher.DIFFICULTY_TAUGHT, 0, teacher.OUTCOMES_TAUGHT, 0]
    assert weights[:, -1] == pytest.approx(HEAD_WEIGHTS[-1] * np.array(each))
