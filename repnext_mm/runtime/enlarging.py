"""Scores and labels of pixels in another size, without ever holding all scores in that size."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

SCORE_BLOCK = 2**18
"""Pixels whose scores are enlarged at a time; of one class, they stay in a processor's cache."""

Strip = tuple[int, np.ndarray]
"""The row in which scores ``(C, h, W)`` begin, and they."""


@dataclass(frozen=True)
class Axis:
    """For each of some new places along an axis the two old ones between which it lies."""

    lower: np.ndarray
    upper: np.ndarray
    share: np.ndarray
    """Of the upper one, from 0 to 1, float32."""

    length: int
    """How many old places there are."""

    @property
    def is_same(self) -> bool:
        """Whether the new places are the old ones."""
        return not self.share.any() and np.array_equal(self.lower, np.arange(self.length))


def axis(old: int, new: int, align_corners: bool) -> Axis:
    """Places for bilinear interpolation, as ``torch.nn.functional.interpolate`` has them.

    Args:
        old: Length.
        new: Length.
        align_corners: Whether the first and last places are each other, rather than their edges.
    """
    places: np.ndarray = np.arange(new, dtype=np.float32)
    if align_corners:
        places = places * np.float32((old - 1) / (new - 1) if new > 1 else 0)
    else:
        places = ((places + np.float32(0.5)) * np.float32(old / new) - np.float32(0.5)).clip(0)
    lower = np.minimum(places.astype(np.int64), old - 1)
    share = (places - lower).clip(0, 1).astype(np.float32)
    return Axis(lower, np.minimum(lower + 1, old - 1), share, old)


def enlarge_scores(scores: np.ndarray, size: tuple[int, int], align_corners: bool) -> np.ndarray:
    """Scores ``(C, h, w)`` interpolated to height and width: ``(C, H, W)`` float32."""
    enlarged = np.empty((len(scores), *size), np.float32)
    for target, values in zip(enlarged, scores, strict=True):
        for first, last, block in enlarge_blocks(values, size, align_corners):
            target[first:last] = block
    return enlarged


def enlarge_blocks(
    values: np.ndarray, size: tuple[int, ...], align_corners: bool
) -> Iterator[tuple[int, int, np.ndarray]]:
    """One class's scores ``(h, w)`` in another size, a block of rows at a time.

    Yields:
        The first row, the one behind the last, and their scores.
    """
    rows, columns = (
        axis(old, new, align_corners) for old, new in zip(values.shape, size, strict=True)
    )
    for first, last in _blocks(0, size[0], size[1]):
        yield first, last, _interpolated(values, rows, columns, first, last, 0)


def enlarge_labels(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Labels ``(h, w)`` at the nearest places, ``(H, W)``; as ``'nearest-exact'`` in torch."""
    rows, columns = (
        np.minimum(((np.arange(new) + 0.5) * (old / new)).astype(np.int64), old - 1)
        for old, new in zip(labels.shape, size, strict=True)
    )
    return labels[np.ix_(rows, columns)]


def highest(
    strips: Iterable[Strip], old: tuple[int, int], new: tuple[int, int], align_corners: bool
) -> np.ndarray:
    """The class of the highest score of every pixel of an enlarged image.

    Args:
        strips: Scores of an image from its first row to its last.
        old: Height and width of that image.
        new: Those of the enlarged one.
        align_corners: See :func:`axis`.

    Returns:
        ``(H, W)`` int64; the first class of several that are equal.
    """
    rows, columns = (axis(*lengths, align_corners) for lengths in zip(old, new, strict=True))
    labels = np.empty(new, np.int64)
    done, kept = 0, None
    for top, scores in strips:
        if kept is not None:  # a new row may lie between two strips
            scores, top = np.concatenate([kept, scores], 1), top - 1
        end = top + scores.shape[1]
        ready = int(np.searchsorted(rows.upper, end))
        for first, last in _blocks(done, ready, new[1]):
            labels[first:last] = _highest(scores, rows, columns, first, last, top)
        done, kept = ready, scores[:, -1:]
    return labels


def _highest(
    scores: np.ndarray, rows: Axis, columns: Axis, first: int, last: int, top: int
) -> np.ndarray:
    """The same for some rows, class by class."""
    best = np.array(_interpolated(scores[0], rows, columns, first, last, top))
    labels = np.zeros(best.shape, np.int64)
    higher = np.empty(best.shape, bool)
    for number in range(1, len(scores)):
        values = _interpolated(scores[number], rows, columns, first, last, top)
        np.greater(values, best, out=higher)
        np.copyto(best, values, where=higher)
        np.copyto(labels, number, where=higher)
    return labels


def _interpolated(
    values: np.ndarray, rows: Axis, columns: Axis, first: int, last: int, top: int
) -> np.ndarray:
    """New rows of one class's scores ``(h, w)``, whose first row is row ``top`` of the image."""
    chosen = slice(first, last)
    lower, upper = values[rows.lower[chosen] - top], values[rows.upper[chosen] - top]
    between = lower + rows.share[chosen, None] * (upper - lower)
    if columns.is_same:
        return between
    turned = np.ascontiguousarray(between.T)  # whole rows are copied faster than single values
    left, right = turned[columns.lower], turned[columns.upper]
    right -= left
    right *= columns.share[:, None]
    right += left
    return right.T


def _blocks(first: int, last: int, width: int) -> Iterator[tuple[int, int]]:
    height = max(1, SCORE_BLOCK // width)
    return ((row, min(row + height, last)) for row in range(first, last, height))
