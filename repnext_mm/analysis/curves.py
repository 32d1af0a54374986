"""What scores are worth: precision and recall over the threshold, and calibration."""

from typing import NamedTuple

import numpy as np

CONFIDENCE_BINS = 10
"""Of a reliability diagram, equally wide."""


class PrecisionRecallCurve(NamedTuple):
    """Precision and recall of what is at least so certain, for each score that occurs."""

    thresholds: np.ndarray
    """``(N,)`` scores, falling."""

    precision: np.ndarray
    recall: np.ndarray


class Operating(NamedTuple):
    """A threshold, and what it gives."""

    threshold: float
    precision: float
    recall: float
    f1: float
    """Harmonic mean of precision and recall."""


def precision_recall(scores: np.ndarray, right: np.ndarray, total: int) -> PrecisionRecallCurve:
    """Precision and recall over the threshold.

    Equal scores are taken together, as a threshold cannot tell them apart.

    Args:
        scores: ``(N,)`` of predictions.
        right: ``(N,)`` bool, whether each is right.
        total: How many there are to be found, those that no prediction finds too.
    """
    order = np.argsort(-scores, kind='stable')
    scores, right = scores[order], right[order]
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True)[: len(scores)])
    found = np.cumsum(right)[last]
    recall = found / total if total else np.zeros(len(last))
    return PrecisionRecallCurve(scores[last], found / (last + 1), recall)


def best_threshold(curve: PrecisionRecallCurve) -> Operating | None:
    """The threshold with the largest F1, the highest of several; None if nothing is ever right."""
    sums = curve.precision + curve.recall
    f1 = np.divide(
        2 * curve.precision * curve.recall, sums, out=np.zeros(len(sums)), where=sums > 0
    )
    if not len(f1) or f1.max() == 0:
        return None
    best = int(f1.argmax())
    values = (part[best] for part in (*curve, f1))
    return Operating(*(float(value) for value in values))


class Reliability(NamedTuple):
    """How often predictions of some certainty are right; counts and sums that can be added up."""

    counts: np.ndarray
    """``(CONFIDENCE_BINS,)``: predictions."""

    scores: np.ndarray
    """``(CONFIDENCE_BINS,)``: the sum of their scores."""

    right: np.ndarray
    """``(CONFIDENCE_BINS,)``: how many of them are right."""

    def __add__(self, other: 'Reliability') -> 'Reliability':  # type: ignore[override]
        """Of the predictions of both."""
        return Reliability(*(own + its for own, its in zip(self, other, strict=True)))

    @property
    def confidence(self) -> np.ndarray:
        """``(CONFIDENCE_BINS,)``: mean score; NaN in an empty bin."""
        return self._mean(self.scores)

    @property
    def accuracy(self) -> np.ndarray:
        """``(CONFIDENCE_BINS,)``: share that is right; NaN in an empty bin."""
        return self._mean(self.right)

    def _mean(self, sums: np.ndarray) -> np.ndarray:
        return np.divide(
            sums, self.counts, out=np.full(CONFIDENCE_BINS, np.nan), where=self.counts > 0
        )

    @property
    def expected_error(self) -> float:
        """Expected calibration error: mean gap of confidence and accuracy, weighted by counts.

        0 to 1; NaN without predictions. Guo et al., On Calibration of Modern Neural Networks, 2017.
        """
        total = self.counts.sum()
        return float(np.abs(self.scores - self.right).sum() / total) if total else float('nan')

    def to_json(self) -> dict:
        """Numbers in words, with the limits of the bins."""
        limits = np.linspace(0, 1, CONFIDENCE_BINS + 1)
        return dict(
            expected_calibration_error=self.expected_error,
            bins=[
                dict(lower=lower, upper=upper, count=int(count), confidence=score, accuracy=share)
                for lower, upper, count, score, share in zip(
                    limits[:-1],
                    limits[1:],
                    self.counts,
                    self.confidence,
                    self.accuracy,
                    strict=True,
                )
            ],
        )


def reliability(scores: np.ndarray, right: np.ndarray) -> Reliability:
    """Counts predictions by their scores.

    Args:
        scores: ``(N,)`` in [0, 1].
        right: ``(N,)`` bool.
    """
    bins = np.clip((scores * CONFIDENCE_BINS).astype(np.int64), 0, CONFIDENCE_BINS - 1)
    parts = (None, scores, right)
    return Reliability(
        *(np.bincount(bins, part, minlength=CONFIDENCE_BINS).astype(float) for part in parts)
    )
