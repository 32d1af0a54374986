"""What the libraries ask of a convolution, and the small case on which they are compared with torch."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from repnext_mm.reparam.primitives.activations import GELU, NONE, RELU


def takes_primitive(conv: nn.Conv2d, dtype: torch.dtype, device: torch.device) -> bool:
    """Whether parameters and geometry are such as a primitive takes, on this device in this dtype."""
    parameters = [parameter for parameter in conv._parameters.values() if parameter is not None]
    return (
        conv._parameters.get('weight') is not None
        and conv.padding_mode == 'zeros'
        and type(conv.padding) is tuple
        and all(
            type(parameter) is nn.Parameter
            and parameter.dtype is dtype
            and parameter.device == device
            and parameter.layout is torch.strided
            for parameter in parameters
        )
    )


def output_shape(conv: nn.Conv2d, shape: torch.Size) -> tuple[int, ...] | None:
    """``(N, C_out, H', W')``; None if the convolution refuses the input, or puts out nothing."""
    if len(shape) != 4 or shape[1] != conv.in_channels:
        return None
    sides: Any = zip(
        shape[2:], conv.kernel_size, conv.padding, conv.stride, conv.dilation, strict=True
    )
    output = (
        shape[0],
        conv.out_channels,
        *(
            (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
            for size, kernel, padding, stride, dilation in sides
        ),
    )
    return output if min(output) > 0 else None


class SmallCase(NamedTuple):
    """A convolution of stride 1 with what torch's own layers make of it."""

    x: Tensor
    other: Tensor
    weight: Tensor
    bias: Tensor
    geometry: tuple[list[int], list[int], list[int], int]
    """Padding, stride, dilation and groups."""

    activated: dict[str, Tensor]
    """The activations of the convolution, by their names."""

    added: dict[str, Tensor]
    """The activations of ``other`` and the convolution, for those that a primitive computes."""


def small_case(
    groups: int,
    size: int,
    memory_format: torch.memory_format = torch.channels_last,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = 'cpu',
) -> SmallCase:
    """A convolution of few channels and pixels.

    Args:
        groups: Of its 16 channels.
        size: Of its kernel.
        memory_format: Of the feature maps.
        dtype: Of all tensors.
        device: Of all tensors.
    """
    x, other, weight = (
        torch.linspace(-2, 1, n * c * h * w).view(n, c, h, w).to(device, dtype)
        for n, c, h, w in ((2, 16, 5, 6), (2, 32, 5, 6), (32, 16 // groups, size, size))
    )
    x, other = (t.contiguous(memory_format=memory_format) for t in (x, other))
    bias = torch.linspace(-1, 1, 32).to(device, dtype)
    y = F.conv2d(x, weight, bias, padding=size // 2, groups=groups)
    activated = {NONE: y, RELU: y.relu(), GELU: F.gelu(y)}
    added = {NONE: other + y, RELU: (other + y).relu()}
    geometry = [size // 2] * 2, [1, 1], [1, 1], groups
    return SmallCase(x, other, weight, bias, geometry, activated, added)


def is_close(result: Tensor, expected: Tensor, agreement: float) -> bool:
    """Whether the largest difference is at most this part of the largest output."""
    difference = (result.double() - expected.double()).abs().max()
    return bool(difference <= agreement * expected.double().abs().max())
