"""What misrouting costs: by hand on two models, and that right labels cost nothing."""

import numpy as np
import pytest

from edgewise.config import Config
from edgewise.core.labels import TASKS
from edgewise.errors import ConfigError
from edgewise_classifier.costs import MISROUTED, Routed, cost_report, route_labelled
from edgewise_classifier.data import UNKNOWN

CODE, FACTUAL = TASKS.index("code"), TASKS.index("factual")
MODEL = {"provider": "own", "context": 10_000, "ttft_ms": 0}
CHEAP = {**MODEL, "price_in": 1, "price_out": 1, "quality": {"default": 0.9, "code": 0.5}}
DEAR = {**MODEL, "price_in": 100, "price_out": 100, "quality": 0.9}


def config(**cheap: object) -> Config:
    return Config.model_validate({"models": {"cheap": {**CHEAP, **cheap}, "dear": DEAR}})


def routed(tasks: list[int], said: list[int], levels: list[int] | None = None, **given: object) -> Routed:
    size = len(tasks)
    return route_labelled(
        np.array(tasks),
        np.array(levels or [UNKNOWN] * size),
        np.eye(len(TASKS))[said],
        np.array(given.pop("difficulty", np.zeros(size))),
        np.zeros(size, bool),
        config=given.pop("config", config()),
        input_tokens=1_000,
    )


def test_right_labels_lose_nothing() -> None:
    report = cost_report(routed([CODE, FACTUAL], [CODE, FACTUAL]))
    assert report["same_model"] == report["weighted_accuracy"] == report["savings"] == 1
    assert report["loss_usd"] == 0
    assert report["cost_usd"]["routed"] == report["cost_usd"]["without_mistakes"]
    assert report["mistakes"] == []


def test_both_directions_by_hand() -> None:
    """Factual answers are expected to have 150 tokens, code 600; an answer is worth 1 USD."""
    found = routed([FACTUAL] * 3 + [CODE], [CODE, FACTUAL, FACTUAL, FACTUAL])
    overspent = (100 - 1) * 1_150 / 1e6
    missed = 0.4 - (100 - 1) * 1_600 / 1e6
    assert found.losses == pytest.approx([overspent, 0, 0, missed])
    assert found.stakes == pytest.approx([overspent] * 3 + [missed])
    report = cost_report(found)
    assert report["too_dear"]["overspent_usd"] == pytest.approx(overspent / 4)
    assert report["too_cheap"]["quality_lost"] == pytest.approx(0.4 / 4)
    assert report["models"]["dear"] == {
        "sent": 1,
        "meant": 1,
        "precision": pytest.approx(0),
        "recall": pytest.approx(0),
    }
    assert report["models"]["cheap"]["precision"] == pytest.approx(1 - missed / (2 * overspent + missed))
    assert report["models"]["cheap"]["recall"] == pytest.approx(2 / 3)
    assert report["confusion"] == [[2, 1], [1, 0]]
    assert [(one["task"], one["said"]) for one in report["mistakes"]] == [("code", "factual"), ("factual", "code")]


def test_a_mistake_between_tasks_that_are_served_alike_weighs_nothing() -> None:
    report = cost_report(routed([FACTUAL, CODE], [TASKS.index("chat"), CODE]))
    assert report["same_model"] == report["weighted_accuracy"] == 1


def test_a_labelled_difficulty_is_the_truth() -> None:
    hard = config(quality=[0.9, 0.9, 0.9, 0.2])
    assert routed([FACTUAL], [FACTUAL], [3], config=hard).losses == pytest.approx([0.7 - 99 * 1_150 / 1e6])
    assert routed([FACTUAL], [FACTUAL], [3], config=hard, difficulty=[1.0]).losses == pytest.approx([0])
    assert routed([FACTUAL], [FACTUAL], config=hard).losses == pytest.approx([0])


def test_misrouting_to_the_strongest_loses_its_own_share_of_the_saving() -> None:
    """Whatever the prices are: the saving of a misrouted query is gone, no more and no less."""
    curve = cost_report(routed([FACTUAL] * 3 + [CODE], [CODE, FACTUAL, FACTUAL, FACTUAL]))["misrouting"]
    assert [point["share"] for point in curve] == list(MISROUTED)
    assert [point["to_strongest"] for point in curve] == pytest.approx(MISROUTED)
    saving = 3 / 4 * 99 * 1_150 / 1e6
    assert [point["to_cheapest"] for point in curve] == pytest.approx([share * 0.1 / saving for share in MISROUTED])


def test_a_prompt_that_no_model_can_read_is_an_error() -> None:
    with pytest.raises(ConfigError, match="1000 tokens"):
        routed([FACTUAL], [FACTUAL], config=Config.model_validate({"models": {"tiny": {**CHEAP, "context": 500}}}))
