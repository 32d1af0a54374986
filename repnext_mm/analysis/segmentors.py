"""The analysis of a segmentor.

Label maps are counted image by image, and only those of the images that are shown are kept: all of
a data set would not fit into memory.
"""

import bisect
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from repnext_mm.analysis.confusion import confusion_matrix, row_shares
from repnext_mm.analysis.curves import Reliability, reliability
from repnext_mm.analysis.pictures import draw_gallery, side_by_side
from repnext_mm.analysis.report import AnalysisReport, ReportTable, Section, count, percent
from repnext_mm.analysis.samples import TestedSample, as_array, name_of_image
from repnext_mm.analysis.sections import calibration_section, confusion_section
from repnext_mm.analysis.settings import AnalysisSettings
from repnext_mm.visualization.colours import Colour, class_colours
from repnext_mm.visualization.legend import Entry, frequent_classes, overlay

WRONG_PIXELS: Colour = (230, 0, 120)
VOID_LABEL = 255


class Shown(NamedTuple):
    """An image that may be shown, with its label maps."""

    miou: float
    place: int
    sample: dict
    maps: tuple[bytes, bytes]
    """Ground truth and prediction, ``(H, W)`` int16, compressed."""

    shape: tuple[int, int]


class ClassScores(NamedTuple):
    """IoU and accuracy of each class, ``(classes,)``; NaN where there are no pixels."""

    iou: np.ndarray
    accuracy: np.ndarray


def class_scores(matrix: np.ndarray) -> ClassScores:
    """IoU and accuracy from pixel counts ``(classes, classes)``, rows for the truth."""
    right, true, predicted = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    return ClassScores(_ratio(right, true + predicted - right), _ratio(right, true))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def mean(values: np.ndarray) -> float:
    """The mean of those that are there; NaN if none is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float('nan')


class SegmentorAnalysis:
    """Takes the predictions of a segmentor, and says what is in them.

    Args:
        dataset: The test data, of mmseg.
        settings: What is asked for.
    """

    def __init__(self, dataset: Any, settings: AnalysisSettings):
        self.dataset, self.settings = dataset, settings
        self.classes = [str(name) for name in dataset.metainfo['classes']]
        palette = dataset.metainfo.get('palette')
        self.palette = palette or class_colours(len(self.classes))
        self.matrix = np.zeros((len(self.classes), len(self.classes)), np.int64)
        self.calibration: Reliability | None = None
        self.images: list[dict] = []
        self.worst: list[Shown] = []
        self.best: list[Shown] = []

    def take(self, sample: TestedSample) -> None:
        """Takes the prediction of an image.

        Raises:
            ValueError: If it is none of a segmentor, or has no ground truth.
        """
        truth, predicted = self._maps(sample)
        matrix = confusion_matrix(truth, predicted, len(self.classes))
        self.matrix += matrix
        self._calibrate(sample, truth)
        miou = mean(class_scores(matrix).iou)
        index = len(self.images)
        pixels = int(matrix.sum())
        accuracy = float(np.diag(matrix).sum() / pixels) if pixels else float('nan')
        named = dict(img_path=sample.get('img_path'))
        self.images.append(dict(image=name_of_image(named, index), mIoU=miou, accuracy=accuracy))
        if miou == miou:
            maps = (_packed(truth), _packed(predicted))
            self._keep(Shown(miou, index, named, maps, (truth.shape[0], truth.shape[1])))

    def _maps(self, sample: TestedSample) -> tuple[np.ndarray, np.ndarray]:
        """Ground truth and prediction, ``(H, W)``."""
        if 'pred_sem_seg' not in sample:
            raise ValueError(
                f'a sample without a label map, it has {", ".join(map(str, sample)) or "nothing"}: '
                'analyse the predictions with the config that they were made with'
            )
        if 'gt_sem_seg' not in sample:
            raise ValueError(
                'the test data have no label maps to compare predictions with: analyse a split that '
                "has them, with dict(type='LoadAnnotations') behind Resize in its pipeline"
            )
        truth, predicted = (
            as_array(sample[key]['data']).squeeze() for key in ('gt_sem_seg', 'pred_sem_seg')
        )
        if truth.shape != predicted.shape:
            raise ValueError(
                f'the label map of {sample.get("img_path")} has {truth.shape[0]} x {truth.shape[1]} '
                f'pixels, the prediction {predicted.shape[0]} x {predicted.shape[1]}: put '
                "dict(type='LoadAnnotations') behind Resize in the test pipeline"
            )
        return truth, predicted

    def _calibrate(self, sample: TestedSample, truth: np.ndarray) -> None:
        """Counts pixels by the softmax of their class, where the logits are there."""
        logits = sample.get('seg_logits')
        if not isinstance(logits, Mapping) or len(logits['data']) != len(self.classes):
            return
        best = torch.softmax(logits['data'].float(), 0).max(0)
        scores, labels = best.values.cpu().numpy(), best.indices.cpu().numpy()
        known = (truth >= 0) & (truth < len(self.classes))
        found = reliability(scores[known], labels[known] == truth[known])
        self.calibration = found if self.calibration is None else self.calibration + found

    def _keep(self, shown: Shown) -> None:
        """Keeps the worst and the best, the worst in rising and the best in falling order."""
        most = self.settings.pictures
        bisect.insort(self.worst, shown, key=lambda image: (image.miou, image.place))
        bisect.insort(self.best, shown, key=lambda image: (-image.miou, image.place))
        del self.worst[most:], self.best[most:]

    def report(self) -> AnalysisReport:
        """Analyses what was taken.

        Raises:
            ValueError: If nothing was, or no pixel has a class.
        """
        if not self.images:
            raise ValueError('there are no predictions: the test data or the file have none')
        if not self.matrix.any():
            raise ValueError(
                f'no pixel of the label maps of {len(self.images)} image(s) has a class, so there is '
                'nothing to compare predictions with: look at them with tools/check_dataset.py'
            )
        scores = class_scores(self.matrix)
        headline = dict(
            mIoU=mean(scores.iou),
            mean_accuracy=mean(scores.accuracy),
            pixel_accuracy=float(np.diag(self.matrix).sum() / self.matrix.sum()),
        )
        numbers = dict(
            classes=self.classes,
            images=len(self.images),
            per_image=sorted(
                self.images, key=lambda image: (image['mIoU'] != image['mIoU'], image['mIoU'])
            ),
            **headline,
            per_class=self._class_numbers(scores),
            confusion_matrix=dict(names=self.classes, counts=self.matrix),
            calibration=self.calibration.to_json() if self.calibration else None,
        )
        sections = [self._headline(headline), self._classes_section(scores)]
        said = 'All pixels that have a class, row by row.'
        sections.append(confusion_section(self.matrix, self.classes, said))
        if self.calibration:
            text = 'All pixels, by the softmax of the predicted class: of those with 0.7, seven in ten should be right.'
            sections.append(calibration_section(self.calibration, 'right', text))
        return AnalysisReport(numbers, [*sections, *self._image_sections()])

    def _headline(self, values: dict[str, float]) -> Section:
        present = self.matrix.sum(axis=1).tolist()
        empty = [name for name, is_there in zip(self.classes, present, strict=True) if not is_there]
        text = f'{len(self.images)} images, {len(self.classes)} classes; in percent.'
        if empty:
            text += f' No pixels in the test data: {", ".join(empty)}.'
        header = [name.replace('_', ' ') for name in values]
        return Section(
            'Headline', [text, ReportTable(header, [[percent(v) for v in values.values()]])]
        )

    def _class_numbers(self, scores: ClassScores) -> list[dict]:
        pixels, total = self.matrix.sum(1), self.matrix.sum()
        return [
            dict(
                name=name,
                iou=scores.iou[i],
                accuracy=scores.accuracy[i],
                pixels=int(pixels[i]),
                share=float(pixels[i] / total),
            )
            for i, name in enumerate(self.classes)
        ]

    def _classes_section(self, scores: ClassScores) -> Section:
        shares = row_shares(self.matrix)
        np.fill_diagonal(shares, 0)
        rows = []
        for label, numbers in enumerate(self._class_numbers(scores)):
            other = int(shares[label].argmax())
            most = shares[label, other]
            rows.append(
                (
                    numbers['name'],
                    percent(numbers['iou']),
                    percent(numbers['accuracy']),
                    count(numbers['pixels']),
                    percent(numbers['share']),
                    f'{self.classes[other]} ({100 * most:.0f} %)' if most >= 0.005 else '',
                )
            )
        header = ['class', 'IoU', 'accuracy', 'pixels', '% of all pixels', 'most often taken for']
        return Section('Classes', [ReportTable(header, rows, sortable=True)])

    def _image_sections(self) -> list[Section]:
        taken = {shown.place for shown in self.worst[: (len(self.images) + 1) // 2]}
        worst = [shown for shown in self.worst if shown.place in taken]
        best = [shown for shown in self.best if shown.place not in taken]
        shown_at = {shown.place: shown for shown in (*worst, *best)}

        def caption(index: int) -> str:
            shown = shown_at[index]
            return f'{name_of_image(shown.sample, index)}: mIoU {100 * shown.miou:.1f} %'

        sections = []
        for title, chosen in (('worst', worst), ('best', best)):
            if chosen:
                gallery = draw_gallery(
                    title,
                    [(shown.place, shown.sample) for shown in chosen],
                    self.dataset,
                    lambda image, index: self._draw(image, shown_at[index]),
                    caption,
                    width=50,
                )
                text = 'By the mean IoU of the classes on the image; pixels without a class count nowhere.'
                sections.append(Section(f'{title.capitalize()} images', [text, gallery]))
        return sections

    def _draw(self, image: np.ndarray, shown: Shown) -> np.ndarray:
        truth, predicted = (_unpacked(part, shown.shape) for part in shown.maps)
        known = (truth >= 0) & (truth < len(self.classes))
        errors = np.where(known & (truth != predicted), 0, VOID_LABEL)
        panels = {
            'ground truth': overlay(image, truth, self.palette),
            'prediction': overlay(image, predicted, self.palette),
            'errors': overlay(image, errors, [WRONG_PIXELS], 0.8),
        }
        entries = frequent_classes([truth, predicted], self.classes, self.palette)
        return side_by_side(panels, [*entries, Entry('wrong', WRONG_PIXELS)])


def _packed(labels: np.ndarray) -> bytes:
    return zlib.compress(np.ascontiguousarray(labels, np.int16).tobytes(), 1)


def _unpacked(content: bytes, shape: Sequence[int]) -> np.ndarray:
    return np.frombuffer(zlib.decompress(content), np.int16).reshape(shape)
