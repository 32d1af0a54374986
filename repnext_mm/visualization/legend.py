"""Label maps over images, in the colours of the classes and with a legend."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from repnext_mm.visualization.colours import Colour
from repnext_mm.visualization.fonts import font_for

LABEL_OPACITY = 0.6
FONT_SIZE = 15
LINE = 24
SWATCH = 14
GAP = 10


class Entry(NamedTuple):
    """A line of a legend."""

    name: str
    colour: Colour


def overlay(
    image: np.ndarray,
    labels: np.ndarray,
    palette: Sequence[Sequence[int]],
    opacity: float = LABEL_OPACITY,
) -> np.ndarray:
    """Tints every pixel in the colour of its class.

    Args:
        image: ``(H, W, 3)`` uint8.
        labels: ``(H, W)`` indices into ``palette``; pixels with any other number, such as
            255 for "ignore", stay as they are.
        palette: The colour of each class, in the channel order of ``image``.
        opacity: Opacity of the colours, between 0 and 1.

    Returns:
        ``(H, W, 3)`` uint8.

    Raises:
        ValueError: If image and labels differ in size.
    """
    if image.shape[:2] != labels.shape:
        raise ValueError(
            f'the labels must have the size of the image, {image.shape[:2]}; got {labels.shape}'
        )
    known = (labels >= 0) & (labels < len(palette))
    colours = np.asarray(palette, np.float32).reshape(-1, 3)
    tinted = image.astype(np.float32)
    tinted[known] += opacity * (colours[labels[known]] - tinted[known])
    return tinted.round().astype(np.uint8)


def frequent_classes(
    maps: Sequence[np.ndarray], classes: Sequence[str], palette: Sequence[Sequence[int]]
) -> list[Entry]:
    """The classes that occur in some label maps or lists of labels, the commonest first."""
    if not maps:
        return []
    everything = np.concatenate([labels.ravel() for labels in maps]).astype(np.int64)
    known = everything[(everything >= 0) & (everything < len(classes))]
    counts = np.bincount(known, minlength=len(classes))
    order = sorted(np.flatnonzero(counts), key=lambda label: -counts[label])
    return [Entry(classes[label], _colour(palette[label])) for label in order]


def with_legend(
    panels: Sequence[np.ndarray], titles: Sequence[str], entries: Sequence[Entry]
) -> np.ndarray:
    """Puts panels side by side, with a title above each and a legend below all.

    Args:
        panels: Images of one height, ``(H, W, 3)`` uint8.
        titles: One for each panel.
        entries: The lines of the legend, in as many columns as there is room for.

    Returns:
        ``(H + ..., W + ..., 3)`` uint8.
    """
    font = font_for([*titles, *(entry.name for entry in entries)], FONT_SIZE)
    height = panels[0].shape[0]
    lefts = np.cumsum([0, *[panel.shape[1] + GAP for panel in panels]])
    column = max([font.getlength(entry.name) for entry in entries], default=0)
    column += SWATCH + 3 * GAP
    width = max(int(lefts[-1]) - GAP, int(column))
    columns = max(1, int(width // column))
    rows = -(-len(entries) // columns)
    page = Image.new('RGB', (width, LINE + height + rows * LINE + GAP), 'white')
    draw = ImageDraw.Draw(page)
    for left, panel, title in zip(lefts, panels, titles, strict=False):
        page.paste(Image.fromarray(panel), (int(left), LINE))
        draw.text((int(left) + 4, LINE // 2), title, 'black', font, anchor='lm')
    for number, entry in enumerate(entries):
        left = int(number % columns * column) + GAP
        middle = LINE + height + GAP + number // columns * LINE + LINE // 2
        half = SWATCH // 2
        draw.rectangle(
            (left, middle - half, left + SWATCH, middle + half), entry.colour, outline='black'
        )
        draw.text((left + SWATCH + GAP, middle), entry.name, 'black', font, anchor='lm')
    return np.asarray(page)


def _colour(values: Sequence[int]) -> Colour:
    red, green, blue = (int(value) for value in values)
    return red, green, blue
