"""Convolution at some pixels alone: gathering their neighbourhoods, and putting results back."""

import torch
import torch.nn.functional as F
from torch import Tensor


def masked_im2col_forward(
    features: Tensor,
    mask_h_idx: Tensor,
    mask_w_idx: Tensor,
    data_col: Tensor,
    kernel_h: int,
    kernel_w: int,
    pad_h: int,
    pad_w: int,
) -> None:
    """Neighbourhoods with the signature of mmcv's extension; writes into ``data_col``.

    Args:
        features: ``(1, C, H, W)``.
        mask_h_idx: Rows of the pixels, ``(K,)``.
        mask_w_idx: Columns of the pixels, ``(K,)``.
        data_col: ``(C * kernel_h * kernel_w, K)``.
        kernel_h: Height of a neighbourhood.
        kernel_w: Width of a neighbourhood.
        pad_h: Rows of it that lie above the pixel; beyond the border are zeros.
        pad_w: Columns of it that lie left of the pixel.
    """
    padded = F.pad(features[0], (pad_w, kernel_w, pad_h, kernel_h))
    rows = mask_h_idx[None, :] + torch.arange(kernel_h, device=features.device)[:, None]
    columns = mask_w_idx[None, :] + torch.arange(kernel_w, device=features.device)[:, None]
    data_col.copy_(padded[:, rows[:, None], columns[None]].reshape(data_col.shape))


def masked_col2im_forward(
    col: Tensor,
    mask_h_idx: Tensor,
    mask_w_idx: Tensor,
    im: Tensor,
    height: int,
    width: int,
    channels: int,
) -> None:
    """Puts ``(C, K)`` values at K pixels of ``im``, ``(1, C, height, width)``."""
    im[0, :, mask_h_idx, mask_w_idx] = col
