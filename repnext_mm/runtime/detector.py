"""Exported detectors."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from repnext_mm.runtime.images import read_image
from repnext_mm.runtime.network import ExportedNetwork, Image
from repnext_mm.runtime.sessions import Session
from repnext_mm.visualization.objects import DrawOptions, Objects, draw_objects
from repnext_mm.visualization.saving import save_picture

ALL_OF_THEM = DrawOptions(score_threshold=0.0, scale=1.0)
"""What was found, in the size of the image."""


@dataclass(frozen=True)
class DetectionDetails:
    """The entries of a detector in a file's metadata."""

    score_threshold: float
    """The graph leaves out detections with a lower score."""

    mask_threshold: float | None = None
    """Probability from which a pixel belongs to a mask; None without a mask head."""


class Detections(NamedTuple):
    """Objects in an image, the most certain first."""

    boxes: np.ndarray
    """``(K, 4)`` float32: x1, y1, x2, y2 in pixels of the image."""

    scores: np.ndarray
    """``(K,)`` float32, from 0 to 1."""

    labels: np.ndarray
    """``(K,)`` int64, indices into the classes."""

    masks: np.ndarray | None
    """``(K, H, W)`` bool; None without a mask head."""


class Detector(ExportedNetwork):
    """An exported detector.

    ``Detector('model.onnx')('image.jpg', picture='found.png')``
    """

    task = 'detection'

    def __init__(self, source: str | Path | Session, runtime: str | None = None, **options: Any):
        super().__init__(source, runtime, **options)
        details = self.spec.details
        self.details = DetectionDetails(details['score_threshold'], details.get('mask_threshold'))

    def __call__(
        self, image: Image, picture: str | Path | None = None, score_threshold: float = 0.0
    ) -> Detections:
        """Detects objects.

        Args:
            image: ``(H, W, 3)`` uint8, RGB, or the path of a picture.
            picture: PNG to write: the image with what was found.
            score_threshold: Leave out what is less certain; the file has a threshold of
                its own.

        Raises:
            FileNotFoundError: If there is no such picture.
            TypeError: If the image is no array of uint8.
            ValueError: If it is no RGB image.
        """
        pixels = read_image(image)
        prepared = self.prepare(pixels)
        found = self.detect(prepared.image, prepared.scale, pixels.shape[:2])
        chosen = found.scores >= score_threshold
        masks = None if found.masks is None else found.masks[chosen]
        found = Detections(found.boxes[chosen], found.scores[chosen], found.labels[chosen], masks)
        if picture is not None:
            save_picture(self.draw(pixels, found), picture)
        return found

    def detect(
        self, resized: np.ndarray, scale: tuple[float, float], size: tuple[int, int]
    ) -> Detections:
        """Detects in an image that has the network's size already.

        Args:
            resized: ``(H', W', 3)`` uint8, RGB.
            scale: Width and height of ``resized`` relative to the original's.
            size: Height and width of the original.
        """
        fitted = self.fit(resized)
        outputs = self.session(fitted.image[None])
        width, height = (a * b for a, b in zip(scale, fitted.scale, strict=True))
        boxes = outputs['boxes'] / np.array([width, height, width, height], np.float32)
        if fitted.image.shape != resized.shape:  # nothing is in what was added
            boxes = boxes.clip(0, np.array([*size[::-1], *size[::-1]], np.float32))
            inside = (boxes[:, 2:] > boxes[:, :2]).all(1)
            boxes = boxes[inside]
            outputs = {name: values[inside] for name, values in outputs.items()}
        masks = None
        if 'masks' in outputs and self.details.mask_threshold is not None:
            masks = paste_masks(
                torch.from_numpy(outputs['masks']),
                torch.from_numpy(boxes),
                size,
                self.details.mask_threshold,
            ).numpy()
        return Detections(boxes, outputs['scores'], outputs['labels'].astype(np.int64), masks)

    def draw(
        self, image: np.ndarray, found: Detections, options: DrawOptions = ALL_OF_THEM
    ) -> np.ndarray:
        """The image ``(H, W, 3)`` with boxes, masks, classes and scores."""
        count = max([len(self.classes), *(found.labels + 1)])
        return draw_objects(image, Objects(*found), self.classes, self.colours(count), options)


def paste_masks(masks: Tensor, boxes: Tensor, size: tuple[int, int], threshold: float) -> Tensor:
    """Puts small masks where their boxes are, as mmdet and detectron2 do.

    Args:
        masks: Probabilities ``(K, h, w)``.
        boxes: ``(K, 4)`` as x1, y1, x2, y2 in pixels.
        size: Height and width of the image.
        threshold: Of the interpolated probability.

    Returns:
        ``(K, H, W)`` bool.
    """
    height, width = size
    pasted = torch.zeros((len(masks), height, width), dtype=torch.bool)
    for mask, box, target in zip(masks.float(), boxes.float(), pasted, strict=True):
        left, top = (box[:2].floor().long() - 1).clamp(min=0).tolist()
        right = min(int(box[2].ceil()) + 1, width)
        bottom = min(int(box[3].ceil()) + 1, height)
        if right <= left or bottom <= top:
            continue
        x = (torch.arange(left, right) + 0.5 - box[0]) / (box[2] - box[0]) * 2 - 1
        y = (torch.arange(top, bottom) + 0.5 - box[1]) / (box[3] - box[1]) * 2 - 1
        x, y = (axis.nan_to_num(0.0, posinf=0.0, neginf=0.0) for axis in (x, y))
        grid = torch.stack(torch.meshgrid(x, y, indexing='xy'), -1)
        values = F.grid_sample(mask[None, None], grid[None], align_corners=False)[0, 0]
        target[top:bottom, left:right] = values >= threshold
    return pasted
