"""Numbers of a detector: AP by class and size, kinds of errors, thresholds, calibration.

The evaluator is hotcoco's, whose AP is that of pycocotools and whose kinds of errors are those of
TIDE (Bolya et al., TIDE: A General Toolbox for Identifying Object Detection Errors, 2020).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from repnext_mm.analysis.coco_truth import Truth, hotcoco
from repnext_mm.analysis.curves import (
    Operating,
    Reliability,
    best_threshold,
    precision_recall,
    reliability,
)

MOST_DETECTIONS = (100, 300, 1000)
"""Of an image, the most certain ones: AP counts the first number, all else the last, as mmdet does."""

SIZES = ('all', 'small', 'medium', 'large')
"""COCO's: up to 32 x 32 pixels, up to 96 x 96, and above."""

MATCHED = 0.5
"""IoU from which on an object counts as found, where it is not averaged over several."""

IOUS = {0.5: 0, 0.75: 5, 0.9: 8}
"""Places among COCO's ten IoUs."""

TIDE_NAMES = dict(
    Cls='classification',
    Loc='localisation',
    Both='both',
    Dupe='duplicate',
    Bkg='background',
    Miss='missed',
)
UNDECIDED = 0.5
"""The threshold of a class of which nothing is found."""


class Matches(NamedTuple):
    """Predictions against objects at an IoU of 0.5, each class for itself."""

    scores: np.ndarray
    """``(N,)`` of predictions in their order; those that count neither way have NaN."""

    labels: np.ndarray
    right: np.ndarray
    """``(N,)`` bool."""

    object_of: dict[int, int]
    """Number of the object that a prediction has found, by the number of the prediction."""

    totals: np.ndarray
    """``(classes,)``: objects that count."""


class EvaluatedDetector(NamedTuple):
    """What is known of one kind of predictions, boxes or masks."""

    kind: str
    """``'bbox'`` or ``'segm'``."""

    evaluator: Any
    """hotcoco's, with everything accumulated."""

    precision: np.ndarray
    """``(IoUs, recalls, classes, sizes, numbers of detections)``; -1 where there is no object."""

    recalls: np.ndarray
    matches: Matches
    thresholds: list[Operating | None]
    """By class, the one with the largest F1."""

    tide: dict[str, Any]
    calibration: Reliability

    def taken(self, override: float | None = None) -> np.ndarray:
        """``(classes,)``: thresholds that decide what is shown and counted as predicted."""
        best = [UNDECIDED if best is None else best.threshold for best in self.thresholds]
        return np.full(len(best), override) if override is not None else np.array(best)


def evaluate(truth: Truth, predictions: list[dict], kind: str) -> EvaluatedDetector:
    """Compares predictions with the ground truth.

    Args:
        truth: The ground truth.
        predictions: In COCO's format.
        kind: ``'bbox'`` or ``'segm'``.

    Raises:
        ImportError: If hotcoco is not installed.
    """
    evaluator = run_evaluator(truth, predictions, kind)
    result = evaluator.eval
    diagnosis = evaluator.image_diagnostics(iou_thr=MATCHED)
    matches = _matches(truth, predictions, diagnosis)
    thresholds = [
        best_threshold(class_curve(matches, label)) for label in range(len(truth.classes))
    ]
    counted = ~np.isnan(matches.scores)
    return EvaluatedDetector(
        kind,
        evaluator,
        np.asarray(result['precision']),
        np.asarray(evaluator.params.rec_thrs),
        matches,
        thresholds,
        evaluator.tide_errors(pos_thr=MATCHED),
        reliability(matches.scores[counted], matches.right[counted]),
    )


def run_evaluator(truth: Truth, predictions: list[dict], kind: str) -> Any:
    """hotcoco's evaluator of all classes and sizes, with everything accumulated."""
    package = hotcoco()
    objects = package.COCO(truth.content)
    evaluator = package.COCOeval(objects, objects.load_res(predictions), kind)
    evaluator.params.max_dets = list(MOST_DETECTIONS)
    evaluator.params.cat_ids = truth.category_ids
    evaluator.evaluate()
    evaluator.accumulate()
    return evaluator


def _matches(truth: Truth, predictions: list[dict], diagnosis: Mapping) -> Matches:
    status, label_of = diagnosis['dt_status'], {c: i for i, c in enumerate(truth.category_ids)}
    numbers = range(1, len(predictions) + 1)
    scores = [
        p['score'] if i in status else np.nan for i, p in zip(numbers, predictions, strict=True)
    ]
    labels = [label_of[prediction['category_id']] for prediction in predictions]
    right = [status.get(number) == 'tp' for number in numbers]
    counted = [
        label_of[annotation['category_id']]
        for annotation in truth.content['annotations']
        if not annotation['iscrowd']
    ]
    return Matches(
        np.array(scores, float),
        np.array(labels, int),
        np.array(right, bool),
        dict(diagnosis['dt_match']),
        np.bincount(counted, minlength=len(truth.classes)),
    )


def class_curve(matches: Matches, label: int) -> Any:
    """Precision and recall of a class at an IoU of 0.5."""
    own = (matches.labels == label) & ~np.isnan(matches.scores)
    return precision_recall(matches.scores[own], matches.right[own], int(matches.totals[label]))


def average_precision(
    detector: EvaluatedDetector,
    label: int | None = None,
    iou: float | None = None,
    size: str = 'all',
) -> float | None:
    """AP as COCO defines it; None where there is no object.

    Args:
        detector: The predictions.
        label: Of a class; None for the mean over all.
        iou: A key of :data:`IOUS`; None for the mean over 0.5 to 0.95.
        size: One of :data:`SIZES`.
    """
    usual = iou is None and size == 'all'
    part = detector.precision[..., SIZES.index(size), 0 if usual else -1]
    if iou is not None:
        part = part[IOUS[iou] : IOUS[iou] + 1]
    if label is not None:
        part = part[:, :, label : label + 1]
    known = part[part > -1]
    return float(known.mean()) if len(known) else None


def precision_curve(
    detector: EvaluatedDetector, iou: float, label: int | None = None
) -> np.ndarray | None:
    """Precision ``(recalls,)``, the largest at each recall or above; None where there is no object.

    Args:
        detector: The predictions.
        iou: A key of :data:`IOUS`.
        label: Of a class; None for the mean over all with objects.
    """
    part = detector.precision[IOUS[iou], :, :, 0, -1]
    chosen = part[:, part[0] > -1] if label is None else part[:, [label]]
    return None if not chosen.size or chosen[0, 0] < 0 else chosen.mean(1)


def object_sizes(truth: Truth) -> dict[str, np.ndarray]:
    """How many objects of each class there are, by COCO's size: ``(classes,)`` each."""
    limits = dict(small=(0, 32**2), medium=(32**2, 96**2), large=(96**2, float('inf')))
    label_of = {number: label for label, number in enumerate(truth.category_ids)}
    counted = [a for a in truth.content['annotations'] if not a['iscrowd']]
    return {
        size: np.bincount(
            [label_of[a['category_id']] for a in counted if low <= a['area'] < high],
            minlength=len(truth.classes),
        )
        for size, (low, high) in limits.items()
    }


def object_confusions(
    detector: EvaluatedDetector, truth: Truth, predictions: list[dict], thresholds: np.ndarray
) -> np.ndarray:
    """A confusion matrix whose last row and column are the background.

    Args:
        detector: The predictions.
        truth: The ground truth.
        predictions: Those that the detector was made of.
        thresholds: ``(classes,)``; what is less certain counts as not predicted.

    Returns:
        ``(classes + 1, classes + 1)`` int64, rows for the truth.
    """
    chosen = detector.matches.scores >= thresholds[detector.matches.labels]
    kept = [p for p, is_chosen in zip(predictions, chosen, strict=True) if is_chosen]
    evaluator = run_evaluator(truth, kept, detector.kind)
    return np.asarray(evaluator.confusion_matrix(iou_thr=MATCHED)['matrix']).astype(np.int64)
