"""Deformable convolution (arXiv 1703.06211): torchvision's."""
# ruff: noqa: N803 (the arguments have mmcv's names)

import torch
from torch import Tensor

from repnext_mm.compat.mmcv_ops.deformable import Geometry, backward, convolve, refuse_maps


def deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    output: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Deformable convolution with the signature of mmcv's extension; writes into ``output``.

    Args:
        input: ``(N, C, H, W)``.
        weight: ``(C_out, C / group, kH, kW)``.
        offset: ``(N, 2 * deformable_group * kH * kW, H', W')``: y and x of each tap, in pixels.
        output: ``(N, C_out, H', W')``.
        columns: Memory for mmcv's own.
        ones: Memory for mmcv's own.
        kW: Width of the kernel.
        kH: Height of the kernel.
        dW: Horizontal stride.
        dH: Vertical stride.
        padW: Zeros on the left and on the right.
        padH: Zeros above and below.
        dilationW: Horizontal dilation.
        dilationH: Vertical dilation.
        group: Groups of channels.
        deformable_group: Groups of channels with offsets of their own.
        im2col_step: Images at a time in mmcv's own.

    Raises:
        ValueError: If the offsets are not of the output's size.
    """
    geometry = Geometry(dH, dW, padH, padW, dilationH, dilationW, group, deformable_group)
    _check_offsets(offset, output.shape, 2 * deformable_group * kH * kW)
    output.copy_(convolve(input, weight, offset, None, None, geometry))


def deform_conv_backward_input(
    input: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_input: Tensor,
    grad_offset: Tensor,
    weight: Tensor,
    columns: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """The gradients of :func:`deform_conv_forward` for input and offsets; writes into both."""
    geometry = Geometry(dH, dW, padH, padW, dilationH, dilationW, group, deformable_group)
    found = backward(grad_output, input, weight, offset, None, None, geometry)
    grad_input.copy_(found.input)
    grad_offset.copy_(found.offset)


def deform_conv_backward_parameters(
    input: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_weight: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    scale: float,
    im2col_step: int,
) -> None:
    """The gradient of :func:`deform_conv_forward` for the weight, times ``scale``; adds to it."""
    geometry = Geometry(dH, dW, padH, padW, dilationH, dilationW, group, deformable_group)
    # It is linear in the weight, of which the gradient needs the shape alone.
    weight = torch.zeros_like(grad_weight)
    found = backward(grad_output, input, weight, offset, None, None, geometry)
    grad_weight.add_(found.weight.to(grad_weight.dtype), alpha=scale)


def _check_offsets(offset: Tensor, output: torch.Size, channels: int) -> None:
    if offset.shape[1:] != (channels, *output[2:]):
        refuse_maps(offset, output, channels)
