"""Metrics against hand-made cases."""

import numpy as np
import pytest

from edgewise_classifier import metrics


def test_auroc_counts_ties_half():
    labels, scores = np.array([1, 1, 0, 0]), np.array([0.9, 0.5, 0.5, 0.1])
    assert metrics.auroc(labels, scores) == pytest.approx(3.5 / 4)
    assert np.isnan(metrics.auroc(np.ones(3), np.ones(3)))


def test_macro_f1_counts_every_class_alike():
    labels, predicted = np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0])
    assert metrics.accuracy(labels, predicted) == 0.75
    assert metrics.macro_f1(labels, predicted) == pytest.approx((6 / 7) / 2)
    assert metrics.balanced_accuracy(labels, predicted) == 0.5


def test_calibration_error():
    assert metrics.calibration_error(np.full(10, 0.8), np.array([1.0] * 8 + [0.0] * 2)) == pytest.approx(0)
    assert metrics.calibration_error(np.full(10, 0.95), np.array([1.0] * 5 + [0.0] * 5)) == pytest.approx(0.45)


def test_coverage_at_a_precision():
    confidence, correct = np.array([0.9, 0.8, 0.7, 0.6]), np.array([1.0, 1.0, 0.0, 1.0])
    assert metrics.coverage_at(confidence, correct, 1.0) == (0.5, 0.8)
    assert metrics.coverage_at(confidence, correct, 0.75) == (1.0, 0.6)
    assert metrics.coverage_at(confidence, np.zeros(4), 0.5) == (0.0, 1.0)


def test_intervals_hold_the_estimate():
    labels = np.array([0, 1] * 200)
    predicted = np.where(np.arange(400) % 10 == 0, 1 - labels, labels)
    low, high = metrics.interval(metrics.accuracy, labels, predicted)
    assert low < 0.9 < high
    assert high - low < 0.1
