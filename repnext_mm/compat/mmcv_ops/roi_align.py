"""RoIAlign: torchvision's, for boxes that it can read."""

import torch
from torch import Tensor

from repnext_mm.compat.mmcv_ops.precision import at_least_single
from repnext_mm.compat.packages import compile_advice

LARGEST_BOX = 2**24
"""Area of a box on a feature map, in pixels, beyond which torchvision's RoIAlign takes gigabytes or
reads what is not its own."""


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """RoIAlign with the signature of mmcv's extension; writes into ``output``.

    Args:
        input: ``(N, C, H, W)``.
        rois: ``(K, 5)``: batch index, x1, y1, x2, y2 in pixels of the image.
        output: ``(K, C, aligned_height, aligned_width)``.
        argmax_y: Only for max pooling.
        argmax_x: Only for max pooling.
        aligned_height: Bins from top to bottom.
        aligned_width: Bins from left to right.
        spatial_scale: Pixels of ``input`` per pixel of the image.
        sampling_ratio: Samples per bin and axis; 0 for as many as pixels.
        pool_mode: 1 for the average; 0 for the maximum, which torchvision lacks.
        aligned: Shift by half a pixel, so that pixel centres lie at .5.

    Raises:
        ValueError: If a box is not finite, far too large, or of no image of the batch.
    """
    _refuse_max_pooling(pool_mode)
    _check_boxes(rois, len(input), spatial_scale)
    features, boxes = at_least_single(_channels_first(input), rois)
    bins = (aligned_height, aligned_width)
    output.copy_(
        torch.ops.torchvision.roi_align(
            features, boxes, spatial_scale, *bins, sampling_ratio, aligned
        )
    )


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """The gradient of :func:`roi_align_forward`; writes into ``grad_input``, ``(N, C, H, W)``."""
    _refuse_max_pooling(pool_mode)
    _check_boxes(rois, len(grad_input), spatial_scale)
    gradient, boxes = at_least_single(grad_output, rois)
    bins = (aligned_height, aligned_width)
    grad_input.copy_(
        torch.ops.torchvision._roi_align_backward(
            gradient, boxes, spatial_scale, *bins, *grad_input.shape, sampling_ratio, aligned
        )
    )


def _check_boxes(rois: Tensor, images: int, spatial_scale: float) -> None:
    """Refuses boxes with which torchvision's RoIAlign reads memory that is not its own.

    Raises:
        ValueError: The message names the first one, and its image in the batch.
    """
    recorded = torch.jit.is_tracing() or torch.compiler.is_compiling()
    if recorded or (rois.is_cuda and torch.cuda.is_current_stream_capturing()):
        return
    (rois,) = at_least_single(rois)
    sides = ((rois[:, 3:] - rois[:, 1:3]) * spatial_scale).abs().clamp(min=1)
    outside = (rois[:, 0] < 0) | (rois[:, 0] >= images)
    wrong = ~rois.isfinite().all(1) | ~(sides.prod(1) <= LARGEST_BOX) | outside
    if not wrong.any():
        return
    row = int(wrong.nonzero()[0])
    image, *corners = rois[row].tolist()
    raise ValueError(
        f'box {row} of {len(rois)}, in image {image:g} of a batch of {images}, cannot be pooled: '
        f'its corners x1, y1, x2, y2 are {corners}. Either an annotation of that image has such a '
        'box, or the training has diverged'
    )


def _refuse_max_pooling(pool_mode: int) -> None:
    if pool_mode != 1:
        raise NotImplementedError(
            "torchvision's RoIAlign averages: use pool_mode='avg'; pool_mode='max' needs compiled "
            f'operators. {compile_advice()}'
        )


def _channels_first(features: Tensor) -> Tensor:
    """Channels-last maps in torch's usual layout, which torchvision's RoIAlign reads.

    It would convert them too, but by torch's copy between any two layouts: transposing a matrix
    takes half the time.
    """
    if features.is_contiguous() or not features.is_contiguous(memory_format=torch.channels_last):
        return features
    pixels = features.permute(0, 2, 3, 1).flatten(1, 2)
    return torch.stack([image.t().contiguous() for image in pixels]).view(features.shape)
