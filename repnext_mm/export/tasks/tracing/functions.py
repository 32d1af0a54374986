"""Other bodies for functions of mmdet that no trace can follow; they compute the same."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.modules.utils import _pair
from torchvision.ops import box_iou

from repnext_mm.compat.mmcv_ops.carafe import reassembled
from repnext_mm.compat.mmcv_ops.psa_mask import attention
from repnext_mm.export.tasks import boxes as tensor_boxes
from repnext_mm.export.tasks.detection import check_nms
from repnext_mm.export.tasks.ranking import best_first
from repnext_mm.export.tasks.tracing import deformable


def filter_scores_and_topk(
    scores: Tensor, score_thr: float, topk: int, results: Any = None
) -> tuple[Tensor, Tensor, Tensor, Any]:
    """The best ``topk`` pairs of prior and class: scores ``(K,)``, labels, priors' indices, results.

    Args:
        scores: ``(P, C)`` of each prior and class.
        score_thr: What is not above it is left out.
        topk: How many are kept.
        results: More tensors ``(P, ...)``, alone, or in a list or dict; chosen likewise.
    """
    prior, label = (scores > score_thr).nonzero().unbind(1)
    best, order = best_first(scores[prior, label], topk)
    if topk < 0:  # mmdet takes it for the end of a slice
        best, order = best[:topk], order[:topk]
    prior, label = prior[order], label[order]
    if isinstance(results, Mapping):
        results = {name: value[prior] for name, value in results.items()}
    elif isinstance(results, list):
        results = [value[prior] for value in results]
    elif results is not None:
        results = results[prior]
    return best, label, prior, results


def nms_of_classes(
    boxes: Tensor, scores: Tensor, idxs: Tensor, nms_cfg: Any, class_agnostic: bool = False
) -> tuple[Tensor, Tensor]:
    """mmcv's NMS inside each class: boxes with scores ``(K, 5)``, and the kept indices ``(K,)``.

    Raises:
        ValueError: If it is not plain NMS.
    """
    if nms_cfg is None:
        best, order = scores.sort(descending=True)
        return torch.cat([boxes[order], best[:, None]], 1), order
    cfg = dict(nms_cfg)
    check_nms(cfg)
    if class_agnostic:
        cfg['class_agnostic'] = True
    keep = tensor_boxes.batched_nms(boxes, scores, idxs, cfg)
    keep = keep[: cfg.get('max_num')]
    return torch.cat([boxes[keep], scores[keep, None]], 1), keep


def mask_matrix_nms(
    masks: Tensor,
    labels: Tensor,
    scores: Tensor,
    filter_thr: float = -1,
    nms_pre: int = -1,
    max_num: int = -1,
    kernel: str = 'gaussian',
    sigma: float = 2.0,
    mask_area: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Matrix NMS: scores ``(K,)``, labels, masks ``(K, H, W)`` and the kept indices.

    Each mask's score falls by its overlap with better masks of its class, the more the less those
    overlap with still better ones.

    Source: SOLOv2, arXiv 2003.10152, section 3.4.
    """
    area = masks.sum((1, 2)).float() if mask_area is None else mask_area
    scores, order = scores.sort(descending=True)
    if nms_pre > 0:
        scores, order = scores[:nms_pre], order[:nms_pre]
    flat, label, area = masks[order].flatten(1).float(), labels[order], area[order]
    common = flat @ flat.t()
    overlaps = common / (area[:, None] + area[None] - common)
    places = torch.arange(order.shape[0], device=order.device)
    counted = (label[:, None] == label[None]) & (places[:, None] < places[None])
    overlaps = overlaps * counted
    # A row of zeros, so that no objects at all have a maximum.
    largest = torch.cat([overlaps, overlaps.new_zeros(1, 1).expand(1, order.shape[0])]).amax(0)
    if kernel == 'linear':
        decay = (1 - overlaps) / (1 - largest[:, None])
    else:
        decay = torch.exp(-sigma * (overlaps**2 - largest[:, None] ** 2))
    decay = torch.cat([decay, decay.new_ones(1, 1).expand(1, order.shape[0]) * 2]).amin(0)
    scores = scores * decay
    if filter_thr > 0:
        kept = (scores >= filter_thr).nonzero()[:, 0]
        scores, order = scores[kept], order[kept]
    scores, again = scores.sort(descending=True)
    order = order[again]
    if max_num > 0:
        scores, order = scores[:max_num], order[:max_num]
    return scores, labels[order], masks[order], order


def mask2bbox(masks: Tensor) -> Tensor:
    """The boxes ``(K, 4)`` round masks ``(K, H, W)``; zeros round an empty one."""
    sides = []
    for axis in (1, 2):  # columns, then rows
        inside = masks.bool().float().amax(axis)
        places = torch.arange(inside.shape[1], device=masks.device)
        last = (inside * (places + 1)).amax(1)
        count = inside.shape[1]
        first = count - (inside * (count - places)).amax(1)
        sides.append((first * inside.amax(1), last))
    (left, right), (top, bottom) = sides
    return torch.stack([left, top, right, bottom], 1).float()


def small_masks(
    self: Any,
    mask_preds: Tensor,
    bboxes: Tensor,
    labels: Tensor,
    img_meta: Any,
    rcnn_test_cfg: Any,
    rescale: bool = False,
    activate_map: bool = False,
) -> Tensor:
    """The probabilities ``(K, h, w)`` of masks inside their boxes, of ``FCNMaskHead``.

    mmdet pastes them into the image here; that is left to the reader of the file.
    """
    masks = mask_preds if activate_map else mask_preds.sigmoid()
    if self.class_agnostic:
        return masks[:, 0]
    index = labels.view(-1, 1, 1, 1).expand(-1, 1, *masks.shape[2:])
    return masks.gather(1, index)[:, 0]


def score_voting(
    self: Any,
    det_bboxes: Tensor,
    det_labels: Tensor,
    mlvl_bboxes: Tensor,
    mlvl_nms_scores: Tensor,
    score_thr: float,
) -> tuple[Tensor, Tensor]:
    """Each box becomes the mean of the candidates of its class that it overlaps, weighed by both.

    Args:
        self: mmdet's ``PAAHead``.
        det_bboxes: ``(D, 5)``, boxes with scores, after NMS.
        det_labels: ``(D,)``.
        mlvl_bboxes: ``(P, 4)``, before NMS.
        mlvl_nms_scores: ``(P, C + 1)``.
        score_thr: Candidates are above it.

    Source: PAA, arXiv 2007.08103, section 3.4.
    """
    prior, label = (mlvl_nms_scores > score_thr).nonzero().unbind(1)
    candidates, scores = mlvl_bboxes[prior], mlvl_nms_scores[prior, label]
    overlaps = box_iou(det_bboxes[:, :4], candidates)
    votes = (overlaps > 0.01) & (det_labels[:, None] == label[None])
    weights = votes * torch.exp(-((1 - overlaps) ** 2) / 0.025) * scores[None]
    voted = weights @ candidates / weights.sum(1, keepdim=True)
    return torch.cat([voted, det_bboxes[:, 4:]], 1), det_labels


def prototype_masks(
    self: Any,
    mask_preds: Tensor,
    bboxes: Tensor,
    img_meta: Any,
    rescale: bool,
    cfg: Any = None,
) -> Tensor:
    """The masks ``(K, H, W)`` of a ``YOLACTProtonet``, whose sizes mmdet computes in NumPy.

    Args:
        self: mmdet's module.
        mask_preds: ``(K, h, w)``, cropped to their boxes.
        bboxes: Unused.
        img_meta: Of the image, which has its original size.
        rescale: Unused, for that size is the image's.
        cfg: With ``mask_thr``; None for that of the module.
    """
    cfg = self.test_cfg if cfg is None else cfg
    size = tuple(img_meta['ori_shape'])
    return F.interpolate(mask_preds[None], size, mode='bilinear')[0] > cfg.mask_thr


def psa_mask(input: Tensor, psa_type: int, mask_size: Any) -> Tensor:
    """mmcv's masks of PSANet ``(N, H * W, H, W)``, with its arguments."""
    height, width = _pair(mask_size)
    return attention(input, psa_type, (height, width), ((height - 1) // 2, (width - 1) // 2))


def masked_conv2d(
    features: Tensor, mask: Tensor, weight: Tensor, bias: Tensor, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """mmcv's convolution ``(1, C, H, W)`` where a mask ``(1, H, W)`` is above 0, and 0 elsewhere."""
    return F.conv2d(features, weight, bias, stride, padding) * (mask > 0)[:, None]


OTHER_FUNCTIONS: dict[str, Callable] = {
    'mmdet.models.utils.misc:filter_scores_and_topk': filter_scores_and_topk,
    'mmdet.models.layers.matrix_nms:mask_matrix_nms': mask_matrix_nms,
    'mmdet.structures.mask.utils:mask2bbox': mask2bbox,
    'mmcv.ops.nms:batched_nms': nms_of_classes,
    'mmcv.ops.psa_mask:psa_mask': psa_mask,
    'mmcv.ops.carafe:carafe': reassembled,
    'mmcv.ops.masked_conv:masked_conv2d': masked_conv2d,
    'mmcv.ops.deform_conv:deform_conv2d': deformable.deform_conv2d,
    'mmcv.ops.modulated_deform_conv:modulated_deform_conv2d': deformable.modulated_deform_conv2d,
}
"""By where mmdet and mmcv define them."""

OTHER_METHODS: dict[str, Callable] = {
    'mmdet.models.roi_heads.mask_heads.fcn_mask_head:FCNMaskHead._predict_by_feat_single': small_masks,
    'mmdet.models.dense_heads.yolact_head:YOLACTProtonet._predict_by_feat_single': prototype_masks,
    'mmdet.models.dense_heads.paa_head:PAAHead.score_voting': score_voting,
}
"""Likewise of classes."""


@contextmanager
def replaced_functions() -> Iterator[None]:
    """Puts the functions of this file wherever a module of the mm packages has the original."""
    with ExitStack() as stack:
        for place, body in OTHER_FUNCTIONS.items():
            home, name = place.split(':')
            original = getattr(sys.modules.get(home), name, None)
            for module in _modules_with(name, original) if original else ():
                stack.enter_context(patch.object(module, name, body))
        for place, body in OTHER_METHODS.items():
            home, path = place.split(':')
            owner, method = path.split('.')
            if home in sys.modules:
                stack.enter_context(patch.object(getattr(sys.modules[home], owner), method, body))
        yield


def _modules_with(name: str, original: Any) -> list[Any]:
    """Modules of any package that have imported the function by its name."""
    modules = list(sys.modules.values())
    return [module for module in modules if getattr(module, '__dict__', {}).get(name) is original]
