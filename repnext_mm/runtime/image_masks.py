"""Masks of objects that cover the whole image, as some detectors put them out, in the image's size."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from repnext_mm.runtime.enlarging import enlarge_blocks
from repnext_mm.runtime.masks import BoxMask, MaskKind, encode_mask

HALF = 0.5


def enlarge_masks(masks: np.ndarray, size: tuple[int, int], kind: MaskKind = 'bitmaps') -> Any:
    """Masks of a resized image in the size of the image.

    Args:
        masks: ``(K, h, w)``, 1 where the object is, or its probability.
        size: Height and width of the image.
        kind: What becomes of them.

    Returns:
        ``(K, H, W)`` bool, or a tuple of the other kinds: one bitmap at a time is made then.
    """
    if kind == 'bitmaps':
        bitmaps = np.zeros((len(masks), *size), bool)
        for mask, target in zip(masks, bitmaps, strict=True):
            _enlarge(mask, target)
        return bitmaps
    return tuple(
        encode_mask(bitmap, size) if kind == 'rle' else _cut_out(bitmap)
        for bitmap in _one_by_one(masks, size)
    )


def _one_by_one(masks: np.ndarray, size: tuple[int, int]) -> Iterator[np.ndarray]:
    bitmap = np.zeros(size, bool)
    for mask in masks:
        _enlarge(mask, bitmap)
        yield bitmap


def _enlarge(mask: np.ndarray, target: np.ndarray) -> None:
    if mask.shape == target.shape:
        np.greater(mask, HALF, out=target)
        return
    values = mask.astype(np.float32)
    for first, last, block in enlarge_blocks(values, target.shape, align_corners=False):
        np.greater(block, HALF, out=target[first:last])


def _cut_out(bitmap: np.ndarray) -> BoxMask:
    left, top, right, bottom = extent(bitmap)
    return BoxMask(left, top, bitmap[top:bottom, left:right].copy())


def extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    """The box round a mask ``(H, W)``: x1, y1, x2, y2; zeros round nothing."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not len(rows):
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def boxes_of_masks(boxes: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Boxes ``(K, 4)``, and round the masks ``(K, H, W)`` where a model put out none, but zeros."""
    if boxes.any():
        return boxes
    found = np.zeros_like(boxes)
    for mask, box in zip(masks, found, strict=True):
        box[:] = extent(mask)
    return found


def without_padding(
    masks: np.ndarray,
    resized: tuple[int, int],
    size: tuple[int, int],
    scale: tuple[float, float],
    fitted: tuple[float, float],
) -> np.ndarray:
    """The part of masks ``(K, h, w)`` that shows the image, neither the pipeline's padding nor the reader's.

    Args:
        masks: Of what went through the network.
        resized: Height and width of the image in the config's size, padding included.
        size: Height and width of the image.
        scale: Width and height of the resized image relative to the image.
        fitted: Likewise of what went through the network, relative to the resized image.
    """
    own = (size[0] * scale[1], size[1] * scale[0])
    height, width = (
        math.ceil(min(side, round(length)) * part)
        for side, length, part in zip(resized, own, fitted[::-1], strict=True)
    )
    return masks[:, :height, :width]
