"""The forecast of difficulty: what failed nearby is likely to fail, and no prompt is judged by its own outcome."""

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
    odds = forecast(vectors, failed, 0)
    assert odds[400:405].min() > 1 > -1 > odds[405:].max()


def test_an_outcome_does_not_speak_for_its_own_prompt():
    rng = np.random.default_rng(1)
    vectors = around(0, 300, rng)
    failed = np.full(300, 0.1)
    alone = forecast(vectors, failed, 0)[7]
    failed[7] = 1.0
    assert forecast(vectors, failed, 0)[7] == pytest.approx(alone, abs=1e-6)


def test_few_outcomes_forecast_nothing():
    assert (forecast(np.eye(16), np.full(16, np.nan), 0) == 0).all()
