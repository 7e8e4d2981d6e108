"""The forecast of difficulty: what failed nearby fails, a longer prompt sooner; no outcome judges its own prompt."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from edgewise_classifier.difficulty_teacher import forecast


def around(centre: int, count: int, rng: np.random.Generator) -> np.ndarray:
    vectors = np.eye(16)[centre] + rng.normal(0, 0.1, (count, 16))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_prompts_near_failures_are_forecast_to_fail():
    rng = np.random.default_rng(1)
    vectors = np.concatenate([around(0, 200, rng), around(1, 200, rng), around(0, 5, rng), around(1, 5, rng)])
    failed = np.concatenate([np.full(200, 0.9), np.full(200, 0.1), np.full(10, np.nan)])
    odds = forecast(vectors, np.zeros((410, 2), int), failed, 0)
    assert odds[400:405].min() > 1 > -1 > odds[405:].max()


def test_an_outcome_does_not_speak_for_its_own_prompt():
    rng = np.random.default_rng(1)
    vectors = around(0, 300, rng)
    failed = np.full(300, 0.1)
    shapes = np.zeros((300, 2), int)
    alone = forecast(vectors, shapes, failed, 0)[7]
    failed[7] = 1.0
    assert forecast(vectors, shapes, failed, 0)[7] == pytest.approx(alone, abs=1e-6)


def test_length_tells_within_a_kind_and_not_between_kinds():
    rng = np.random.default_rng(1)
    vectors = np.concatenate([around(0, 302, rng), around(1, 302, rng)])
    # the second kind is longer, and easier
    words = np.concatenate([rng.integers(10, 40, 302), rng.integers(100, 400, 302)])
    failed = np.repeat([0.8, 0.3], 302) + 0.2 * (np.log(words) - np.log(np.repeat([20, 200], 302)))
    words[[300, 301, 602, 603]] = 10, 39, 100, 390
    failed[[300, 301, 602, 603]] = np.nan
    short_hard, long_hard, short_easy, long_easy = forecast(vectors, words[:, None], failed, 0)[[300, 301, 602, 603]]
    assert long_hard > short_hard > long_easy > short_easy


def test_few_outcomes_forecast_nothing():
    assert (forecast(np.eye(16), np.zeros((16, 2), int), np.full(16, np.nan), 0) == 0).all()
