"""Deformable convolutions (arXiv 1703.06211, 1811.11168): torchvision's."""
# ruff: noqa: N803 (the arguments have mmcv's names)

from typing import NamedTuple

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
    output.copy_(_convolve(input, weight, offset, None, None, geometry))


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
    found = _backward(grad_output, input, weight, offset, None, None, geometry)
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
    found = _backward(grad_output, input, weight, offset, None, None, geometry)
    grad_weight.add_(found.weight.to(grad_weight.dtype), alpha=scale)


def modulated_deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Modulated deformable convolution with the signature of mmcv's extension; writes into ``output``.

    Args:
        input: ``(N, C, H, W)``.
        weight: ``(C_out, C / group, kernel_h, kernel_w)``.
        bias: ``(C_out,)``; not read without ``with_bias``.
        ones: Memory for mmcv's own.
        offset: ``(N, 2 * deformable_group * kernel_h * kernel_w, H', W')``, or larger maps; see
            :func:`_of_output_size`.
        mask: ``(N, deformable_group * kernel_h * kernel_w, H', W')``, or larger maps.
        output: ``(N, C_out, H', W')``.
        columns: Memory for mmcv's own.
        kernel_h: Height of the kernel.
        kernel_w: Width of the kernel.
        stride_h: Vertical stride.
        stride_w: Horizontal stride.
        pad_h: Zeros above and below.
        pad_w: Zeros on the left and on the right.
        dilation_h: Vertical dilation.
        dilation_w: Horizontal dilation.
        group: Groups of channels.
        deformable_group: Groups of channels with offsets and masks of their own.
        with_bias: Whether there is a bias.

    Raises:
        ValueError: If there are fewer offsets or masks than the output needs.
    """
    geometry = Geometry(
        stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, group, deformable_group
    )
    taps = deformable_group * kernel_h * kernel_w
    output.copy_(
        _convolve(
            input,
            weight,
            _of_output_size(offset, 2 * taps, output.shape),
            _of_output_size(mask, taps, output.shape),
            bias if with_bias else None,
            geometry,
        )
    )


def modulated_deform_conv_backward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """The gradients of :func:`modulated_deform_conv_forward`.

    It writes into ``grad_input``, ``grad_weight``, ``grad_bias``, ``grad_offset`` and ``grad_mask``.
    """
    geometry = Geometry(
        stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, group, deformable_group
    )
    taps, size = deformable_group * kernel_h * kernel_w, grad_output.shape
    found = _backward(
        grad_output,
        input,
        weight,
        _of_output_size(offset, 2 * taps, size),
        _of_output_size(mask, taps, size),
        bias if with_bias else None,
        geometry,
    )
    grad_input.copy_(found.input)
    grad_weight.copy_(found.weight)
    for whole, part in ((grad_offset, found.offset), (grad_mask, found.mask)):
        whole.view(len(whole), -1)[:, : part[0].numel()] = part.flatten(1).to(whole.dtype)
    if with_bias:
        grad_bias.copy_(found.bias)


def _convolve(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    geometry: Geometry,
) -> Tensor:
    tensors = _prepared(input, weight, offset, mask, bias)
    return torch.ops.torchvision.deform_conv2d(*tensors, *geometry, mask is not None)


def _backward(
    grad_output: Tensor,
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    geometry: Geometry,
) -> Gradients:
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


def _of_output_size(maps: Tensor, channels: int, output: torch.Size) -> Tensor:
    """The first values of maps that are larger than the output, as maps of its size.

    mmcv's extension reads the offsets of each image as if they had the size of the output, and so
    do the published weights of DyHead, which gives the offsets of a finer level to a coarser one.

    Args:
        maps: ``(N, C, H, W)``.
        channels: Those that are needed, at most ``C``.
        output: Shape of the output, ``(N, C_out, H', W')``.

    Returns:
        ``(N, channels, H', W')``.

    Raises:
        ValueError: If there are too few values.
    """
    height, width = output[2:]
    if maps.shape[1:] == (channels, height, width):
        return maps
    count = channels * height * width
    if maps[0].numel() < count:
        _refuse(maps, output, channels)
    return maps.flatten(1)[:, :count].reshape(len(maps), channels, height, width)


def _check_offsets(offset: Tensor, output: torch.Size, channels: int) -> None:
    if offset.shape[1:] != (channels, *output[2:]):
        _refuse(offset, output, channels)


def _refuse(maps: Tensor, output: torch.Size, channels: int) -> None:
    raise ValueError(
        f'a deformable convolution with an output of {tuple(output)} needs maps of '
        f'{(output[0], channels, *output[2:])} for its offsets or masks, got {tuple(maps.shape)}'
    )
