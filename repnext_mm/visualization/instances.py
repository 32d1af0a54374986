"""Detected objects over an image: masks, boxes and captions in the colours of their classes."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from repnext_mm.visualization.captions import (
    SMALLEST_FONT,
    Captions,
    Named,
    Rectangle,
    Style,
    write_captions,
)
from repnext_mm.visualization.colours import Colour

MASK_OPACITY = 0.45


def draw_instances(
    image: np.ndarray,
    boxes: np.ndarray,
    captions: Sequence[str],
    colours: Sequence[Colour],
    masks: np.ndarray | None = None,
    style: Style | None = None,
    caption_mode: Captions = 'auto',
    with_boxes: bool = True,
) -> np.ndarray:
    """Draws objects, large ones first, so that small ones on them can be seen.

    Captions come last, and first those of the first objects: detectors put out the most certain ones
    first. Letters are not smaller than 10 pixels, so small images are better enlarged before.

    Args:
        image: ``(H, W, 3)`` uint8.
        boxes: ``(N, 4)`` as x1, y1, x2, y2 in pixels. What is outside the image is not drawn.
        captions: One for each box, of one line; empty for none.
        colours: One for each box, in the channel order of ``image``.
        masks: ``(N, H, W)``, true where the object is.
        style: How large letters and how thick lines are; by default as the image needs it.
        caption_mode: Which captions are written. With ``'all'`` they hide each other and objects
            where there is no room.
        with_boxes: Whether to draw boxes. Masks get an outline where there are none.

    Returns:
        ``(H, W, 3)`` uint8, another array.

    Raises:
        ValueError: If there are different numbers of boxes, captions, colours and masks, or
            image and masks differ in size.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    counts = [len(part) for part in (boxes, captions, colours, boxes if masks is None else masks)]
    if len(set(counts)) > 1:
        raise ValueError(
            'an object has a box, a caption, a colour and, if there are any, a mask; got '
            '{} boxes, {} captions, {} colours, {} masks'.format(*counts)
        )
    with np.errstate(invalid='ignore'):  # of boxes that will be left out
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    order = np.argsort(-areas, kind='stable')
    style = style or style_for(image)
    if masks is not None and len(order):
        outlined = 0 if with_boxes else style.line_width
        chosen = [colours[i] for i in order]
        image = _tinted(image, np.asarray(masks, bool)[order], chosen, outlined)
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    visible = {i: box for i in order.tolist() if (box := _visible(boxes[i], picture.size))}
    for i, box in visible.items():
        if with_boxes or masks is None:
            draw.rectangle(box, outline=tuple(colours[i]), width=style.line_width)
    if caption_mode != 'none':
        named = [
            Named(captions[i], visible[i], tuple(colours[i]))
            for i in sorted(visible)
            if captions[i]
        ]
        write_captions(draw, named, style, list(visible.values()), caption_mode == 'all')
    return np.array(picture)


def style_for(image: np.ndarray) -> Style:
    """Letters and lines that can be seen on an image ``(H, W, 3)`` shown as a whole."""
    side = float(np.sqrt(image.shape[0] * image.shape[1]))
    return Style(max(SMALLEST_FONT, round(side / 38)), max(1, round(side / 280)))


def _tinted(
    image: np.ndarray, masks: np.ndarray, colours: Sequence[Colour], outline: int
) -> np.ndarray:
    """Where masks overlap, a pixel has the colour of the last one; outlines of some pixels are opaque."""
    if masks.shape[1:] != image.shape[:2]:
        raise ValueError(
            f'masks must have the size of the image, {image.shape[:2]}; got {masks.shape[1:]}'
        )
    result = image.copy()
    for mask, colour in zip(masks, colours, strict=True):
        part = _extent(mask)
        inside = mask[part]
        target = result[part]
        target[inside] = (
            (1 - MASK_OPACITY) * image[part][inside] + MASK_OPACITY * np.array(colour)
        ).round()
        if outline:
            target[inside & ~_eroded(inside, outline)] = colour
    return result


def _extent(mask: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns that a mask lies in."""
    found = []
    for axis in (1, 0):
        places = np.flatnonzero(mask.any(axis))
        found.append(slice(places[0], places[-1] + 1) if len(places) else slice(0, 0))
    return found[0], found[1]


def _eroded(mask: np.ndarray, steps: int) -> np.ndarray:
    """A mask without the pixels that have a neighbour outside, several times over."""
    for _ in range(steps):
        padded = np.pad(mask, 1)
        mask = mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask


def _visible(box: np.ndarray, size: tuple[int, int]) -> Rectangle | None:
    """The pixels of a box within the image, or None if it is elsewhere or no box."""
    width, height = size
    inside = np.isfinite(box).all() and (box[:2] <= box[2:]).all()
    if not inside or (box[2:] < 0).any() or (box[:2] >= size).any():
        return None
    left, top, right, bottom = np.clip(box, 0, [width - 1, height - 1] * 2).astype(int).tolist()
    return left, top, right, bottom
