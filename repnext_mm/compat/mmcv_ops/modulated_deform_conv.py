"""Modulated deformable convolution (arXiv 1811.11168): torchvision's."""

import torch
from torch import Tensor

from repnext_mm.compat.mmcv_ops.deformable import Geometry, backward, convolve, refuse_maps


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
        convolve(
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
    found = backward(
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
        refuse_maps(maps, output, channels)
    return maps.flatten(1)[:, :count].reshape(len(maps), channels, height, width)
