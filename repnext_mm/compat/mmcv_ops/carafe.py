"""Content-aware reassembly of features (CARAFE, arXiv 1905.02188, section 3) in torch."""

from functools import partial

import torch.nn.functional as F
from torch import Tensor

from repnext_mm.compat.mmcv_ops.precision import gradients


def carafe_forward(
    features: Tensor,
    masks: Tensor,
    rfeatures: Tensor,
    routput: Tensor,
    rmasks: Tensor,
    output: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """Reassembly with the signature of mmcv's extension; writes into ``output``.

    Args:
        features: ``(N, C, H, W)``.
        masks: Weights of the pixels around each source pixel,
            ``(N, group_size * kernel_size ** 2, scale_factor * H, scale_factor * W)``.
        rfeatures: Kept for the backward pass: becomes a copy of ``features``.
        routput: Memory for mmcv's own.
        rmasks: Memory for mmcv's own.
        output: ``(N, C, scale_factor * H, scale_factor * W)``.
        kernel_size: Height and width of the neighbourhood, odd.
        group_size: Groups of channels with masks of their own.
        scale_factor: By which height and width grow.
    """
    rfeatures.copy_(features)
    output.copy_(reassembled(features, masks, kernel_size, group_size, scale_factor))


def carafe_backward(
    grad_output: Tensor,
    rfeatures: Tensor,
    masks: Tensor,
    rgrad_output: Tensor,
    rgrad_input_hs: Tensor,
    rgrad_input: Tensor,
    rgrad_masks: Tensor,
    grad_input: Tensor,
    grad_masks: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """The gradients of :func:`carafe_forward`; writes into ``grad_input`` and ``grad_masks``."""
    carafe_naive_backward(
        grad_output,
        rfeatures,
        masks,
        grad_input,
        grad_masks,
        kernel_size,
        group_size,
        scale_factor,
    )


def carafe_naive_forward(
    features: Tensor,
    masks: Tensor,
    output: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """:func:`carafe_forward` without what it keeps."""
    output.copy_(reassembled(features, masks, kernel_size, group_size, scale_factor))


def carafe_naive_backward(
    grad_output: Tensor,
    features: Tensor,
    masks: Tensor,
    grad_input: Tensor,
    grad_masks: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """The gradients of :func:`carafe_naive_forward`; writes into the last two tensors."""
    reassemble = partial(
        reassembled,
        kernel_size=kernel_size,
        group_size=group_size,
        scale_factor=scale_factor,
    )
    found = gradients(reassemble, (features, masks), grad_output)
    grad_input.copy_(found[0])
    grad_masks.copy_(found[1])


def reassembled(
    features: Tensor, masks: Tensor, kernel_size: int, group_size: int, scale_factor: int
) -> Tensor:
    """The sum over the neighbourhood, tap by tap, so that no map is held for each of them."""
    batch, channels, height, width = features.shape
    pad = kernel_size // 2
    padded = F.pad(features, (pad, pad, pad, pad))
    groups = (batch, group_size, channels // group_size)
    cells = (height, scale_factor, width, scale_factor)
    weights = masks.view(batch, group_size, 1, kernel_size**2, *cells)
    total = features.new_zeros(*groups, *cells)
    for tap in range(kernel_size**2):
        row, column = divmod(tap, kernel_size)
        shifted = padded[:, :, row : row + height, column : column + width]
        shifted = shifted.reshape(*groups, height, 1, width, 1)
        total = total + shifted * weights[:, :, :, tap]
    return total.reshape(batch, channels, height * scale_factor, width * scale_factor)
