"""Exported detectors."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np

from repnext_mm.runtime.choices import DetectionDetails, ObjectChoice
from repnext_mm.runtime.detections import Detections
from repnext_mm.runtime.image_masks import HALF, boxes_of_masks, enlarge_masks, without_padding
from repnext_mm.runtime.images import Image, is_many
from repnext_mm.runtime.masks import PASTE, MaskKind
from repnext_mm.runtime.network import (
    BATCH,
    ExportedNetwork,
    Model,
    Outputs,
    check_one_picture,
)
from repnext_mm.runtime.size_rules import Prepared

COUNTS = 'counts'
"""The output ``(N,)`` of a file for several images: how many rows of the others are each one's."""


class Rows(NamedTuple):
    """What the network says of one image."""

    boxes: np.ndarray
    """``(K, 4)`` in pixels of the resized image."""

    outputs: Outputs
    """All of the network, a row for each object."""

    resized: tuple[int, int]
    """Height and width of the resized image."""

    fitted: tuple[float, float]
    """Width and height of what went through the network, relative to the resized image."""


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
        choice = ObjectChoice(score_threshold, max_per_image, masks)
        super().__init__(source, runtime, batch_size=batch_size, **options)
        try:
            self.details = DetectionDetails.from_json(self.spec.details)
        except ValueError as error:
            raise ValueError(f'{self.session.source} cannot be read: {error}') from error
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
        for pixels, prepared, rows in self.pass_all(image if many else [image]):
            found.append(self._found(rows, prepared.scale, pixels.shape[:2], choice))
            if picture is not None:
                self._save(pixels, found[0], picture)
        return found if many else found[0]

    def detect(
        self, resized: np.ndarray, scale: tuple[float, float], size: tuple[int, int]
    ) -> Detections:
        """Detects in an image that has the network's size already.

        Args:
            resized: ``(H', W', 3)`` uint8, RGB.
            scale: Width and height of ``resized`` relative to the original's.
            size: Height and width of the original.
        """
        return self.detect_together([resized], [scale], [size])[0]

    def detect_together(
        self,
        resized: Sequence[np.ndarray] | np.ndarray,
        scales: Sequence[tuple[float, float]],
        sizes: Sequence[tuple[int, int]],
    ) -> list[Detections]:
        """As :meth:`detect`, of several images, as many at a time as the file takes.

        Args:
            resized: ``(H', W', 3)`` uint8, RGB, each.
            scales: Of each image.
            sizes: Of each image.
        """
        rows = zip(self.run(list(resized)), scales, sizes, strict=True)
        return [self._found(*row, self.choice) for row in rows]

    def split(self, outputs: Outputs, count: int) -> list[Outputs]:
        """The rows of each image, which follow one another; a file for one image counts none."""
        rows = {name: values for name, values in outputs.items() if name != COUNTS}
        ends = outputs[COUNTS].cumsum().tolist() if COUNTS in outputs else [len(rows['scores'])]
        return [
            {name: values[first:end] for name, values in rows.items()}
            for first, end in zip([0, *ends], ends, strict=False)
        ]

    def read_outputs(self, outputs: Outputs, fitted: Prepared, resized: np.ndarray) -> 'Rows':
        """Boxes in pixels of the resized image, and the outputs, without objects in the padding."""
        boxes = outputs['boxes'] / np.array(fitted.scale * 2, np.float32)
        height, width = resized.shape[:2]
        if fitted.image.shape != resized.shape and boxes.any():  # nothing is in what was added
            boxes = boxes.clip(0, np.array([width, height] * 2, np.float32))
            inside = (boxes[:, 2:] > boxes[:, :2]).all(1)
            boxes, outputs = boxes[inside], {name: v[inside] for name, v in outputs.items()}
        return Rows(boxes, outputs, (height, width), fitted.scale)

    def _found(
        self, rows: 'Rows', scale: tuple[float, float], size: tuple[int, ...], choice: ObjectChoice
    ) -> Detections:
        """The chosen objects, and masks of those alone."""
        scores = rows.outputs['scores']
        chosen = np.flatnonzero(scores >= choice.score_threshold)
        if choice.max_per_image is not None and choice.max_per_image < len(chosen):
            order = np.argsort(-scores[chosen], kind='stable')
            chosen = np.sort(chosen[order[: choice.max_per_image]])
        height, width = size[:2]
        boxes = rows.boxes[chosen] / np.array(scale * 2, np.float32)
        boxes, masks = self._masks(rows, chosen, boxes, scale, (height, width), choice.masks)
        labels = rows.outputs['labels'][chosen].astype(np.int64)
        return Detections(
            boxes, scores[chosen], labels, masks, (height, width), tuple(self.classes)
        )

    def _masks(
        self,
        rows: 'Rows',
        chosen: np.ndarray,
        boxes: np.ndarray,
        scale: tuple[float, float],
        size: tuple[int, int],
        kind: MaskKind,
    ) -> tuple[np.ndarray, Any]:
        """Boxes, and masks of a kind, of the chosen objects."""
        threshold, masks = self.details.mask_threshold, rows.outputs.get('masks')
        if masks is None:
            return boxes, None
        if self.details.mask_frame == 'image':
            inner = without_padding(masks[chosen], rows.resized, size, scale, rows.fitted)
            if not boxes.any():  # of models that have masks alone
                factors = np.array([size[1] / inner.shape[2], size[0] / inner.shape[1]] * 2)
                boxes = boxes_of_masks(boxes, inner > HALF) * factors.astype(np.float32)
            return boxes, None if kind == 'none' else enlarge_masks(inner, size, kind)
        if threshold is None or kind == 'none':
            return boxes, None
        return boxes, PASTE[kind](masks[chosen], boxes, size, threshold)

    def _possible(self, choice: ObjectChoice) -> ObjectChoice:
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
