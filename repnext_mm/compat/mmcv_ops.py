"""mmcv's operators without a compiler.

mmcv installed without compiling has no extension module ``mmcv._ext``, and then
mmdet's two-stage detectors cannot even be imported. They need two operators of
it, NMS and RoIAlign, and torchvision has both for CPU and GPU. A finder at the
end of ``sys.meta_path`` offers a module of that name made from them; it stands
behind Python's own finders, so a compiled extension is always found first.
"""

import importlib.abc
import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType

import torch
from torch import Tensor

from repnext_mm.compat.packages import compile_advice

EXTENSION = 'mmcv._ext'

LARGEST_BOX = 2**24
"""Area of a box on a feature map, in pixels, beyond which torchvision's RoIAlign takes gigabytes or
reads what is not its own."""


def provide_mmcv_ops() -> None:
    """Offers the stand-in for ``mmcv._ext``; imports nothing, and may be called again."""
    if not any(isinstance(finder, _ExtensionFinder) for finder in sys.meta_path):
        sys.meta_path.append(_ExtensionFinder())


class _ExtensionFinder(importlib.abc.MetaPathFinder):
    """Finds ``mmcv._ext`` where nobody else did."""

    def find_spec(self, fullname, path=None, target=None) -> ModuleSpec | None:
        if fullname != EXTENSION:
            return None
        return importlib.util.spec_from_loader(fullname, _ExtensionLoader(), origin='torchvision')


class _ExtensionLoader(importlib.abc.Loader):
    """Makes the stand-in module."""

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        import torchvision  # noqa: F401 (registers torch.ops.torchvision)

        vars(module).update(
            __doc__=__doc__,
            __getattr__=_missing_operator,
            nms=nms,
            roi_align_forward=roi_align_forward,
            roi_align_backward=roi_align_backward,
            get_compiler_version=lambda: 'none (torchvision operators)',
            get_compiling_cuda_version=lambda: 'not available',
        )


def _missing_operator(name: str) -> Callable:
    """Module-level ``__getattr__``: a function that says what is missing when it is called."""
    if name.startswith('__'):
        raise AttributeError(name)

    def missing(*args, **kwargs):
        raise NotImplementedError(
            f'the mmcv operator {name!r} has no stand-in in torchvision. {compile_advice()}'
        )

    return missing


def _at_least_single(*tensors: Tensor) -> list[Tensor]:
    """The tensors in one dtype that torchvision's kernels take: float64, or float32."""
    double = any(tensor.dtype == torch.float64 for tensor in tensors)
    return [tensor.to(torch.float64 if double else torch.float32) for tensor in tensors]


def _channels_first(features: Tensor) -> Tensor:
    """Channels-last maps in torch's usual layout, which torchvision's RoIAlign reads.

    It would convert them too, but by torch's copy between any two layouts: transposing a matrix
    takes half the time.
    """
    if features.is_contiguous() or not features.is_contiguous(memory_format=torch.channels_last):
        return features
    pixels = features.permute(0, 2, 3, 1).flatten(1, 2)
    return torch.stack([image.t().contiguous() for image in pixels]).view(features.shape)


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Greedy non-maximum suppression with the signature of mmcv's extension.

    Args:
        boxes: ``(N, 4)`` as x1, y1, x2, y2, in pixels.
        scores: ``(N,)``.
        iou_threshold: Boxes that overlap a better one by more are dropped.
        offset: 0, or 1 for the old convention of widths ``x2 - x1 + 1``.

    Returns:
        Indices of the kept boxes by falling score, int64.
    """
    if offset not in (0, 1):
        raise ValueError(f'offset must be 0 or 1, got {offset!r}')
    if offset:
        boxes = boxes + boxes.new_tensor([0, 0, 1, 1])
    boxes, scores = _at_least_single(boxes, scores)
    return torch.ops.torchvision.nms(boxes, scores, iou_threshold)


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
    features, boxes = _at_least_single(_channels_first(input), rois)
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
    gradient, boxes = _at_least_single(grad_output, rois)
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
    (rois,) = _at_least_single(rois)
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
