"""Overlapping windows over an image, and the mean of what is said of them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from repnext_mm.runtime.enlarging import Strip


@dataclass(frozen=True)
class Window:
    """Overlapping windows in which an image is looked at."""

    crop_size: tuple[int, int]
    """Height and width of a window, in pixels of the resized image."""

    stride: tuple[int, int]
    """The distance from one window to the next, downwards and to the right."""

    @classmethod
    def from_json(cls, entries: Mapping[str, list[int]] | None) -> 'Window | None':
        """The window in a file's metadata or in a segmentor's ``test_cfg``; None for the whole image."""
        if entries is None:
            return None
        crop, stride = entries['crop_size'], entries['stride']
        return cls((crop[0], crop[1]), (stride[0], stride[1]))


def strips_of(
    image: np.ndarray, window: Window, ask: Callable[[np.ndarray], np.ndarray]
) -> Iterator[Strip]:
    """The mean of the scores of overlapping windows, which are those of mmseg.

    Args:
        image: ``(H, W, 3)``.
        window: Size and distance.
        ask: From a window ``(h, w, 3)`` to its scores ``(C, h, w)``.

    Yields:
        Scores ``(C, h, W)`` of the rows that no later window covers, from the first row on: no more
        than a row of windows is held.
    """
    height, width = image.shape[:2]
    rows = window_spans(height, window.crop_size[0], window.stride[0])
    columns = window_spans(width, window.crop_size[1], window.stride[1])
    count = np.zeros(width, np.float32)
    for left, right in columns:
        count[left:right] += 1
    total, first = np.zeros((0, 0, width), np.float32), 0
    times = np.zeros(height, np.float32)
    for number, (top, bottom) in enumerate(rows):
        times[top:bottom] += 1
        for left, right in columns:
            scores = ask(image[top:bottom, left:right])
            if bottom - first > total.shape[1]:
                grown = np.zeros((len(scores), bottom - first, width), np.float32)
                grown[: len(total), : total.shape[1]] = total
                total = grown
            total[:, top - first : bottom - first, left:right] += scores
        last = rows[number + 1][0] if number + 1 < len(rows) else bottom
        if last > first:
            strip = total[:, : last - first]
            total = total[:, last - first :].copy()
            strip /= (times[first:last, None] * count)[None]
            yield first, strip
            first = last


def window_spans(length: int, crop: int, stride: int) -> list[tuple[int, int]]:
    """Where windows begin and end along one side, the last one flush with the end."""
    count = max(length - crop + stride - 1, 0) // stride + 1
    ends = [min(number * stride + crop, length) for number in range(count)]
    return [(max(end - crop, 0), end) for end in ends]
