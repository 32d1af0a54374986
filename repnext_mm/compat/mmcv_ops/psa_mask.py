"""The masks of PSANet (Point-wise Spatial Attention, ECCV 2018, section 3) in torch."""

import torch
from torch import Tensor

COLLECT, DISTRIBUTE = range(2)
"""Kinds of attention, as mmcv numbers them."""


def psamask_forward(
    input: Tensor,
    output: Tensor,
    psa_type: int,
    num_: int,
    h_feature: int,
    w_feature: int,
    h_mask: int,
    w_mask: int,
    half_h_mask: int,
    half_w_mask: int,
) -> None:
    """Attention between all pixels of that around each, as mmcv's extension; writes into ``output``.

    Args:
        input: Weights around each pixel, ``(N, h_mask * w_mask, H, W)``.
        output: ``(N, H * W, H, W)``: for each pixel of the last two axes the weights of all pixels that it
            collects from, or, with :data:`DISTRIBUTE`, of all that distribute to it.
        psa_type: :data:`COLLECT` or :data:`DISTRIBUTE`.
        num_: N.
        h_feature: H.
        w_feature: W.
        h_mask: Height of the surroundings.
        w_mask: Width of the surroundings.
        half_h_mask: Rows of them above the pixel.
        half_w_mask: Columns of them left of the pixel.
    """
    output.copy_(attention(input, psa_type, (h_mask, w_mask), (half_h_mask, half_w_mask)))


def attention(
    weights: Tensor, psa_type: int, mask_size: tuple[int, int], half: tuple[int, int]
) -> Tensor:
    """The ``output`` ``(N, H * W, H, W)`` of :func:`psamask_forward`, by operations that a trace can follow.

    Args:
        weights: Around each pixel, ``(N, h_mask * w_mask, H, W)``.
        psa_type: :data:`COLLECT` or :data:`DISTRIBUTE`.
        mask_size: Height and width of the surroundings.
        half: Rows of them above the pixel and columns left of it.
    """
    number, (height, width) = weights.shape[0], weights.shape[2:]
    index, inside = _surroundings(weights, *mask_size, *half)
    collected = weights.flatten(2).gather(1, index.expand(number, -1, -1)) * inside
    if psa_type == DISTRIBUTE:
        collected = collected.transpose(1, 2)
    return collected.reshape(number, height * width, height, width)


def psamask_backward(
    grad_output: Tensor,
    grad_input: Tensor,
    psa_type: int,
    num_: int,
    h_feature: int,
    w_feature: int,
    h_mask: int,
    w_mask: int,
    half_h_mask: int,
    half_w_mask: int,
) -> None:
    """The gradient of :func:`psamask_forward`; writes into ``grad_input``."""
    index, inside = _surroundings(grad_input, h_mask, w_mask, half_h_mask, half_w_mask)
    gradient = grad_output.flatten(2)
    if psa_type == DISTRIBUTE:
        gradient = gradient.transpose(1, 2)
    summed = torch.zeros_like(grad_input.flatten(2))
    summed.scatter_add_(1, index.expand(num_, -1, -1), gradient * inside)
    grad_input.copy_(summed.view(grad_input.shape))


def _surroundings(
    maps: Tensor, h_mask: int, w_mask: int, half_h: int, half_w: int
) -> tuple[Tensor, Tensor]:
    """Where each pixel lies in the surroundings of each other one, and whether it does.

    Args:
        maps: ``(N, C, H, W)``, for size and device.
        h_mask: Height of the surroundings.
        w_mask: Width of the surroundings.
        half_h: Rows of them above the pixel.
        half_w: Columns of them left of the pixel.

    Returns:
        Two tensors ``(H * W, H * W)``; the second axis is the pixel in the middle.
    """
    height, width = maps.shape[2:]
    sides = (torch.arange(side, device=maps.device) for side in (height, width))
    y, x = (grid.flatten() for grid in torch.meshgrid(*sides, indexing='ij'))
    rows = y[:, None] - y[None] + half_h
    columns = x[:, None] - x[None] + half_w
    inside = (rows >= 0) & (rows < h_mask) & (columns >= 0) & (columns < w_mask)
    return (rows * w_mask + columns) * inside, inside
