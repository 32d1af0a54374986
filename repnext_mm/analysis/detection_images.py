"""A detector's images, from the worst to the best, and what is right and wrong on each."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from repnext_mm.analysis.coco_truth import Truth, hotcoco
from repnext_mm.analysis.detection import MATCHED, EvaluatedDetector
from repnext_mm.analysis.pictures import side_by_side
from repnext_mm.visualization.colours import Colour
from repnext_mm.visualization.legend import Entry
from repnext_mm.visualization.objects import Objects, draw_coloured

RIGHT: Colour = (86, 180, 233)
WRONG: Colour = (230, 60, 20)
CONFUSED: Colour = (240, 228, 66)
"""Of right, wrong or missed objects, and of those whose class is wrong: told apart with every
kind of colour vision."""


class ImageObjects(NamedTuple):
    """Objects and predictions of an image, by their places among all."""

    objects: list[int]
    """Among the annotations."""

    predictions: list[int]
    """Among those that are certain enough, the most certain first."""

    found: set[int]
    """The objects that a prediction has found."""

    right: set[int]
    """The predictions that have found one."""

    @property
    def counts(self) -> dict[str, int]:
        """Right, wrong and missed."""
        return dict(
            right=len(self.right),
            wrong=len(self.predictions) - len(self.right),
            missed=len(self.objects) - len(self.found),
        )

    @property
    def f1(self) -> float:
        """2 right / (2 right + wrong + missed); NaN where there is nothing and nothing predicted."""
        right, wrong, missed = self.counts.values()
        total = 2 * right + wrong + missed
        return 2 * right / total if total else float('nan')


def objects_of_images(
    detector: EvaluatedDetector, truth: Truth, predictions: list[dict], thresholds: np.ndarray
) -> dict[Any, ImageObjects]:
    """What is right and wrong on each image, by its number in the annotation file.

    Args:
        detector: The predictions.
        truth: The ground truth; crowds are left out.
        predictions: Those that the detector was made of.
        thresholds: ``(classes,)``; what is less certain is left out.
    """
    matches = detector.matches
    place_of = {a['id']: place for place, a in enumerate(truth.content['annotations'])}
    images: dict[Any, ImageObjects] = defaultdict(lambda: ImageObjects([], [], set(), set()))
    for place, annotation in enumerate(truth.content['annotations']):
        if not annotation['iscrowd']:
            images[annotation['image_id']].objects.append(place)
    chosen = np.flatnonzero(matches.scores >= thresholds[matches.labels])
    for place in chosen[np.argsort(-matches.scores[chosen], kind='stable')].tolist():
        image = images[predictions[place]['image_id']]
        image.predictions.append(place)
        if matches.right[place]:
            image.right.add(place)
            image.found.add(place_of[matches.object_of[place + 1]])
    return dict(images)


def worst_first(images: dict[Any, ImageObjects]) -> list[Any]:
    """Numbers of the images by their F1, and of equal ones those with more errors first.

    Images without objects and predictions are left out.
    """

    def key(number: Any) -> tuple[float, int, int]:
        right, wrong, missed = images[number].counts.values()
        return (images[number].f1, -wrong - missed, right)

    return sorted((number for number in images if images[number].f1 >= 0), key=key)


class Drawing(NamedTuple):
    """What pictures of images are made of."""

    detector: EvaluatedDetector
    truth: Truth
    predictions: list[dict]
    images: dict[Any, ImageObjects]

    def draw(self, image: np.ndarray, number: Any) -> np.ndarray:
        """Draws the ground truth beside the prediction.

        Args:
            image: ``(H, W, 3)`` uint8, RGB.
            number: Of the image, in the annotation file.
        """
        own = self.images[number]
        annotations = [self.truth.content['annotations'][place] for place in own.objects]
        found = [self.predictions[place] for place in own.predictions]
        true, predicted = self._objects(annotations, image), self._objects(found, image)
        confused = self._confused(own, annotations, found)
        colours = [RIGHT if place in own.found else WRONG for place in own.objects]
        chosen = [
            RIGHT if place in own.right else CONFUSED if is_confused else WRONG
            for place, is_confused in zip(own.predictions, confused, strict=True)
        ]
        classes = self.truth.classes
        panels = {
            f'ground truth: {len(colours)} objects': draw_coloured(image, true, classes, colours),
            f'prediction: {len(chosen)} objects': draw_coloured(image, predicted, classes, chosen),
        }
        entries = [Entry('found, right', RIGHT), Entry('missed, wrong', WRONG)]
        if any(confused):
            entries.append(Entry('of another class', CONFUSED))
        return side_by_side(panels, entries)

    def _objects(self, entries: Sequence[dict], image: np.ndarray) -> Objects:
        """Annotations or predictions as arrays."""
        label_of = {number: label for label, number in enumerate(self.truth.category_ids)}
        labels = np.array([label_of[entry['category_id']] for entry in entries], int)
        scores = None
        if entries and 'score' in entries[0]:
            scores = np.array([entry['score'] for entry in entries])
        masks = None
        if self.detector.kind == 'segm':
            masks = np.zeros((len(entries), *image.shape[:2]), bool)
            for number, entry in enumerate(entries):
                masks[number] = self._mask(entry, image)
        boxes = np.array([self._box(entry) for entry in entries], float).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        return Objects(boxes, scores, labels, masks)

    def _encoded(self, entry: dict, height: int, width: int) -> dict:
        """The mask of an annotation or prediction, run-length encoded."""
        mask = hotcoco().mask
        shape = entry['segmentation']
        if isinstance(shape, list):
            return mask.merge(mask.frPyObjects(shape, height, width))
        if isinstance(shape['counts'], list):
            return mask.frPyObjects(shape, height, width)
        return shape

    def _mask(self, entry: dict, image: np.ndarray) -> np.ndarray:
        mask = hotcoco().mask
        return mask.decode(self._encoded(entry, *image.shape[:2])).astype(bool)

    def _box(self, entry: dict) -> list[float]:
        """Left, top, width and height."""
        if 'bbox' in entry:
            return entry['bbox']
        mask = hotcoco().mask
        return mask.toBbox(entry['segmentation']).tolist()

    def _confused(
        self, own: ImageObjects, annotations: Sequence[dict], found: Sequence[dict]
    ) -> list[bool]:
        """Whether each prediction is a wrong one that lies on an object of another class."""
        if not annotations or not found:
            return [False] * len(found)
        mask = hotcoco().mask
        if self.detector.kind == 'segm':
            height, width = found[0]['segmentation']['size']
            first, second = (
                [self._encoded(entry, height, width) for entry in part]
                for part in (found, annotations)
            )
        else:
            first, second = ([e['bbox'] for e in part] for part in (found, annotations))
        overlaps = np.asarray(mask.iou(first, second, [False] * len(annotations)))
        other = np.array(
            [[p['category_id'] != a['category_id'] for a in annotations] for p in found]
        )
        on_another = ((overlaps >= MATCHED) & other).any(1)
        return [
            bool(is_on and place not in own.right)
            for is_on, place in zip(on_another, own.predictions, strict=True)
        ]
