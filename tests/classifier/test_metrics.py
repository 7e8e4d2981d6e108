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


def test_reliability_says_what_each_bin_holds():
    confidence, correct = np.array([0.05, 0.95, 0.97, 1.0]), np.array([0.0, 1.0, 1.0, 0.0])
    assert metrics.reliability(confidence, correct) == [
        {"confidence": 0.05, "accuracy": 0.0, "n": 1},
        {"confidence": pytest.approx(0.9733, abs=1e-4), "accuracy": pytest.approx(2 / 3), "n": 3},
    ]
    assert np.isnan(metrics.calibration_error(np.zeros(0), np.zeros(0)))


def test_the_abstention_curve_goes_from_the_surest_rows_to_all():
    confidence, correct = np.array([0.6, 0.9, 0.7, 0.8]), np.array([0.0, 1.0, 0.0, 1.0])
    assert metrics.abstention_curve(confidence, correct, points=2) == [(0.5, 1.0), (1.0, 0.5)]
    assert metrics.abstention_curve(np.zeros(0), np.zeros(0)) == []


def test_intervals_of_several_metrics_come_from_the_same_draws():
    labels = np.array([0, 1] * 50)

    def measure(chosen):
        return {"share": float(np.mean(labels[chosen])), "twice": 2 * float(np.mean(labels[chosen])), "none": np.nan}

    found = metrics.intervals(measure, np.arange(100))
    assert found["share"][0] < 0.5 < found["share"][1]
    assert found["twice"] == pytest.approx(tuple(2 * share for share in found["share"]))
    assert np.isnan(found["none"]).all()
    assert metrics.intervals(measure, np.zeros(0, int)) == {}
