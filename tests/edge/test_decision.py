"""Decisions in the words and the JSON that people and programs read."""

import dataclasses
import json

import pytest

from edgewise.core.labels import CLUSTERS, REASONS, SCORE_ONE, TASKS
from edgewise.decision import Decision, Reason
from edgewise.reasons import TEMPLATES, sentence
from edgewise.request import Request
from edgewise.traffic import read_traffic
from support.prompts import TRAFFIC


@pytest.fixture(scope="module")
def decision(module_engine) -> Decision:
    return module_engine.decide(Request.parse({"text": "Write a Python function that reverses a string."}))


def test_scores_are_numbers_from_0_to_1_with_four_decimals(module_engine):
    def numbers(value):
        if isinstance(value, dict):
            for one in value.values():
                yield from numbers(one)
        elif isinstance(value, float):
            yield value

    for request in list(read_traffic(TRAFFIC))[::10]:
        data = module_engine.decide(request).to_json()
        for score in (*numbers(data["signals"]), data["confidence"]):
            assert 0 <= score <= 1
            assert round(score, 4) == score


def test_the_json_says_what_the_decision_says(decision):
    data = decision.to_json()
    assert data == json.loads(json.dumps(data))
    assert (data["model"], tuple(data["fallbacks"])) == (decision.model, decision.fallbacks)
    assert (
        data["signals"]["task"]["label"]
        == decision.task
        == TASKS[decision.task_scores.index(max(decision.task_scores))]
    )
    assert data["signals"]["task"]["cluster"] == decision.cluster in CLUSTERS
    assert data["cost_usd"] == pytest.approx(decision.cost / 1e12)
    assert [reason["code"] for reason in data["reasons"]] == [reason.code for reason in decision.reasons]


def test_without_a_runner_up_there_is_none(decision):
    assert dataclasses.replace(decision, runner_up="").to_json()["runner_up"] is None


def test_a_reason_about_the_request_names_no_model(decision):
    reasons = (Reason("time_sensitive", "", 7_000), Reason("context", "m", 5))
    first, second = dataclasses.replace(decision, reasons=reasons).to_json()["reasons"]
    assert first == {"code": "time_sensitive", "text": "the answer depends on fresh facts (0.70)"}
    assert second == {"code": "context", "model": "m", "text": "the prompt and the answer do not fit m's 5 tokens"}


@pytest.mark.parametrize("code", REASONS)
def test_every_reason_becomes_a_whole_sentence(code):
    text = sentence(code, "gpt-4o", 1)
    assert not set("{}") & set(text)
    assert ("gpt-4o" in text) == ("{model}" in TEMPLATES[code])


@pytest.mark.parametrize(
    ("code", "value", "text"),
    [
        ("needs", 0b110, "m cannot do: json, vision"),
        ("budget", 1_500_000_000, "m would cost $0.001500, more than the budget"),
        ("cluster_chain", 2, "m comes first in the chain of the code cluster"),
        ("abstained", SCORE_ONE // 4, "the classifier is unsure (0.25), so the default m answers"),
        ("language", 0, "m does not know und"),
    ],
)
def test_numbers_become_words(code, value, text):
    assert sentence(code, "m", value) == text
