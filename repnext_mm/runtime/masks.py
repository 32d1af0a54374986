"""Masks of objects: small ones put where their boxes are, as bitmaps, runs or inside their boxes.

Nothing here is larger than a block of pixels, besides what is returned.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

MaskKind = Literal['bitmaps', 'rle', 'boxes', 'none']
"""``'bitmaps'``: ``(K, H, W)`` bool. ``'rle'``: COCO's compressed runs. ``'boxes'``: the part of the
image that a box covers. ``'none'``: left out."""

MASK_KINDS: tuple[MaskKind, ...] = ('bitmaps', 'rle', 'boxes', 'none')

MASK_BLOCK = 2**19
"""Pixels that are interpolated at a time."""

Runs = dict[str, Any]
"""COCO's: ``size`` is height and width, ``counts`` a text."""


class BoxMask(NamedTuple):
    """A mask inside its box."""

    left: int
    """The column of the image in which the bitmap begins."""

    top: int
    """The row likewise."""

    bitmap: np.ndarray
    """``(h, w)`` bool; nothing outside it belongs to the object."""


class _Place(NamedTuple):
    """Rows and columns of an image, the ends not among them."""

    left: int
    top: int
    right: int
    bottom: int


def paste_masks(
    masks: np.ndarray, boxes: np.ndarray, size: tuple[int, int], threshold: float
) -> np.ndarray:
    """Puts small masks where their boxes are, as mmdet and detectron2 do.

    Args:
        masks: Probabilities ``(K, h, w)``.
        boxes: ``(K, 4)`` as x1, y1, x2, y2 in pixels.
        size: Height and width of the image.
        threshold: Of the interpolated probability.

    Returns:
        ``(K, H, W)`` bool.
    """
    pasted = np.zeros((len(masks), *size), bool)
    for mask, box, target in zip(_floats(masks), _floats(boxes), pasted, strict=True):
        place = _place_of(box, size)
        part = target[place.top : place.bottom, place.left : place.right]
        _fill(part, mask, box, place, threshold)
    return pasted


def box_masks(
    masks: np.ndarray, boxes: np.ndarray, size: tuple[int, int], threshold: float
) -> tuple[BoxMask, ...]:
    """The same masks inside their boxes; a box outside the image has an empty one."""
    found = []
    for mask, box in zip(_floats(masks), _floats(boxes), strict=True):
        place = _place_of(box, size)
        bitmap = np.zeros((place.bottom - place.top, place.right - place.left), bool)
        _fill(bitmap, mask, box, place, threshold)
        found.append(BoxMask(place.left, place.top, bitmap))
    return tuple(found)


def masks_as_runs(
    masks: np.ndarray, boxes: np.ndarray, size: tuple[int, int], threshold: float
) -> tuple[Runs, ...]:
    """The same masks as COCO's compressed runs, without a bitmap of any of them."""
    found = []
    for mask, box in zip(_floats(masks), _floats(boxes), strict=True):
        place = _place_of(box, size)
        height = max(place.bottom - place.top, 1)
        parts = (
            (
                left,
                place.top,
                _values(mask, box, _Place(left, place.top, right, place.bottom)) >= threshold,
            )
            for left, right in _spans(place.left, place.right, MASK_BLOCK // height)
        )
        found.append(_encoded((BoxMask(*part) for part in parts), size))
    return tuple(found)


PASTE: dict[MaskKind, Any] = {'bitmaps': paste_masks, 'boxes': box_masks, 'rle': masks_as_runs}


def encode_mask(mask: np.ndarray | BoxMask, size: tuple[int, int]) -> Runs:
    """A bitmap ``(H, W)``, or one inside its box, as COCO's runs.

    Args:
        mask: In the image.
        size: Height and width of the image.
    """
    if not isinstance(mask, BoxMask):
        mask = BoxMask(0, 0, np.asarray(mask, bool))
    height, width = mask.bitmap.shape
    spans = _spans(0, width, MASK_BLOCK // max(height, 1))
    parts = (BoxMask(mask.left + a, mask.top, mask.bitmap[:, a:b]) for a, b in spans)
    return _encoded(parts, size)


def decode_mask(mask: BoxMask | Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
    """The bitmap ``(H, W)`` of a mask inside its box, or of COCO's compressed runs."""
    if isinstance(mask, BoxMask):
        bitmap = np.zeros(size, bool)
        height, width = mask.bitmap.shape
        bitmap[mask.top : mask.top + height, mask.left : mask.left + width] = mask.bitmap
        return bitmap
    height, width = mask['size']
    edges = np.cumsum(_numbers(mask['counts']))
    changes = np.zeros(height * width + 1, np.int8)
    changes[edges[0::2]] += 1
    changes[edges[1::2]] -= 1
    inside = np.cumsum(changes[:-1], dtype=np.int8).astype(bool)
    return np.ascontiguousarray(inside.reshape(width, height).T)


def _floats(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, np.float32)


def _place_of(box: np.ndarray, size: tuple[int, int]) -> _Place:
    """The pixels that a box may touch, one more on each side; none of a box outside the image."""
    box = np.nan_to_num(box, nan=0.0).clip(-1, max(size) + 1)
    left, top = np.maximum(np.floor(box[:2]).astype(int) - 1, 0).tolist()
    right, bottom = (np.ceil(box[2:]).astype(int) + 1).tolist()
    left, top = min(left, size[1]), min(top, size[0])
    return _Place(left, top, max(min(right, size[1]), left), max(min(bottom, size[0]), top))


def _fill(
    target: np.ndarray, mask: np.ndarray, box: np.ndarray, place: _Place, threshold: float
) -> None:
    """Writes a mask into the part of a bitmap that it touches, a block of rows at a time."""
    width = max(place.right - place.left, 1)
    for top, bottom in _spans(place.top, place.bottom, MASK_BLOCK // width):
        values = _values(mask, box, place._replace(top=top, bottom=bottom))
        np.greater_equal(values, threshold, out=target[top - place.top : bottom - place.top])


def _spans(start: int, end: int, length: int) -> Iterator[tuple[int, int]]:
    length = max(length, 1)
    return ((first, min(first + length, end)) for first in range(start, end, length))


def _values(mask: np.ndarray, box: np.ndarray, place: _Place) -> np.ndarray:
    """A mask interpolated at the pixels of a block, zero outside the mask."""
    rows = _weights(place.top, place.bottom, box[1], box[3], mask.shape[0])
    columns = _weights(place.left, place.right, box[0], box[2], mask.shape[1])
    return rows @ mask @ columns.T


def _weights(start: int, end: int, low: np.float32, high: np.float32, count: int) -> np.ndarray:
    """What each of ``count`` values between two sides adds to the pixels from start to end.

    Bilinear, as ``torch.nn.functional.grid_sample`` has it without ``align_corners``.
    """
    pixels = np.arange(start, end, dtype=np.float32) + np.float32(0.5)
    with np.errstate(divide='ignore', invalid='ignore'):
        places = (pixels - low) / (high - low) * 2 - 1
    places = ((np.nan_to_num(places, nan=0.0, posinf=0.0, neginf=0.0) + 1) * count - 1) / 2
    lower = np.floor(places)
    share = places - lower
    weights = np.zeros((len(pixels), count), np.float32)
    for index, weight in ((lower, 1 - share), (lower + 1, share)):
        inside = np.flatnonzero((index >= 0) & (index < count))
        weights[inside, index[inside].astype(int)] += weight[inside]
    return weights


def _encoded(parts: Iterator[BoxMask], size: tuple[int, int]) -> Runs:
    """Runs of an image that consists of parts, which follow each other from left to right.

    Runs go down the columns, from the first one on, and begin outside the mask.
    """
    edges: list[np.ndarray] = []
    for part in parts:
        columns = np.zeros((part.bitmap.shape[1], part.bitmap.shape[0] + 2), bool)
        columns[:, 1:-1] = part.bitmap.T
        column, row = np.nonzero(columns[:, 1:] != columns[:, :-1])
        edges.append((part.left + column) * size[0] + part.top + row)
    ends = np.concatenate([*edges, [size[0] * size[1]]]).astype(np.int64)
    # Where a run goes on in the next column, its end and the next beginning are one place.
    same = np.flatnonzero(ends[1:-1] == ends[:-2])
    ends = np.delete(ends, np.concatenate([same, same + 1]))
    if len(ends) > 1 and ends[-1] == ends[-2]:
        ends = ends[:-1]  # the last run reaches the end
    return dict(size=list(size), counts=_text(np.diff(ends, prepend=0)))


def _text(counts: np.ndarray) -> str:
    """COCO's text of run lengths: six-bit letters, from the third on as differences."""
    numbers = counts.copy()
    numbers[3:] -= counts[1:-2]
    letters: list[np.ndarray] = []
    follows: list[np.ndarray] = []
    waiting = np.ones(len(numbers), bool)
    while waiting.any():
        low = numbers & 0x1F
        numbers = numbers >> 5
        more = np.where(low & 0x10, numbers != -1, numbers != 0)
        letters.append(low + 32 * more + 48)
        follows.append(waiting)
        waiting = waiting & more
    table, used = np.stack(letters, 1), np.stack(follows, 1)
    return table[used].astype(np.uint8).tobytes().decode('ascii')


def _numbers(text: str | bytes) -> np.ndarray:
    """The inverse of :func:`_text`."""
    content = text.encode('ascii') if isinstance(text, str) else text
    letters = np.frombuffer(content, np.uint8).astype(np.int64) - 48
    last = np.flatnonzero((letters & 0x20) == 0)
    first = np.concatenate([[0], last[:-1] + 1])
    place = np.arange(len(letters)) - np.repeat(first, last - first + 1)
    numbers = np.add.reduceat((letters & 0x1F) << (5 * place), first)
    numbers -= np.where(letters[last] & 0x10, 1 << (5 * (place[last] + 1)), 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def select_masks(masks: Any, numbers: np.ndarray) -> Any:
    """Some of the masks of :func:`paste_masks`, :func:`box_masks` or :func:`masks_as_runs`."""
    if masks is None or isinstance(masks, np.ndarray):
        return masks if masks is None else masks[numbers]
    chosen: Sequence[Any] = [masks[number] for number in numbers]
    return tuple(chosen)
