"""Adaptive pooling of maps that always have the size of the traced one, by ordinary operators."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PoolWindow(NamedTuple):
    """The positions ``start ... end - 1`` along an axis."""

    start: int
    end: int


class FixedAveragePool(nn.Module):
    """``nn.AdaptiveAvgPool2d`` whose windows are constants of the graph.

    Windows of one size at one distance become average pooling, which every runtime has; others
    two products with constant matrices, the constant on the right, as OpenCV wants it.

    Args:
        height: Number of bins from top to bottom.
        width: From left to right.
    """

    def __init__(self, height: int, width: int):
        super().__init__()
        self.height = height
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` to ``(N, C, height, width)``."""
        rows = windows(int(x.shape[2]), self.height)
        columns = windows(int(x.shape[3]), self.width)
        maps = x.float()
        down, across = even_steps(rows), even_steps(columns)
        if down and across:
            sizes, distances = zip(down, across, strict=True)
            pooled = F.avg_pool2d(maps, sizes, distances)
        else:
            pooled = _average(_average(maps, columns).transpose(2, 3), rows).transpose(2, 3)
        return pooled.to(x.dtype)


def windows(length: int, bins: int) -> list[PoolWindow]:
    """The windows of adaptive pooling: ``floor(i l / b) ... ceil((i + 1) l / b)``."""
    return [PoolWindow(i * length // bins, -(-(i + 1) * length // bins)) for i in range(bins)]


def even_steps(found: Sequence[PoolWindow]) -> tuple[int, int] | None:
    """Size and distance of windows that all have the same; None for others."""
    sizes = {window.end - window.start for window in found}
    distances = {after.start - before.start for before, after in pairwise(found)}
    if len(sizes) > 1 or len(distances) > 1 or distances == {0}:
        return None
    size = sizes.pop()
    return size, distances.pop() if distances else size


def _average(maps: Tensor, found: Sequence[PoolWindow]) -> Tensor:
    """Averages over the windows of the last axis, by a product with a constant."""
    matrix = [
        [(start <= i < end) / (end - start) for start, end in found] for i in range(found[-1].end)
    ]
    return maps @ torch.tensor(matrix, dtype=maps.dtype, device=maps.device)
