"""Pictures of the images on which predictions are worst and best."""

import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from repnext_mm.analysis.report import Gallery, Picture
from repnext_mm.analysis.samples import image_of
from repnext_mm.visualization.legend import Entry, with_legend

WIDEST_SAMPLE = 1400
"""Pixels; wider pictures are made smaller, so that the page can be sent."""

QUALITY = 85


def to_jpeg(picture: np.ndarray) -> bytes:
    """A picture ``(H, W, 3)`` uint8, RGB, as a JPEG file that is not too wide."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    if image.width > WIDEST_SAMPLE:
        image = image.resize(
            (WIDEST_SAMPLE, max(1, round(image.height * WIDEST_SAMPLE / image.width)))
        )
    buffer = io.BytesIO()
    image.save(buffer, format='jpeg', quality=QUALITY)
    return buffer.getvalue()


def worst_and_best(order: Sequence[int], most: int) -> tuple[list[int], list[int]]:
    """The first and the last of an order, no item twice.

    Args:
        order: From the worst to the best.
        most: How many of each.
    """
    worst = list(order[: min(most, (len(order) + 1) // 2)])
    return worst, list(order[len(worst) :])[::-1][:most]


def draw_gallery(
    name: str,
    shown: Iterable[tuple[int, dict]],
    dataset: Any,
    draw: Callable[[np.ndarray, int], np.ndarray],
    caption: Callable[[int], str],
    width: int,
) -> Gallery:
    """Draws images with what is predicted on them.

    Args:
        name: Folder of the files.
        shown: Place in the test data and sample of each image.
        dataset: The test data.
        draw: Gets the image ``(H, W, 3)`` uint8, RGB, and its place.
        caption: Gets the place.
        width: Of a picture in the page; see :class:`Gallery`.
    """
    pictures = []
    for number, (index, sample) in enumerate(shown, 1):
        content = to_jpeg(draw(image_of(dataset, sample, index), index))
        pictures.append(Picture(f'{name}/{number:02}.jpg', content, caption(index)))
    return Gallery(pictures, width)


def side_by_side(panels: dict[str, np.ndarray], entries: Sequence[Entry]) -> np.ndarray:
    """Pictures ``(H, W, 3)`` of one height under their titles, with a legend below."""
    return with_legend(list(panels.values()), list(panels), entries)
