"""Maps of numbers as colours, over an image or alone, and pages of them with titles."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from repnext_mm.visualization.colours import Colour
from repnext_mm.visualization.fonts import font_for
from repnext_mm.visualization.legend import FONT_SIZE, GAP, LINE

HEAT_OPACITY = 0.55
SIDE = 192
"""Pixels of the longer side of a panel, at least for landscape and square images."""


class PanelRow(NamedTuple):
    """A line of a page."""

    title: str
    panels: Sequence[np.ndarray]
    """``(H, W, 3)`` uint8, all of one size."""

    captions: Sequence[str]
    """One above each panel."""


def stretched(values: np.ndarray) -> np.ndarray:
    """A map ``(H, W)`` with its smallest value at 0 and its largest at 1; zeros where all are one."""
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-6 * max(abs(low), abs(high)):
        return np.zeros_like(values)
    return (values - low) / (high - low)


def heat(values: np.ndarray) -> np.ndarray:
    """Colours ``(H, W, 3)`` uint8 from dark to light for values ``(H, W)`` from 0 to 1."""
    return _coloured(values, 'viridis')


def signed_heat(values: np.ndarray, limit: float) -> np.ndarray:
    """Colours for values ``(H, W)`` of both signs: blue to ``-limit``, white at 0, red to ``limit``."""
    return _coloured(0.5 + values / (2 * limit or 1.0), 'RdBu_r')


def over_image(image: np.ndarray, values: np.ndarray, opacity: float = HEAT_OPACITY) -> np.ndarray:
    """Tints an image ``(H, W, 3)``, made grey, by values ``(H, W)`` from 0 to 1."""
    grey = np.asarray(Image.fromarray(image).convert('L'), np.float32)[..., None]
    colours = _coloured(values, 'turbo').astype(np.float32)
    return (grey + opacity * (colours - grey)).round().astype(np.uint8)


def _coloured(values: np.ndarray, name: str) -> np.ndarray:
    from matplotlib import colormaps

    return colormaps[name](np.clip(values, 0, 1), bytes=True)[..., :3]


def panel(picture: np.ndarray, side: int = SIDE, smooth: bool = True) -> np.ndarray:
    """A picture ``(H, W, 3)`` with a longer side of so many pixels."""
    scale = side / max(picture.shape[:2])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    way = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(picture).resize(size, way))


def page_of(rows: Sequence[PanelRow], ink: Colour = (0, 0, 0)) -> np.ndarray:
    """Rows of panels one below the other, each with its title and captions.

    Args:
        rows: Panels of all of them have one size.
        ink: Of what is written.

    Returns:
        ``(H, W, 3)`` uint8.
    """
    font = font_for([text for row in rows for text in (row.title, *row.captions)], FONT_SIZE)
    height, width = rows[0].panels[0].shape[:2]
    columns = max(len(row.panels) for row in rows)
    titles = max(font.getlength(row.title) for row in rows)
    across = int(max(GAP + columns * (width + GAP), titles + 2 * GAP))
    down = 2 * LINE + height + GAP
    page = Image.new('RGB', (across, len(rows) * down), 'white')
    draw = ImageDraw.Draw(page)
    for number, row in enumerate(rows):
        top = number * down
        draw.text((GAP, top + LINE // 2), row.title, ink, font, anchor='lm')
        for column, (picture, caption) in enumerate(zip(row.panels, row.captions, strict=True)):
            left = GAP + column * (width + GAP)
            small = _fitting(caption, width)
            draw.text((left, top + LINE + LINE // 2), caption, ink, small, anchor='lm')
            page.paste(Image.fromarray(picture), (left, top + 2 * LINE))
    return np.asarray(page)


def _fitting(text: str, width: int, smallest: int = 8):
    """The usual font, smaller where a text would be wider than so many pixels."""
    sizes = range(FONT_SIZE - 2, smallest, -1)
    fonts = (font_for([text], size) for size in sizes)
    return next(
        (font for font in fonts if font.getlength(text) <= width), font_for([text], smallest)
    )
