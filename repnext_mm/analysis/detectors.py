"""The analysis of a detector, box and mask."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from repnext_mm.analysis.coco_truth import Found, add_predictions, hotcoco, read_truth
from repnext_mm.analysis.detection import (
    SIZES,
    EvaluatedDetector,
    evaluate,
    object_confusions,
    object_sizes,
)
from repnext_mm.analysis.detection_images import Drawing, objects_of_images, worst_first
from repnext_mm.analysis.detector_sections import (
    class_numbers,
    curve_numbers,
    curves_section,
    headline,
    tide_numbers,
    tide_section,
)
from repnext_mm.analysis.pictures import draw_gallery, worst_and_best
from repnext_mm.analysis.report import (
    AnalysisReport,
    ReportTable,
    Section,
    count,
    decimal,
    percent,
)
from repnext_mm.analysis.samples import TestedSample, name_of_image
from repnext_mm.analysis.sections import calibration_section, confusion_section
from repnext_mm.analysis.settings import AnalysisSettings
from repnext_mm.html_page import Cell

ERROR_KINDS = dict(segm='Masks', bbox='Boxes')
BACKGROUND = 'background'


class DetectorAnalysis:
    """Takes the predictions of a detector, and says what is in them.

    Args:
        dataset: The test data, of mmdet and in COCO's format.
        settings: What is asked for.

    Raises:
        ImportError: If hotcoco is not installed.
        ValueError: If the test data are in another format, or have no objects.
    """

    def __init__(self, dataset: Any, settings: AnalysisSettings):
        hotcoco()
        self.dataset, self.settings = dataset, settings
        self.truth = read_truth(dataset)
        self.found = Found([], [])
        self.samples: dict[Any, tuple[int, TestedSample]] = {}

    @property
    def classes(self) -> list[str]:
        """Their names."""
        return self.truth.classes

    def take(self, sample: TestedSample) -> None:
        """Takes the predictions of an image.

        Raises:
            ValueError: If they are none of a detector, or for other data.
        """
        add_predictions(self.found, sample, self.truth)
        number = sample['img_id']
        self.samples[number] = (len(self.samples), dict(img_path=sample.get('img_path')))

    def report(self) -> AnalysisReport:
        """Analyses what was taken.

        Raises:
            ValueError: If nothing was, or if it is of other images.
        """
        self._check()
        kinds = dict(bbox=self.found.boxes)
        if self.found.masks and self.truth.has_masks:
            kinds = dict(segm=self.found.masks, **kinds)
        detectors = {kind: evaluate(self.truth, p, kind) for kind, p in kinds.items()}
        numbers: dict[str, Any] = dict(classes=self.classes, images=len(self.samples))
        sections = [self._headline(detectors)]
        for kind, detector in detectors.items():
            prefix = f'{kind}_'
            own_numbers, own_sections = self._kind(detector, kinds[kind], prefix)
            numbers[kind] = own_numbers
            sections += [Section(ERROR_KINDS[kind], []), *own_sections]
        return AnalysisReport(numbers, sections)

    def _check(self) -> None:
        wanted = {image['id'] for image in self.truth.content['images']}
        if not self.samples:
            raise ValueError('there are no predictions: the test data or the file have none')
        if unknown := self.samples.keys() - wanted:
            raise ValueError(
                f'the predictions are of image {min(unknown, key=str)!r}, which the test data have '
                'not: analyse them with the config that they were made with'
            )
        if missing := wanted - self.samples.keys():
            raise ValueError(
                f'{len(missing)} of {len(wanted)} images have no predictions, such as image '
                f'{min(missing, key=str)!r}: the file must be of the whole test data'
            )
        if not self.found.boxes:
            raise ValueError(
                f'the detector has found nothing on any of {len(wanted)} images: train it longer, or '
                'lower model.test_cfg.rcnn.score_thr'
            )

    def _headline(self, detectors: dict[str, EvaluatedDetector]) -> Section:
        header = ['', 'AP', 'AP50', 'AP75', *(f'AP {size}' for size in SIZES[1:])]
        rows: list[Sequence[Cell]] = [
            (ERROR_KINDS[kind], *(percent(value) for value in headline(detector).values()))
            for kind, detector in detectors.items()
        ]
        sizes = object_sizes(self.truth)
        totals: list[Cell] = [
            'objects',
            *('' for _ in range(3)),
            *(count(sizes[s].sum()) for s in SIZES[1:]),
        ]
        total = int(sum(part.sum() for part in sizes.values()))
        empty = [name for name, n in zip(self.classes, self._totals(), strict=True) if not n]
        text = (
            f'{len(self.samples)} images with {total:,} objects of {len(self.classes)} class(es).'
        )
        if empty:
            text += f' No objects in the test data, and so no AP: {", ".join(empty)}.'
        return Section('Average precision', [text, ReportTable(header, [*rows, totals])])

    def _totals(self) -> np.ndarray:
        return np.sum(list(object_sizes(self.truth).values()), 0)

    def _kind(
        self, detector: EvaluatedDetector, predictions: list[dict], prefix: str
    ) -> tuple[dict[str, Any], list[Section]]:
        """Numbers and sections of boxes or masks."""
        thresholds = detector.taken(self.settings.score_threshold)
        matrix = object_confusions(detector, self.truth, predictions, thresholds)
        names = [*self.classes, BACKGROUND]
        images = objects_of_images(detector, self.truth, predictions, thresholds)
        drawing = Drawing(detector, self.truth, predictions, images)
        said = 'the threshold that is best for its class'
        if self.settings.score_threshold is not None:
            said = f'{self.settings.score_threshold:g}'
        sections = [
            self._classes_section(detector),
            curves_section(detector, self.classes, prefix),
            tide_section(detector, prefix),
            confusion_section(
                matrix,
                names,
                f'Predictions with a score of at least {said}, each with the object of any class that '
                'it covers with an IoU of 0.5. What is missed is predicted as background.',
                prefix,
                kept=1,
            ),
            calibration_section(
                detector.calibration,
                'right at IoU 0.5',
                'All predictions, by their score: of those with 0.7, seven in ten should be right.',
                prefix,
            ),
            *self._image_sections(drawing, prefix, said),
        ]
        numbers = dict(
            headline(detector),
            per_class=[class_numbers(detector, self.truth, i) for i in range(len(self.classes))],
            precision_recall=curve_numbers(detector, self.classes),
            tide=tide_numbers(detector),
            confusion_matrix=dict(names=names, counts=matrix, thresholds=thresholds),
            calibration=detector.calibration.to_json(),
            per_image=self._image_numbers(drawing),
        )
        return numbers, sections

    def _classes_section(self, detector: EvaluatedDetector) -> Section:
        sizes = [f'AP {size}' for size in SIZES[1:]]
        header = ['class', 'objects', 'AP', 'AP50', 'AP75', *sizes]
        header += ['best threshold', 'precision at it', 'recall at it', 'F1 at it']
        rows: list[Sequence[Cell]] = []
        for label, name in enumerate(self.classes):
            best = detector.thresholds[label]
            shares = [percent(part) for part in best[1:]] if best else [percent(None)] * 3
            rows.append(
                (
                    name,
                    count(detector.matches.totals[label]),
                    *(percent(value) for value in headline(detector, label).values()),
                    decimal(best.threshold if best else None),
                    *shares,
                )
            )
        text = (
            'In percent. Small is up to 32 x 32 pixels, medium up to 96 x 96. The best threshold has '
            'the largest F1 at an IoU of 0.5, on these very images.'
        )
        return Section('Classes', [text, ReportTable(header, rows, sortable=True)], 3)

    def _image_sections(self, drawing: Drawing, prefix: str, said: str) -> list[Section]:
        numbers = worst_first(drawing.images)
        worst, best = worst_and_best(numbers, self.settings.pictures)
        number_of = {place: number for number, (place, _) in self.samples.items()}

        def caption(place: int) -> str:
            own = drawing.images[number_of[place]]
            counts = ', '.join(f'{value} {name}' for name, value in own.counts.items())
            name = name_of_image(self.samples[number_of[place]][1], place)
            return f'{name}: F1 {100 * own.f1:.0f} %, {counts}'

        sections = []
        for title, chosen in (('worst', worst), ('best', best)):
            if chosen:
                gallery = draw_gallery(
                    f'{prefix}{title}',
                    [self.samples[number] for number in chosen],
                    self.dataset,
                    lambda image, place: drawing.draw(image, number_of[place]),
                    caption,
                    width=30,
                )
                text = f'By F1 at an IoU of 0.5, with scores of at least {said}.'
                sections.append(Section(f'{title.capitalize()} images', [text, gallery], 3))
        return sections

    def _image_numbers(self, drawing: Drawing) -> list[dict]:
        return [
            dict(
                image=name_of_image(self.samples[number][1], self.samples[number][0]),
                img_id=number,
                f1=drawing.images[number].f1,
                **drawing.images[number].counts,
            )
            for number in worst_first(drawing.images)
        ]
