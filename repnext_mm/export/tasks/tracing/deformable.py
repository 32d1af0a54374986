"""Deformable convolutions as sampling and matrix products, which ONNX Runtime and OpenVINO have.

Source: arXiv 1703.06211, equation 2, and with masks arXiv 1811.11168, equation 1.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.modules.utils import _pair


def deform_conv2d(
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    deform_groups: int = 1,
    bias: bool = False,
    im2col_step: int = 32,
) -> Tensor:
    """mmcv's deformable convolution, with its arguments; as :func:`modulated_deform_conv2d`."""
    return modulated_deform_conv2d(
        input, offset, None, weight, None, stride, padding, dilation, groups, deform_groups
    )


def modulated_deform_conv2d(
    input: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    deform_groups: int = 1,
) -> Tensor:
    """mmcv's modulated deformable convolution, with its arguments.

    Args:
        input: ``(N, C, H, W)``.
        offset: ``(N, 2 * deform_groups * taps, H', W')``, or larger: for each tap of the kernel down and
            across.
        mask: ``(N, deform_groups * taps, H', W')``, or larger; None for ones.
        weight: ``(C', C / groups, kH, kW)``.
        bias: ``(C',)``.
        stride: Of the regular grid, like the padding and the dilation: down and across, or both.
        padding: In pixels.
        dilation: In pixels.
        groups: Of channels.
        deform_groups: Channels of one group share their offsets.

    Returns:
        ``(N, C', H', W')``.
    """
    taps, across_taps = int(weight.shape[2]) * int(weight.shape[3]), int(weight.shape[3])
    number, channels = input.shape[:2]
    height, width = size = _output_size(input, weight, stride, padding, dilation)
    offset = _of_size(offset, 2 * deform_groups * taps, size)
    mask = None if mask is None else _of_size(mask, deform_groups * taps, size)
    moves = offset.reshape(number * deform_groups, taps, 2, height, width)
    parts = input.reshape(number * deform_groups, channels // deform_groups, *input.shape[2:])
    rows = _grid(height, _pair(stride)[0], _pair(padding)[0], offset).unsqueeze(1)
    columns = _grid(width, _pair(stride)[1], _pair(padding)[1], offset)
    sampled = []
    for tap in range(taps):
        down, across = divmod(tap, across_taps)
        y = rows + down * _pair(dilation)[0] + moves[:, tap, 0]
        x = columns + across * _pair(dilation)[1] + moves[:, tap, 1]
        places = torch.stack(
            [(2 * x + 1) / input.shape[3] - 1, (2 * y + 1) / input.shape[2] - 1], -1
        )
        found = F.grid_sample(parts, places.to(parts), align_corners=False)
        sampled.append(found.reshape(number, channels, height, width))
    values = torch.stack(sampled, 2)
    if mask is not None:
        factors = mask.reshape(number, deform_groups, 1, taps, height, width)
        values = values.reshape(number, deform_groups, -1, taps, height, width) * factors
    values = values.reshape(number, groups, channels // groups * taps, height * width)
    outputs = weight.reshape(groups, weight.shape[0] // groups, -1) @ values
    outputs = outputs.reshape(number, weight.shape[0], height, width)
    return outputs if bias is None else outputs + bias.reshape(1, -1, 1, 1)


def _output_size(
    input: Tensor, weight: Tensor, stride: Any, padding: Any, dilation: Any
) -> list[Any]:
    """Height and width of what a convolution puts out."""
    geometry = zip(_pair(stride), _pair(padding), _pair(dilation), strict=True)
    return [
        (side + 2 * pad - step * (int(taps) - 1) - 1) // jump + 1
        for side, taps, (jump, pad, step) in zip(
            input.shape[2:], weight.shape[2:], geometry, strict=True
        )
    ]


def _of_size(maps: Tensor, channels: int, size: Sequence[Any]) -> Tensor:
    """Maps ``(N, channels, *size)``: of larger ones the first values, as mmcv's operator reads them.

    DyHead gives the offsets of a finer level to a coarser one.
    """
    if all(int(own) == int(side) for own, side in zip(maps.shape[2:], size, strict=True)):
        return maps
    count = channels * size[0] * size[1]
    return maps.flatten(1)[:, :count].reshape(-1, channels, *size)


def _grid(length: int, stride: int, padding: int, like: Tensor) -> Tensor:
    """The first pixel under the kernel at each of ``length`` positions."""
    return torch.arange(length, device=like.device) * stride - padding
