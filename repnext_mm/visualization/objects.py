"""Pictures of objects that can be read: thresholds, enlargement, colours, captions where there is room."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image

from repnext_mm.visualization.captions import Captions
from repnext_mm.visualization.colours import Colour, class_colours
from repnext_mm.visualization.instances import draw_instances

SHOWN_SIDE = 720
"""Pixels of the longer side from which a picture is not enlarged by itself."""

MOST_ENLARGED = 4
CROWD = 30
"""Objects from which on the outlines of masks stand for boxes."""

Colouring = Literal['auto', 'class', 'instance']
"""``'auto'``: by class where there are several, else by instance."""


class DrawOptions(NamedTuple):
    """How objects are drawn."""

    score_threshold: float = 0.3
    """What is less certain is left out."""

    scale: float | None = None
    """Enlargement of the image; None for what small images need."""

    captions: Captions = 'auto'
    colour_by: Colouring = 'auto'


USUAL_OPTIONS = DrawOptions()


class Objects(NamedTuple):
    """Objects in an image."""

    boxes: np.ndarray
    """``(K, 4)``: x1, y1, x2, y2 in pixels of the image."""

    scores: np.ndarray | None
    """``(K,)``; None for the ground truth."""

    labels: np.ndarray
    """``(K,)``, indices into the classes."""

    masks: np.ndarray | None = None
    """``(K, H, W)`` bool."""

    def above(self, threshold: float) -> 'Objects':
        """Those that are at least so certain."""
        if self.scores is None:
            return self
        chosen = np.asarray(self.scores) >= threshold
        masks = None if self.masks is None else self.masks[chosen]
        return Objects(self.boxes[chosen], self.scores[chosen], self.labels[chosen], masks)


def draw_objects(
    image: np.ndarray,
    objects: Objects,
    classes: Sequence[str],
    colours: Sequence[Colour],
    options: DrawOptions = USUAL_OPTIONS,
) -> np.ndarray:
    """Draws objects with masks, boxes and captions.

    Args:
        image: ``(H, W, 3)`` uint8.
        objects: In the image.
        classes: Names; labels beyond them are written as numbers.
        colours: One for each class, in the channel order of the image.
        options: How.

    Returns:
        ``(H * scale, W * scale, 3)`` uint8.
    """
    objects = objects.above(options.score_threshold)
    by_class = options.colour_by == 'class' or (options.colour_by == 'auto' and len(classes) != 1)
    chosen = [colours[label] for label in objects.labels]
    if not by_class:
        chosen = list(class_colours(len(objects.labels)))
    return draw_coloured(image, objects, classes, chosen, options)


def draw_coloured(
    image: np.ndarray,
    objects: Objects,
    classes: Sequence[str],
    colours: Sequence[Colour],
    options: DrawOptions = USUAL_OPTIONS,
) -> np.ndarray:
    """Draws objects that have a colour each.

    Args:
        image: ``(H, W, 3)`` uint8.
        objects: In the image; all are drawn.
        classes: Names; labels beyond them are written as numbers.
        colours: One for each object, in the channel order of the image.
        options: How; the threshold and the colouring have no meaning here.

    Returns:
        ``(H * scale, W * scale, 3)`` uint8.
    """
    scale = options.scale or scale_for(image)
    picture, masks = enlarge(image, scale), objects.masks
    if masks is not None and len(masks):
        masks = np.stack([_enlarged_mask(mask, picture.shape[:2]) for mask in masks])
    captions = [_caption(objects, number, classes) for number in range(len(objects.labels))]
    return draw_instances(
        picture,
        np.asarray(objects.boxes, np.float64).reshape(-1, 4) * scale,
        captions,
        colours,
        masks,
        caption_mode=options.captions,
        with_boxes=masks is None or len(captions) < CROWD,
    )


def scale_for(image: np.ndarray) -> float:
    """How much an image must be enlarged so that small objects on it can be seen."""
    return float(np.clip(SHOWN_SIDE // max(image.shape[:2]), 1, MOST_ENLARGED))


def enlarge(image: np.ndarray, scale: float) -> np.ndarray:
    """An image ``(H, W, 3)`` in another size, with soft edges between its pixels."""
    if scale == 1:
        return image
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def _enlarged_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    mask = np.asarray(mask, bool)
    if mask.shape == size:
        return mask
    return np.asarray(Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST))


def _caption(objects: Objects, number: int, classes: Sequence[str]) -> str:
    """Name and score; the score alone where there is one class."""
    label = int(objects.labels[number])
    name = classes[label] if label < len(classes) else str(label)
    if objects.scores is None:
        return '' if len(classes) == 1 else name
    score = f'{objects.scores[number]:.2f}'
    return score if len(classes) == 1 else f'{name} {score}'
