"""Captions in a picture: where they hide each other and objects the least, or nowhere."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from PIL import ImageDraw

from repnext_mm.visualization.colours import Colour, linear
from repnext_mm.visualization.fonts import Font, font_for

SMALLEST_FONT = 10
"""Pixels; smaller letters cannot be read."""

MOST_HIDDEN = 1 / 3
"""Part of an object that a caption may cover, unless it must be written."""

FEW = 10
"""Objects up to which letters have their usual size; among more of them captions give way."""

MOST_HIDDEN_IN_CROWDS, MOST_COVERED = 0.1, 0.05
"""Part of an object that a caption may cover among many, and of the picture that all of them may."""

Captions = Literal['auto', 'all', 'none']
"""``'auto'``: those that hide neither each other nor objects, smaller where there is little room."""

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


def write_captions(
    draw: ImageDraw.ImageDraw,
    named: Sequence[Named],
    style: Style,
    objects: Sequence[Rectangle],
    all_of_them: bool,
) -> None:
    """Captions on their colours, the first ones on top of the others."""
    sizes = [style.font_size]
    crowded = len(objects) > FEW and not all_of_them
    if crowded:
        sizes = [SMALLEST_FONT]
    elif not all_of_them:
        sizes += [size for size in (style.font_size * 3 // 4, SMALLEST_FONT) if size < sizes[-1]]
    texts = [entry.caption for entry in named]
    fonts = [font_for(texts, size) for size in sizes]
    limit = MOST_HIDDEN_IN_CROWDS if crowded else MOST_HIDDEN
    room = MOST_COVERED * draw.im.size[0] * draw.im.size[1] if crowded else float('inf')
    extents = np.array(objects).reshape(-1, 4)
    labels: list[Label] = []
    for entry in named:
        label = _label(draw, entry, style, fonts, extents, labels, None if all_of_them else limit)
        if label:
            labels.append(label)
            left, top, right, bottom = label.place
            room -= (right - left + 1) * (bottom - top + 1)
        if room < 0:
            break
    for caption, place, colour, font in reversed(labels):
        draw.rectangle(place, fill=colour)
        # Black or white, whichever has the higher contrast (WCAG 2, relative luminance).
        luminance = linear(np.array(colour)) @ [0.2126, 0.7152, 0.0722]
        text = 'black' if (luminance + 0.05) ** 2 > 1.05 * 0.05 else 'white'
        ascent = font.getmetrics()[0]
        draw.text((place[0] + _margin(font), place[1] + ascent), caption, text, font, anchor='ls')


def _label(
    draw: ImageDraw.ImageDraw,
    entry: Named,
    style: Style,
    fonts: Sequence[Font],
    objects: np.ndarray,
    labels: Sequence[Label],
    limit: float | None,
) -> Label | None:
    """A caption where it hides no other, and no more of an object than the limit; None if nowhere.

    Without a limit it is where it hides the others the least.
    """
    taken = [label.place for label in labels]
    for font in fonts:
        width = int(font.getlength(entry.caption)) + 2 * _margin(font) + 1
        extent = width, sum(font.getmetrics())
        places = _places(entry.box, extent, draw.im.size, style.line_width)
        if limit is None:
            best = min(places, key=lambda place: _overlap(place, taken))
            return Label(entry.caption, best, entry.colour, font)
        for place in places:
            if not _overlap(place, taken) and _hidden(place, objects) <= limit:
                return Label(entry.caption, place, entry.colour, font)
    return None


def _margin(font: Font) -> int:
    return max(1, font.getmetrics()[0] // 6)


def _hidden(place: Rectangle, objects: np.ndarray) -> float:
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


def _overlaps(place: Rectangle, others: Sequence[Rectangle] | np.ndarray) -> np.ndarray:
    """The number of pixels that a rectangle shares with each of others."""
    lefts, tops, rights, bottoms = np.transpose(others)
    widths = np.minimum(rights, place[2]) - np.maximum(lefts, place[0]) + 1
    heights = np.minimum(bottoms, place[3]) - np.maximum(tops, place[1]) + 1
    return widths.clip(0) * heights.clip(0)
