"""Confusion matrices: what is taken for what."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class ConfusedPair(NamedTuple):
    """A class that is taken for another."""

    true: str
    predicted: str
    times: int
    share: float
    """Of all of the true class."""


def confusion_matrix(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts pairs of labels.

    Args:
        truth: Labels; those that are no class, such as 255 for "ignore", are left out.
        predicted: As many.
        classes: How many there are.

    Returns:
        ``(classes, classes)`` int64: rows for the truth, columns for the prediction.

    Raises:
        ValueError: If a predicted label is no class.
    """
    truth, predicted = truth.ravel().astype(np.int64), predicted.ravel().astype(np.int64)
    known = (truth >= 0) & (truth < classes)
    truth, predicted = truth[known], predicted[known]
    if len(predicted) and not 0 <= predicted.min() <= predicted.max() < classes:
        raise ValueError(
            f'labels from {predicted.min()} to {predicted.max()} are predicted, and the test data has '
            f'{classes} classes: analyse predictions with the config that they were made with'
        )
    counts = np.bincount(truth * classes + predicted, minlength=classes**2)
    return counts.reshape(classes, classes)


def row_shares(matrix: np.ndarray) -> np.ndarray:
    """Each row divided by its sum; rows of nothing stay 0."""
    sums = matrix.sum(1, keepdims=True)
    return np.divide(matrix, sums, out=np.zeros(matrix.shape), where=sums > 0)


def confused_pairs(matrix: np.ndarray, names: Sequence[str], most: int) -> list[ConfusedPair]:
    """The pairs of different classes that are confused most often.

    Args:
        matrix: ``(N, N)`` counts, rows for the truth.
        names: Of rows and columns.
        most: How many pairs at most.
    """
    shares, wrong = row_shares(matrix), matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind='stable')[:most]
    places = [(int(place // len(names)), int(place % len(names))) for place in order]
    return [
        ConfusedPair(names[row], names[column], int(wrong[row, column]), float(shares[row, column]))
        for row, column in places
        if wrong[row, column]
    ]


def most_confused(matrix: np.ndarray, most: int, kept: int = 0) -> np.ndarray:
    """The classes that take part in most confusions, in their own order.

    Args:
        matrix: ``(N, N)`` counts.
        most: How many classes at most.
        kept: How many of the last ones, such as the background, are taken in any case.
    """
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    if kept:  # what is missed or invented is no confusion of classes
        wrong[-kept:], wrong[:, -kept:] = 0, 0
    errors = wrong.sum(0) + wrong.sum(1)
    classes = len(matrix) - kept
    chosen = np.sort(np.argsort(-errors[:classes], kind='stable')[: most - kept])
    return np.append(chosen, np.arange(classes, len(matrix)))
