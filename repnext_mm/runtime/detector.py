"""Exported detectors."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np

from repnext_mm.runtime.detections import Detections
from repnext_mm.runtime.images import Image, is_many
from repnext_mm.runtime.masks import MASK_KINDS, PASTE, MaskKind
from repnext_mm.runtime.network import (
    BATCH,
    ExportedNetwork,
    Model,
    Outputs,
    check_one_picture,
)
from repnext_mm.runtime.size_rules import Prepared


@dataclass(frozen=True)
class DetectionDetails:
    """The entries of a detector in a file's metadata: what is in the graph and stays so."""

    score_threshold: float
    """The graph leaves out detections with a lower score."""

    mask_threshold: float | None = None
    """Probability from which a pixel belongs to a mask; None without a mask head."""

    max_per_image: int | None = None
    """The graph puts out so many objects at most; None without a limit, or for older files."""

    nms_iou: float | None = None
    """The IoU from which NMS takes two boxes for one object; None for files before 0.2."""

    class_agnostic_nms: bool | None = None
    """Whether NMS does so for boxes of different classes; None likewise."""

    @classmethod
    def from_json(cls, entries: Mapping[str, Any]) -> 'DetectionDetails':
        """Reads the entries.

        Raises:
            KeyError: If there is no threshold, which all files have.
        """
        nms = entries.get('nms') or {}
        return cls(
            entries['score_threshold'],
            entries.get('mask_threshold'),
            entries.get('max_per_image'),
            nms.get('iou_threshold'),
            nms.get('class_agnostic'),
        )


@dataclass(frozen=True)
class Choice:
    """Which of the objects in the network's output are returned, and how."""

    score_threshold: float = 0.0
    """Leave out what is less certain."""

    max_per_image: int | None = None
    """Return so many objects at most, the most certain; None for all."""

    masks: MaskKind = 'bitmaps'
    """What becomes of masks."""

    def __post_init__(self) -> None:
        if not 0 <= self.score_threshold <= 1:
            raise ValueError(f'score_threshold is from 0 to 1, got {self.score_threshold!r}')
        count = self.max_per_image
        if count is not None and (isinstance(count, bool) or int(count) != count or count < 1):
            raise ValueError(f'max_per_image is a number from 1 on, or None for all; got {count!r}')
        if self.masks not in MASK_KINDS:
            raise ValueError(f'unknown masks={self.masks!r}: choose from {MASK_KINDS}')

    def changed(self, **values: Any) -> 'Choice':
        """Another choice where values are given that are not None."""
        given = {name: value for name, value in values.items() if value is not None}
        return replace(self, **given) if given else self


class Detector(ExportedNetwork):
    """An exported detector.

    ``Detector('model.onnx')('image.jpg', picture='found.png')``

    Args:
        source: As for :class:`ExportedNetwork`, and so ``runtime``, ``batch_size`` and ``options``.
        runtime: For ONNX.
        score_threshold: Leave out what is less certain. A lower one than the file's
            (``details.score_threshold``) changes nothing: the graph leaves such objects out.
        max_per_image: Return so many objects at most. More than the file's
            (``details.max_per_image``) are not in the graph's output.
        masks: ``'bitmaps'`` ``(K, H, W)``, COCO's ``'rle'``, inside their ``'boxes'``, or ``'none'``.
        batch_size: Images of a list at a time.
        **options: Of the runtime.
    """

    task = 'detection'
    own_options = ('batch_size', 'score_threshold', 'max_per_image', 'masks')

    def __init__(
        self,
        source: Model,
        runtime: str | None = None,
        *,
        score_threshold: float = 0.0,
        max_per_image: int | None = None,
        masks: MaskKind = 'bitmaps',
        batch_size: int = BATCH,
        **options: Any,
    ):
        choice = Choice(score_threshold, max_per_image, masks)
        super().__init__(source, runtime, batch_size=batch_size, **options)
        self.details = DetectionDetails.from_json(self.spec.details)
        self.choice = self._possible(choice)

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self,
        image: list[Any] | tuple[Any, ...],
        picture: None = None,
        score_threshold: float | None = None,
        *,
        max_per_image: int | None = None,
        masks: MaskKind | None = None,
    ) -> list[Detections]: ...

    @overload
    def __call__(
        self,
        image: Image,
        picture: str | Path | None = None,
        score_threshold: float | None = None,
        *,
        max_per_image: int | None = None,
        masks: MaskKind | None = None,
    ) -> Detections: ...

    def __call__(
        self,
        image: Image,
        picture: str | Path | None = None,
        score_threshold: float | None = None,
        *,
        max_per_image: int | None = None,
        masks: MaskKind | None = None,
    ) -> Detections | list[Detections]:
        """Detects objects.

        Args:
            image: What :func:`~repnext_mm.runtime.images.read_image` takes, or a list of them,
                for a list of answers.
            picture: PNG to write: the image with what was found.
            score_threshold: As for the class, like the others; None for what was said there.
            max_per_image: For this call.
            masks: For this call.

        Raises:
            FileNotFoundError: If there is no such picture.
            TypeError: If it is nothing that an image can be.
            ValueError: If it is no RGB image, or an option has a value that it cannot have.
        """
        many = is_many(image)
        check_one_picture(picture, many)
        choice = self._possible(
            self.choice.changed(
                score_threshold=score_threshold, max_per_image=max_per_image, masks=masks
            )
        )
        found = []
        for pixels, prepared, (boxes, outputs) in self.pass_all(image if many else [image]):
            found.append(self._found(boxes, outputs, prepared.scale, pixels.shape[:2], choice))
            if picture is not None:
                self._save(pixels, found[0], picture)
        return found if many else found[0]

    def detect(
        self,
        resized: np.ndarray,
        scale: tuple[float, float],
        size: tuple[int, int],
        choice: Choice | None = None,
    ) -> Detections:
        """Detects in an image that has the network's size already.

        Args:
            resized: ``(H', W', 3)`` uint8, RGB.
            scale: Width and height of ``resized`` relative to the original's.
            size: Height and width of the original.
            choice: What is returned; None for what was said when the file was opened.
        """
        ((boxes, outputs),) = self.run([resized])
        return self._found(boxes, outputs, scale, size, choice or self.choice)

    def split(self, outputs: Outputs, count: int) -> list[Outputs]:
        """The objects of each image: a graph for one image puts out no number of it."""
        if count == 1 and IMAGES not in outputs:
            return [outputs]
        own = outputs[IMAGES]
        rest = {name: values for name, values in outputs.items() if name != IMAGES}
        return [{name: v[own == number] for name, v in rest.items()} for number in range(count)]

    def read_outputs(
        self, outputs: Outputs, fitted: Prepared, resized: np.ndarray
    ) -> tuple[np.ndarray, Outputs]:
        """Boxes in pixels of the resized image, and the outputs, without objects in the padding."""
        boxes = outputs['boxes'] / np.array(fitted.scale * 2, np.float32)
        if fitted.image.shape != resized.shape:  # nothing is in what was added
            height, width = resized.shape[:2]
            boxes = boxes.clip(0, np.array([width, height] * 2, np.float32))
            inside = (boxes[:, 2:] > boxes[:, :2]).all(1)
            boxes, outputs = boxes[inside], {name: v[inside] for name, v in outputs.items()}
        return boxes, outputs

    def _found(
        self,
        boxes: np.ndarray,
        outputs: Outputs,
        scale: tuple[float, float],
        size: tuple[int, int],
        choice: Choice,
    ) -> Detections:
        """The chosen objects, and masks of those alone."""
        scores = outputs['scores']
        chosen = np.flatnonzero(scores >= choice.score_threshold)
        if choice.max_per_image is not None and choice.max_per_image < len(chosen):
            order = np.argsort(-scores[chosen], kind='stable')
            chosen = np.sort(chosen[order[: choice.max_per_image]])
        boxes = boxes[chosen] / np.array(scale * 2, np.float32)
        masks, threshold = None, self.details.mask_threshold
        if 'masks' in outputs and threshold is not None and choice.masks != 'none':
            masks = PASTE[choice.masks](outputs['masks'][chosen], boxes, size, threshold)
        labels = outputs['labels'][chosen].astype(np.int64)
        height, width = size
        return Detections(
            boxes, scores[chosen], labels, masks, (height, width), tuple(self.classes)
        )

    def _possible(self, choice: Choice) -> Choice:
        """Warns where the graph leaves out what is asked for."""
        lowest, most = self.details.score_threshold, self.details.max_per_image
        if 0 < choice.score_threshold < lowest:
            warnings.warn(
                f'{self.session.source} was exported with a score threshold of {lowest}, and puts out '
                f'nothing below it, so score_threshold={choice.score_threshold} changes nothing: '
                'export with a lower one in test_cfg',
                stacklevel=3,
            )
        if choice.max_per_image is not None and most and choice.max_per_image > most:
            warnings.warn(
                f'{self.session.source} was exported with {most} objects of an image at most, so '
                f'max_per_image={choice.max_per_image} changes nothing: export with more in test_cfg',
                stacklevel=3,
            )
        return choice

    def _save(self, pixels: np.ndarray, found: Detections, path: str | Path) -> None:
        from repnext_mm.visualization.saving import save_picture

        save_picture(self.draw(pixels, found), path)

    def draw(self, image: np.ndarray, found: Detections, options: Any = None) -> np.ndarray:
        """The image ``(H, W, 3)`` with boxes, masks, classes and scores.

        Args:
            image: In RGB, uint8.
            found: In it.
            options: :class:`~repnext_mm.visualization.objects.DrawOptions`; None for all that was
                found, in the size of the image.
        """
        from repnext_mm.visualization.objects import DrawOptions, Objects, draw_objects

        count = max([len(self.classes), *(found.labels + 1)])
        objects = Objects(found.boxes, found.scores, found.labels, found.bitmaps())
        options = options or DrawOptions(score_threshold=0.0, scale=1.0)
        return draw_objects(image, objects, self.classes, self.colours(count), options)


IMAGES = 'image_numbers'
"""The output of a graph for several images that has the number of each object's image."""
