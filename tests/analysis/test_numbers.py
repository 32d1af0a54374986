"""Curves, thresholds, calibration and confusions."""

import numpy as np
import pytest

from repnext_mm.analysis.confusion import (
    confused_pairs,
    confusion_matrix,
    most_confused,
    row_shares,
)
from repnext_mm.analysis.curves import best_threshold, precision_recall, reliability


def test_precision_and_recall_of_each_threshold():
    scores = np.array([0.2, 0.9, 0.5, 0.5, 0.7])
    right = np.array([True, True, False, True, False])
    curve = precision_recall(scores, right, total=4)
    assert curve.thresholds.tolist() == [0.9, 0.7, 0.5, 0.2]  # equal scores are one threshold
    assert curve.precision.tolist() == [1, 1 / 2, 2 / 4, 3 / 5]
    assert curve.recall.tolist() == [1 / 4, 1 / 4, 2 / 4, 3 / 4]


def test_the_best_threshold_is_that_of_a_search():
    random = np.random.default_rng(0)
    scores, total = random.random(200), 120
    right = random.random(200) < scores
    best = best_threshold(precision_recall(scores, right, total))

    def f1(threshold: float) -> float:
        chosen = scores >= threshold
        return 2 * right[chosen].sum() / (chosen.sum() + total)

    assert best.f1 == pytest.approx(max(f1(score) for score in scores))
    assert f1(best.threshold) == pytest.approx(best.f1)


@pytest.mark.parametrize('right', [[], [False, False]])
def test_there_is_no_best_threshold_where_nothing_is_right(right):
    curve = precision_recall(np.linspace(0, 1, len(right)), np.array(right, bool), 3)
    assert best_threshold(curve) is None


def test_calibration_is_the_weighted_gap():
    scores = np.array([0.95, 0.95, 0.95, 0.95, 0.15, 1.0])
    right = np.array([True, True, True, False, False, True])
    found = reliability(scores, right)
    assert found.counts.tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 0, 5]
    assert found.expected_error == pytest.approx((abs(0.96 - 0.8) * 5 + 0.15) / 6)
    double = found + found
    assert double.counts.sum() == 12
    assert double.expected_error == pytest.approx(found.expected_error)
    assert np.isnan(reliability(scores[:0], right[:0]).expected_error)


def test_confusions_are_counted_row_by_row():
    truth, predicted = np.array([0, 0, 1, 2, 255]), np.array([0, 1, 1, 0, 2])
    matrix = confusion_matrix(truth, predicted, 4)
    assert matrix.tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert row_shares(matrix)[0].tolist() == [0.5, 0.5, 0, 0]
    first, second = confused_pairs(matrix, ['a', 'b', 'c', 'd'], 5)
    assert first[:3] == ('a', 'b', 1) and first.share == 0.5 and second.share == 1
    with pytest.raises(ValueError, match='labels from 0 to 2 are predicted'):
        confusion_matrix(truth, predicted.clip(0, 2) * 2, 2)


def test_of_many_classes_the_most_confused_are_chosen():
    matrix = np.diag([9, 9, 9, 9, 0])
    matrix[1, 3], matrix[0, 4], matrix[4, 2] = 5, 7, 7  # the last one is the background
    assert most_confused(matrix, 3, kept=1).tolist() == [1, 3, 4]
    assert most_confused(matrix, 3).tolist() == [0, 2, 4]
