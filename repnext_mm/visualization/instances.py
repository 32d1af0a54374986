"""Detected objects over an image: masks, boxes and captions in the colours of their classes."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from repnext_mm.visualization.fonts import Font, font_for

MASK_OPACITY = 0.45
SMALLEST_FONT = 10
"""Pixels; smaller letters cannot be read."""
FIRST_COLOUR = (230, 25, 75)

MOST_HIDDEN = 1 / 3
"""Part of an object that a caption may cover, unless it must be written."""

Captions = Literal['auto', 'all', 'none']
"""``'auto'``: those that hide neither each other nor objects, smaller where there is little room."""

Colour = tuple[int, int, int]
Rectangle = tuple[int, int, int, int]


class Style(NamedTuple):
    """Sizes in pixels."""

    font_size: int
    line_width: int


class Named(NamedTuple):
    """A caption that is to be written."""

    caption: str
    box: Rectangle
    """Of its object."""

    colour: Colour


class Label(NamedTuple):
    """A caption in its place."""

    caption: str
    place: Rectangle
    colour: Colour
    font: Font


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
        _write(draw, named, style, list(visible.values()), caption_mode == 'all')
    return np.array(picture)


def style_for(image: np.ndarray) -> Style:
    """Letters and lines that can be seen on an image ``(H, W, 3)`` shown as a whole."""
    side = float(np.sqrt(image.shape[0] * image.shape[1]))
    return Style(max(SMALLEST_FONT, round(side / 38)), max(1, round(side / 280)))


@lru_cache
def class_colours(count: int) -> tuple[Colour, ...]:
    """Colours that differ as much as possible, and always the same.

    Each is the one farthest from all before it, of those neither grey nor very dark or
    light, so the first ones do not depend on how many there are. Up to some 1,500 are distinct.
    The distance is that of Oklab (https://bottosson.github.io/posts/oklab/).
    """
    levels = np.linspace(0, 255, 16)
    candidates = np.stack(np.meshgrid(levels, levels, levels, indexing='ij'), -1).reshape(-1, 3)
    points = _oklab(candidates)
    chroma = np.hypot(points[:, 1], points[:, 2])
    vivid = (chroma > 0.1) & (points[:, 0] > 0.45) & (points[:, 0] < 0.95)
    candidates, points = candidates[vivid], points[vivid]
    distances = np.full(len(points), np.inf)
    latest = int(np.abs(candidates - FIRST_COLOUR).sum(1).argmin())
    chosen = []
    for _ in range(count):
        chosen.append(candidates[latest])
        distances = np.minimum(distances, ((points - points[latest]) ** 2).sum(1))
        latest = int(distances.argmax())
    return tuple((int(red), int(green), int(blue)) for red, green, blue in chosen)


def _oklab(colours: np.ndarray) -> np.ndarray:
    """Lightness, a and b of sRGB colours ``(N, 3)`` of 0 to 255."""
    cones = [[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]]
    axes = [[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]]
    return np.cbrt(_linear(colours) @ np.transpose(cones)) @ np.transpose(axes)


def _linear(colours: np.ndarray) -> np.ndarray:
    """Light intensity, 0 to 1, of sRGB values of 0 to 255."""
    values = np.asarray(colours) / 255
    return np.where(values > 0.04045, ((values + 0.055) / 1.055) ** 2.4, values / 12.92)


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


def _write(
    draw: ImageDraw.ImageDraw,
    named: Sequence[Named],
    style: Style,
    objects: Sequence[Rectangle],
    all_of_them: bool,
) -> None:
    """Captions on their colours, the first ones on top of the others."""
    sizes = [style.font_size]
    if not all_of_them:
        sizes += [size for size in (style.font_size * 3 // 4, SMALLEST_FONT) if size < sizes[-1]]
    texts = [entry.caption for entry in named]
    fonts = [font_for(texts, size) for size in sizes]
    labels: list[Label] = []
    for entry in named:
        label = _label(draw, entry, style, fonts, objects, labels, all_of_them)
        labels += [label] if label else []
    for caption, place, colour, font in reversed(labels):
        draw.rectangle(place, fill=colour)
        # Black or white, whichever has the higher contrast (WCAG 2, relative luminance).
        luminance = _linear(np.array(colour)) @ [0.2126, 0.7152, 0.0722]
        text = 'black' if (luminance + 0.05) ** 2 > 1.05 * 0.05 else 'white'
        ascent = font.getmetrics()[0]
        draw.text((place[0] + _margin(font), place[1] + ascent), caption, text, font, anchor='ls')


def _label(
    draw: ImageDraw.ImageDraw,
    entry: Named,
    style: Style,
    fonts: Sequence[Font],
    objects: Sequence[Rectangle],
    labels: Sequence[Label],
    in_any_case: bool,
) -> Label | None:
    """A caption where it hides others the least; None if it would hide any and need not be there."""
    taken = [label.place for label in labels]
    for font in fonts:
        width = int(font.getlength(entry.caption)) + 2 * _margin(font) + 1
        extent = width, sum(font.getmetrics())
        places = _places(entry.box, extent, draw.im.size, style.line_width)
        if in_any_case:
            best = min(places, key=lambda place: _overlap(place, taken))
            return Label(entry.caption, best, entry.colour, font)
        for place in places:
            if not _overlap(place, taken) and _hidden(place, objects) <= MOST_HIDDEN:
                return Label(entry.caption, place, entry.colour, font)
    return None


def _margin(font: Font) -> int:
    return max(1, font.getmetrics()[0] // 6)


def _hidden(place: Rectangle, objects: Sequence[Rectangle]) -> float:
    """The largest part of an object that a rectangle covers."""
    lefts, tops, rights, bottoms = np.transpose(objects)
    areas = (rights - lefts + 1) * (bottoms - tops + 1)
    return float((_overlaps(place, objects) / areas).max())


def _places(
    box: Rectangle, size: tuple[int, int], limits: tuple[int, int], line_width: int
) -> list[Rectangle]:
    """Where a caption may be, the best first: within a box if that leaves much of it visible."""
    left, top, right, bottom = box
    width, height = size
    within = [
        (left + line_width, top + line_width),
        (left + line_width, bottom - line_width - height + 1),
    ]
    beside = [
        (x, y)
        for y in (top - height, bottom + 1)
        for x in (left, right - width + 1)
        if 0 <= y <= limits[1] - height
    ]
    large = bottom - top >= 2.5 * height and right - left >= width
    corners = within + beside if large else beside + within
    return [
        (x, y, x + width - 1, y + height - 1)
        for x, y in (
            (max(0, min(x, limits[0] - width)), max(0, min(y, limits[1] - height)))
            for x, y in corners
        )
    ]


def _overlap(place: Rectangle, others: Sequence[Rectangle]) -> int:
    """The number of pixels that a rectangle shares with others."""
    return int(_overlaps(place, others).sum()) if others else 0


def _overlaps(place: Rectangle, others: Sequence[Rectangle]) -> np.ndarray:
    """The number of pixels that a rectangle shares with each of others."""
    lefts, tops, rights, bottoms = np.transpose(others)
    widths = np.minimum(rights, place[2]) - np.maximum(lefts, place[0]) + 1
    heights = np.minimum(bottoms, place[3]) - np.maximum(tops, place[1]) + 1
    return widths.clip(0) * heights.clip(0)
