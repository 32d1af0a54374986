"""Layers that compute the same as others, at every size once they are traced."""

import sys
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from repnext_mm.export.fixed_size import FixedAveragePool


class AdaptiveAveragePool(nn.Module):
    """``nn.AdaptiveAvgPool2d`` as two matrix products, with matrices made from the input's shape.

    ONNX has no such operator. One exporter refuses it; the other fixes the windows at the
    traced size.

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
        return average_pool(x, (self.height, self.width))


def average_pool(x: Tensor, output_size: Any) -> Tensor:
    """``F.adaptive_avg_pool2d``, of ``(N, C, H, W)`` to any number of bins."""
    height, width = _bins(x, output_size)
    if isinstance(height, int) and isinstance(width, int) and height == width == 1:
        return F.adaptive_avg_pool2d(x, 1)
    rows = averaging_matrix(x.shape[2], height, x.device)
    columns = averaging_matrix(x.shape[3], width, x.device)
    return (rows @ x.float() @ columns.transpose(0, 1)).to(x.dtype)


def maximum_pool(x: Tensor, output_size: Any, return_indices: bool = False) -> Tensor:
    """``F.adaptive_max_pool2d``, of ``(N, C, H, W)`` to any number of bins: rows, then columns."""
    height, width = _bins(x, output_size)
    rows = _windows(x.shape[2], height, x.device)
    x = x[:, :, rows].amax(3)
    return x[:, :, :, _windows(x.shape[3], width, x.device)].amax(4)


def _bins(x: Tensor, output_size: Any) -> tuple[Any, Any]:
    pair = output_size if isinstance(output_size, list | tuple) else (output_size, output_size)
    height, width = (
        side if bins is None else bins for bins, side in zip(pair, x.shape[2:], strict=True)
    )
    return height, width


def _windows(length: Any, bins: Any, device: torch.device) -> Tensor:
    """``(bins, longest)``: the positions of each window of adaptive pooling, the last one repeated."""
    start, end = _edges(length, bins, device)
    longest = length // bins + 2
    return torch.minimum(start + torch.arange(longest, device=device), end - 1)


def _edges(length: Any, bins: Any, device: torch.device) -> tuple[Tensor, Tensor]:
    """``(bins, 1)`` each: where the windows of adaptive pooling begin, and the positions behind their ends."""
    number = torch.arange(bins, device=device).unsqueeze(1)
    start = torch.div(number * length, bins, rounding_mode='floor')
    return start, torch.div((number + 1) * length + bins - 1, bins, rounding_mode='floor')


def averaging_matrix(length: int, bins: int, device: torch.device) -> Tensor:
    """``(bins, length)``: row ``i`` averages the positions ``floor(i l / b) ... ceil((i + 1) l / b)``.

    Args:
        length: May be a traced value.
        bins: How many windows.
        device: Of the result.
    """
    start, end = _edges(length, bins, device)
    position = torch.arange(length, device=device).unsqueeze(0)
    inside = (position >= start) & (position < end)
    return inside.float() / (end - start).float()


class SubsamplingBySlicing(TorchFunctionMode):
    """Inside this context ``F.max_pool2d`` with a kernel of one, FPN's last level, is slicing.

    ``torch.export`` decides in Python whether the size of a pooled map was even, and its
    program then refuses the other kind.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        pools = func in (F.max_pool2d, torch.max_pool2d) and tuple(args[1:]) == (1,)
        if pools and kwargs.get('stride') and not kwargs.get('padding'):
            rows, columns = (
                torch.arange(0, side, kwargs['stride'], device=args[0].device)
                for side in args[0].shape[2:]
            )
            return args[0].index_select(2, rows).index_select(3, columns)
        return func(*args, **kwargs)


def make_size_free(model: nn.Module, static: bool = False) -> None:
    """Replaces, in place, layers that would keep the size at which they were traced.

    These are ``nn.AdaptiveAvgPool2d`` with more than one bin and mmseg's ``Upsample``, which
    multiplies sizes in Python.

    Args:
        model: The model.
        static: All images have the size of the traced one, so pooling has constant windows.
    """
    pool = FixedAveragePool if static else AdaptiveAveragePool
    for module in list(model.modules()):
        for name, child in module._modules.items():
            module._modules[name] = _size_free(child, pool)


def _size_free(layer: nn.Module | None, pool: Callable[[int, int], nn.Module]) -> nn.Module | None:
    if isinstance(layer, nn.AdaptiveAvgPool2d):
        size = layer.output_size
        height, width = size if isinstance(size, tuple) else (size, size)
        if height is not None and width is not None and (height, width) != (1, 1):
            return pool(height, width).eval()
    utils = sys.modules.get('mmseg.models.utils')
    if utils is not None and isinstance(layer, utils.Upsample) and layer.scale_factor:
        return nn.Upsample(
            scale_factor=layer.scale_factor, mode=layer.mode, align_corners=layer.align_corners
        ).eval()
    return layer
