"""Rows of several images in one list, with the number of the image of each: nothing depends on how
many rows an image has, so that one graph takes any number of images."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from repnext_mm.export.tasks.boxes import batched_nms
from repnext_mm.runtime.detector import COUNTS


def axes_of_rows(names: Sequence[str], dynamic_batch: bool) -> dict[str, dict[int, str]]:
    """The axes that stay open: the first of every output is the number of detections, or of images.

    Args:
        names: Of the outputs.
        dynamic_batch: Whether the number of images stays open.
    """
    axes = {name: {0: 'detections'} for name in names}
    return axes | ({COUNTS: {0: 'batch'}} if dynamic_batch else {})


def best_of_each(scores: Tensor, images: Tensor, count: Tensor, limit: int) -> Tensor:
    """The rows with the best scores of each image, by falling score, all images together.

    Args:
        scores: ``(K,)``.
        images: ``(K,)`` int64: the image of each row.
        count: ``(N,)``, any values: one for each image.
        limit: How many of an image are kept at most; 0 or less for all.

    Returns:
        Indices ``(L,)``.
    """
    order = scores.sort(descending=True)[1]
    if limit <= 0:
        return order
    return order[first_of_each(images[order], count, limit)]


def first_of_each(images: Tensor, count: Tensor, limit: int) -> Tensor:
    """Indices ``(L,)`` of the first rows of each image, in their order; as :func:`best_of_each`."""
    own = _membership(images, count)
    places = (own.cumsum(0) * own).sum(1)
    return (places <= limit).nonzero()[:, 0]


def by_image(images: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """An order ``(K,)`` that brings the rows of each image together, and their counts ``(N,)``."""
    places = torch.arange(images.shape[0], device=images.device)
    order = (images * images.shape[0] + places).sort()[1]
    return order, _membership(images, count).sum(0)


def image_of_each(counts: Tensor) -> Tensor:
    """The image ``(K,)`` of each row, where counts ``(N,)`` rows of each follow one another."""
    ends = counts.cumsum(0)
    total: Any = counts.sum()  # a number of the graph
    places = torch.arange(total, device=counts.device)
    return (places.unsqueeze(1) >= ends.unsqueeze(0)).long().sum(1)


def _membership(images: Tensor, count: Tensor) -> Tensor:
    """``(K, N)`` int64: 1 where a row is of an image."""
    numbers = torch.arange(count.shape[0], device=images.device)
    return (images.unsqueeze(1) == numbers.unsqueeze(0)).long()


def best_after_nms(
    found: tuple[Tensor, Tensor, Tensor],
    images: Tensor,
    cfg: Any,
    limit: int,
    count: Tensor,
    several: bool,
) -> tuple[Tensor, ...]:
    """What NMS leaves of each image, one image after the other.

    Args:
        found: Boxes ``(K, 4)``, scores and labels ``(K,)``.
        images: ``(K,)`` int64.
        cfg: mmdet's configuration of NMS.
        limit: How many of an image are kept at most; 0 or less for all.
        count: As for :func:`best_of_each`.
        several: Whether there may be other images than the first.

    Returns:
        The three tensors, by falling score, and for several images the counts ``(N,)``.
    """
    keep = batched_nms(*found, cfg, images if several else None)
    if not several:
        keep = keep[:limit] if limit > 0 else keep
        return tuple(part[keep] for part in found)
    if limit > 0:
        keep = keep[first_of_each(images[keep], count, limit)]
    order, counts = by_image(images[keep], count)
    keep = keep[order]
    return (*(part[keep] for part in found), counts)
