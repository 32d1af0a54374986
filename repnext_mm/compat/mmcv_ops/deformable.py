"""What both deformable convolutions share: torchvision's operator, and its gradients."""

from typing import NamedTuple, NoReturn

import torch
from torch import Tensor

from repnext_mm.compat.mmcv_ops.precision import at_least_single


class Geometry(NamedTuple):
    """What torchvision's operator is told about the convolution, in its order."""

    stride_h: int
    stride_w: int
    pad_h: int
    pad_w: int
    dilation_h: int
    dilation_w: int
    groups: int
    deformable_groups: int


class Gradients(NamedTuple):
    """What torchvision's operator gives back, in its order."""

    input: Tensor
    weight: Tensor
    offset: Tensor
    mask: Tensor
    bias: Tensor


def convolve(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    geometry: Geometry,
) -> Tensor:
    """The convolution, ``(N, C_out, H', W')``, in the precision of torchvision's kernels.

    Args:
        input: ``(N, C, H, W)``.
        weight: ``(C_out, C / groups, kH, kW)``.
        offset: ``(N, 2 * deformable_groups * kH * kW, H', W')``.
        mask: ``(N, deformable_groups * kH * kW, H', W')``; None for ones.
        bias: ``(C_out,)``; None for zeros.
        geometry: Stride, padding, dilation and groups.
    """
    tensors = _prepared(input, weight, offset, mask, bias)
    return torch.ops.torchvision.deform_conv2d(*tensors, *geometry, mask is not None)


def backward(
    grad_output: Tensor,
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    geometry: Geometry,
) -> Gradients:
    """The gradients of :func:`convolve`, given that of its output, ``grad_output``."""
    tensors = _prepared(input, weight, offset, mask, bias)
    (gradient,) = at_least_single(grad_output)
    return Gradients(
        *torch.ops.torchvision._deform_conv2d_backward(
            gradient.to(tensors[0].dtype).contiguous(), *tensors, *geometry, mask is not None
        )
    )


def _prepared(
    input: Tensor, weight: Tensor, offset: Tensor, mask: Tensor | None, bias: Tensor | None
) -> list[Tensor]:
    """The five tensors that torchvision's operator takes: input, weight, offset, mask, bias.

    Zeros stand for a bias that is missing, and an empty tensor for such a mask.
    """
    mask = input.new_zeros(len(input), 0) if mask is None else mask
    bias = input.new_zeros(len(weight)) if bias is None else bias
    tensors = at_least_single(input, weight, offset, mask, bias)
    return [tensor.contiguous() for tensor in tensors]


def refuse_maps(maps: Tensor, output: torch.Size, channels: int) -> NoReturn:
    """Says which maps of offsets or masks an output needs.

    Raises:
        ValueError: Always.
    """
    raise ValueError(
        f'a deformable convolution with an output of {tuple(output)} needs maps of '
        f'{(output[0], channels, *output[2:])} for its offsets or masks, got {tuple(maps.shape)}'
    )
