"""The analysis of a classifier of images with one class each."""

from typing import Any

import numpy as np

from repnext_mm.analysis.confusion import confusion_matrix, row_shares
from repnext_mm.analysis.curves import (
    Operating,
    best_threshold,
    precision_recall,
    reliability,
)
from repnext_mm.analysis.pictures import draw_gallery
from repnext_mm.analysis.report import AnalysisReport, ReportTable, Section, count, decimal, percent
from repnext_mm.analysis.samples import TestedSample, as_array, name_of_image
from repnext_mm.analysis.sections import calibration_section, confusion_section
from repnext_mm.analysis.settings import AnalysisSettings
from repnext_mm.visualization.objects import enlarge

ENLARGED_SIDE = 224
"""Pixels of the longer side of an image in the gallery."""


class ClassifierAnalysis:
    """Takes the predictions of a classifier, and says what is in them.

    Args:
        dataset: The test data, of mmpretrain.
        settings: What is asked for.
    """

    def __init__(self, dataset: Any, settings: AnalysisSettings):
        self.dataset, self.settings = dataset, settings
        self.names = dataset.metainfo.get('classes')
        self.labels: list[int] = []
        self.scores: list[np.ndarray] = []
        self.samples: list[dict] = []

    @property
    def classes(self) -> list[str]:
        """Their names, or numbers where the test data name none."""
        if self.names:
            return [str(name) for name in self.names]
        return [str(number) for number in range(len(self.scores[0]) if self.scores else 0)]

    def take(self, sample: TestedSample) -> None:
        """Takes the prediction of an image.

        Raises:
            ValueError: If it is none of a classifier, has no ground truth, or several classes.
        """
        if 'pred_score' not in sample:
            raise ValueError(
                f'a sample without scores of classes, it has {", ".join(map(str, sample)) or "nothing"}: '
                'analyse the predictions with the config that they were made with'
            )
        if 'gt_label' not in sample:
            raise ValueError(
                'the test data have no classes to compare predictions with: analyse a split with '
                'annotations, such as a folder with a folder for each class'
            )
        truth = np.atleast_1d(as_array(sample['gt_label']))
        if len(truth) != 1:
            raise ValueError(
                f'an image has {len(truth)} classes: classifiers of images with one class each are '
                'analysed, and of no others'
            )
        self.labels.append(int(truth[0]))
        self.scores.append(as_array(sample['pred_score']).astype(np.float32))
        self.samples.append(dict(img_path=sample.get('img_path')))

    def report(self) -> AnalysisReport:
        """Analyses what was taken.

        Raises:
            ValueError: If nothing was, or if it is for other classes.
        """
        if not self.labels:
            raise ValueError('there are no predictions: the test data or the file have none')
        labels, scores = np.array(self.labels), np.stack(self.scores)
        if scores.shape[1] != len(self.classes):
            raise ValueError(
                f'{scores.shape[1]} classes are predicted, and the test data have {len(self.classes)}: '
                'analyse predictions with the config that they were made with'
            )
        predicted = scores.argmax(1)
        right = predicted == labels
        matrix = confusion_matrix(labels, predicted, len(self.classes))
        best = [self._best(labels, scores, label) for label in range(len(self.classes))]
        headline = dict(top1=float(right.mean()))
        if len(self.classes) > 5:
            headline['top5'] = topk(labels, scores, 5)
        headline['mean_class_accuracy'] = _mean_accuracy(matrix)
        found = reliability(scores.max(1), right)
        per_class = accuracy_numbers(self.classes, matrix, best)
        numbers = dict(
            classes=self.classes,
            images=len(labels),
            **headline,
            per_class=per_class,
            confusion_matrix=dict(names=self.classes, counts=matrix),
            calibration=found.to_json(),
        )
        text = 'All images, by the score of the predicted class: of those with 0.7, seven in ten should be right.'
        sections = [
            self._headline(headline, matrix),
            classes_section(per_class),
            confusion_section(matrix, self.classes, 'All images, row by row.'),
            calibration_section(found, 'right', text),
            *self._worst_section(labels, scores, numbers),
        ]
        return AnalysisReport(numbers, sections)

    def _best(self, labels: np.ndarray, scores: np.ndarray, label: int) -> Operating | None:
        own = labels == label
        return best_threshold(precision_recall(scores[:, label], own, int(own.sum())))

    def _headline(self, values: dict[str, float], matrix: np.ndarray) -> Section:
        header = [name.replace('_', ' ') for name in values]
        text = f'{len(self.labels):,} images, {len(self.classes):,} classes; in percent.'
        empty = [name for name, row in zip(self.classes, matrix, strict=True) if not row.any()]
        if empty:
            more = f' and {len(empty) - 10} more' if len(empty) > 10 else ''
            text += f' No images in the test data: {", ".join(empty[:10])}{more}.'
        return Section(
            'Headline', [text, ReportTable(header, [[percent(v) for v in values.values()]])]
        )

    def _worst_section(
        self, labels: np.ndarray, scores: np.ndarray, numbers: dict[str, Any]
    ) -> list[Section]:
        """The images that are wrong with the highest scores."""
        predicted, certain = scores.argmax(1), scores.max(1)
        wrong = np.flatnonzero(predicted != labels)
        order = wrong[np.argsort(-certain[wrong], kind='stable')].tolist()
        numbers['worst_images'] = [
            dict(
                image=name_of_image(self.samples[index], index),
                true=self.classes[labels[index]],
                predicted=self.classes[predicted[index]],
                score=float(certain[index]),
                score_of_true_class=float(scores[index, labels[index]]),
            )
            for index in order[: 10 * self.settings.pictures]
        ]
        described = dict(zip(order, numbers['worst_images'], strict=False))

        def caption(index: int) -> str:
            own = described[index]
            return (
                f'{own["image"]}: {own["true"]} ({100 * own["score_of_true_class"]:.0f} %) taken for '
                f'{own["predicted"]} ({100 * own["score"]:.0f} %)'
            )

        shown = [(index, self.samples[index]) for index in order[: 2 * self.settings.pictures]]
        if not shown:
            return []
        gallery = draw_gallery('worst', shown, self.dataset, self._draw, caption, width=14)
        text = f'{len(order):,} images are wrong. These are wrong with the highest scores.'
        return [Section('Worst images', [text, gallery])]

    @staticmethod
    def _draw(image: np.ndarray, _: int) -> np.ndarray:
        return enlarge(image, ENLARGED_SIDE / max(image.shape[:2]))


def topk(labels: np.ndarray, scores: np.ndarray, most: int) -> float:
    """The share of images whose class is among those with the highest scores.

    Args:
        labels: ``(N,)``.
        scores: ``(N, classes)``.
        most: How many scores.
    """
    highest = np.argpartition(-scores, most - 1, axis=1)[:, :most]
    return float((highest == labels[:, None]).any(1).mean())


def _mean_accuracy(matrix: np.ndarray) -> float:
    """The mean over the classes that have images."""
    return float(np.diag(row_shares(matrix))[matrix.any(1)].mean())


def accuracy_numbers(
    names: list[str], matrix: np.ndarray, best: list[Operating | None]
) -> list[dict[str, Any]]:
    """All numbers of each class."""
    found, predicted = row_shares(matrix), matrix.sum(0)
    numbers = []
    for label, name in enumerate(names):
        images, right = int(matrix[label].sum()), int(matrix[label, label])
        threshold = best[label]
        numbers.append(
            dict(
                name=name,
                images=images,
                accuracy=float(found[label, label]) if images else None,
                precision=right / int(predicted[label]) if predicted[label] else None,
                best_threshold=threshold._asdict() if threshold else None,
            )
        )
    return numbers


def classes_section(numbers: list[dict[str, Any]]) -> Section:
    """The table of the classes."""
    rows = []
    for own in numbers:
        best = own['best_threshold'] or {}
        rows.append(
            (
                own['name'],
                count(own['images']),
                percent(own['accuracy']),
                percent(own['precision']),
                decimal(best.get('threshold')),
                *(percent(best.get(key)) for key in ('precision', 'recall', 'f1')),
            )
        )
    header = ['class', 'images', 'accuracy', 'precision', 'best threshold']
    header += ['precision at it', 'recall at it', 'F1 at it']
    text = (
        'In percent. The best threshold has the largest F1 for the class against all others; the three '
        'numbers behind it are those at it, on these very images.'
    )
    return Section('Classes', [text, ReportTable(header, rows, sortable=True)])
