"""Non-maximum suppression: torchvision's, the soft one, and the groups of what suppresses what."""

import torch
from torch import Tensor

from repnext_mm.compat.mmcv_ops.precision import at_least_single

NAIVE, LINEAR, GAUSSIAN = range(3)
"""Methods of :func:`softnms`, as mmcv numbers them."""


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
    boxes, scores = at_least_single(boxes, scores)
    return torch.ops.torchvision.nms(boxes, scores, iou_threshold)


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Soft-NMS (arXiv 1704.04503) with the signature of mmcv's extension; writes into ``dets``.

    Args:
        boxes: ``(N, 4)`` as x1, y1, x2, y2, in pixels.
        scores: ``(N,)``.
        dets: ``(N, 5)``: its first rows become the kept boxes and their lowered scores.
        iou_threshold: Boxes that overlap a better one by so much or more lose score; not with the
            Gaussian method, where all do.
        sigma: Of the Gaussian method: scores are multiplied by ``exp(-iou ** 2 / sigma)``.
        min_score: Boxes with a lower score are dropped, after the first box is taken.
        method: 0 drops the score to 0, 1 multiplies it by ``1 - iou``, 2 is the Gaussian one.
        offset: As for :func:`nms`.

    Returns:
        Indices of the kept boxes in the order in which they were taken, int64.
    """
    left = torch.arange(len(boxes), device=boxes.device)
    scores, kept = scores.clone(), list[Tensor]()
    while len(left):
        best = left[scores[left].argmax()]
        dets[len(kept), :4], dets[len(kept), 4] = boxes[best], scores[best]
        kept.append(best)
        left = left[left != best]
        iou = _overlaps(boxes[best], boxes[left], offset)
        if method == GAUSSIAN:
            factor = (-iou.square() / sigma).exp()
        else:
            lowered = 1 - iou if method == LINEAR else torch.zeros_like(iou)
            factor = torch.where(iou >= iou_threshold, lowered, 1)
        scores[left] *= factor
        left = left[scores[left] >= min_score]
    return torch.stack(kept) if kept else left


def nms_match(dets: Tensor, iou_threshold: float) -> list[list[int]]:
    """For each box that NMS keeps, the boxes that it suppresses, as mmcv's extension gives them.

    Args:
        dets: ``(N, 5)`` as x1, y1, x2, y2, score.
        iou_threshold: Boxes that overlap a better one by so much or more belong to it.

    Returns:
        Indices by groups, the kept box first, then the others by falling score.
    """
    left = dets[:, 4].argsort(descending=True, stable=True)
    groups = []
    while len(left):
        best = left[0]
        belongs = _overlaps(dets[best, :4], dets[left, :4], 0) >= iou_threshold
        belongs[0] = True
        groups.append(left[belongs].tolist())
        left = left[~belongs]
    return groups


def _overlaps(box: Tensor, boxes: Tensor, offset: int) -> Tensor:
    """Intersection over union of one box, ``(4,)``, with others, ``(N, 4)``: ``(N,)``."""
    low, high = torch.maximum(box[:2], boxes[:, :2]), torch.minimum(box[2:], boxes[:, 2:])
    shared = (high - low + offset).clamp(min=0).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2] + offset).prod(1)
    return shared / ((box[2:] - box[:2] + offset).prod() + areas - shared)
