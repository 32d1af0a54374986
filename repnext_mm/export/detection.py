"""Two-stage detectors of mmdet as one traceable module.

mmdet's own ``predict`` cannot be traced: it works on Python objects and decides in Python,
so a trace keeps what was found in the traced image. This module runs mmdet's submodules
(backbone, neck, RPN head, box heads, mask heads) and has its own decoding, RoI pooling and
NMS between them, made of tensor operations only. On the same image it computes what
``predict`` does.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

from repnext_mm.export.inputs import ImageInput

STANDARD, CASCADE = 'StandardRoIHead', 'CascadeRoIHead'
NMS_OPTIONS = {'type', 'iou_threshold', 'class_agnostic', 'split_thr'}
FAR_BOXES = [[-2e6, -2e6, -1e6, -1e6], [-4e6, -4e6, -3e6, -3e6]]
OFFLINE = 'export its backbone and neck with part="backbone-neck", or add what is missing'


class DetectorGraph(nn.Module):
    """One image in, boxes, scores, labels and small masks out.

    Args:
        model: Faster, Mask, Cascade or Cascade Mask R-CNN of mmdet, in evaluation mode.
        image: The first step.

    Raises:
        ValueError: If it has parts that this module does not know.
    """

    dynamic_batch = False

    def __init__(self, model: Any, image: ImageInput):
        super().__init__()
        check_detector(model)
        self.image = image
        self.backbone = model.backbone
        self.neck = model.neck if model.with_neck else nn.Identity()
        self.proposals = ProposalHead(model.rpn_head)
        roi_head = model.roi_head
        cascade = type(roi_head).__name__ == CASCADE
        self.box_stages: Any = nn.ModuleList(
            BoxStage(head, RoIPooling(extractor))
            for head, extractor in (
                zip(roi_head.bbox_head, roi_head.bbox_roi_extractor, strict=True)
                if cascade
                else [(roi_head.bbox_head, roi_head.bbox_roi_extractor)]
            )
        )
        self.mask_stages = nn.ModuleList()
        if roi_head.with_mask:
            heads = roi_head.mask_head if cascade else [roi_head.mask_head]
            extractors = roi_head.mask_roi_extractor
            if not cascade:
                extractors = [extractors]
            self.mask_stages.extend(
                MaskStage(head, RoIPooling(extractor))
                for head, extractor in zip(heads, extractors, strict=True)
            )
        self.score_threshold = float(roi_head.test_cfg.score_thr)
        self.max_per_image = roi_head.test_cfg.max_per_img
        self.nms = roi_head.test_cfg.nms

    @property
    def output_names(self) -> list[str]:
        return ['boxes', 'scores', 'labels', *(['masks'] if self.mask_stages else [])]

    @property
    def dynamic_axes(self) -> dict[str, dict[int, str]]:
        """The first axis of every output is the number of detections."""
        return {name: {0: 'detections'} for name in self.output_names}

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Detects.

        Args:
            images: ``(1, H, W, 3)`` uint8, RGB.

        Returns:
            Boxes ``(K, 4)`` as x1, y1, x2, y2 in pixels, scores ``(K,)``, labels ``(K,)`` int64
            and, if there is a mask head, the probability of the mask in its box ``(K, 28, 28)``.
        """
        height, width = images.shape[1:3]
        zero = torch.zeros(1, device=images.device)
        limits = torch.cat([zero + side for side in (width, height) * 2])
        features = list(self.neck(self.backbone(self.image(images))))
        boxes = self.proposals(features, limits)
        scores = []
        for stage in self.box_stages[:-1]:
            logits, deltas = stage(features, boxes)
            scores.append(logits)
            boxes = stage.refine(boxes, logits, deltas, limits)
        logits, deltas = self.box_stages[-1](features, boxes)
        logits = torch.stack([*scores, logits]).mean(0)
        found = self._select(boxes, logits, deltas, limits)
        if not self.mask_stages:
            return found
        masks = torch.stack([stage(features, found[0], found[2]) for stage in self.mask_stages])
        return (*found, masks.mean(0))

    def _select(
        self, rois: Tensor, logits: Tensor, deltas: Tensor, limits: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The detections among all pairs of RoI and class."""
        probabilities = logits.softmax(-1)[:, :-1]
        roi, label = (probabilities > self.score_threshold).nonzero().unbind(1)
        boxes = self.box_stages[-1].decode(rois[roi], deltas[roi], label, limits)
        scores = probabilities[roi, label]
        keep = batched_nms(boxes, scores, label, self.nms)
        if self.max_per_image > 0:
            keep = keep[: self.max_per_image]
        return boxes[keep], scores[keep], label[keep]


class ProposalHead(nn.Module):
    """mmdet's ``RPNHead`` with its test configuration."""

    def __init__(self, head: Any):
        super().__init__()
        self.head = head
        self.coder = BoxCoder(head.bbox_coder)
        self.nms_pre = head.test_cfg.get('nms_pre', -1)
        self.min_size = head.test_cfg.get('min_bbox_size', -1)
        self.max_per_image = head.test_cfg.max_per_img
        self.nms = head.test_cfg.nms

    def forward(self, features: Sequence[Tensor], limits: Tensor) -> Tensor:
        """Proposes.

        Args:
            features: ``(1, C, H_i, W_i)`` of each level.
            limits: ``(4,)``: width, height, width, height of the image.

        Returns:
            Boxes ``(K, 4)``, the best first.
        """
        maps, delta_maps = self.head(features)
        sizes = [tuple(scores.shape[2:]) for scores in maps]
        priors = self.head.prior_generator.grid_priors(sizes, device=features[0].device)
        boxes, scores, levels = [], [], []
        for number, (scores_map, deltas_map, anchors) in enumerate(
            zip(maps, delta_maps, priors, strict=True)
        ):
            logits = scores_map[0].permute(1, 2, 0).reshape(-1, self.head.cls_out_channels).float()
            deltas = deltas_map[0].permute(1, 2, 0).reshape(-1, 4).float()
            objectness = logits.sigmoid() if self.head.use_sigmoid_cls else logits.softmax(-1)
            ranked, order = objectness[:, 0].sort(descending=True)
            if self.nms_pre > 0:
                # Not top-k, nor a slice: whether there are k anchors depends on the image.
                places = torch.arange(order.shape[0], device=order.device)
                first = (places < self.nms_pre).nonzero().squeeze(1)
                ranked, order = ranked[first], order[first]
            boxes.append(self.coder.decode(anchors[order], deltas[order], limits))
            scores.append(ranked)
            levels.append(torch.full_like(order, number))
        return self._best(torch.cat(boxes), torch.cat(scores), torch.cat(levels))

    def _best(self, boxes: Tensor, scores: Tensor, levels: Tensor) -> Tensor:
        if self.min_size >= 0:
            sides = boxes[:, 2:] - boxes[:, :2]
            large = (sides > self.min_size).all(1).nonzero().squeeze(1)
            boxes, scores, levels = boxes[large], scores[large], levels[large]
        keep = batched_nms(boxes, scores, levels, self.nms)
        return boxes[keep[: self.max_per_image]]


class BoxStage(nn.Module):
    """One of mmdet's box heads with its RoI pooling."""

    def __init__(self, head: Any, pooling: 'RoIPooling'):
        super().__init__()
        self.head = head
        self.pooling = pooling
        self.coder = BoxCoder(head.bbox_coder)

    def forward(self, features: Sequence[Tensor], boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Logits ``(K, classes + 1)`` and deltas ``(K, classes or 1, 4)`` of boxes ``(K, 4)``."""
        logits, deltas = self.head(self.pooling(features, boxes))
        classes = 1 if self.head.reg_class_agnostic else self.head.num_classes
        return logits.float(), deltas.float().reshape(-1, classes, 4)

    def decode(self, rois: Tensor, deltas: Tensor, labels: Tensor, limits: Tensor) -> Tensor:
        """Boxes ``(K, 4)`` of the classes ``labels``."""
        if self.head.reg_class_agnostic:
            chosen = deltas[:, 0]
        else:
            chosen = deltas.gather(1, labels.view(-1, 1, 1).expand(-1, 1, 4)).squeeze(1)
        return self.coder.decode(rois, chosen, limits)

    def refine(self, rois: Tensor, logits: Tensor, deltas: Tensor, limits: Tensor) -> Tensor:
        """The boxes that the next stage of a cascade sees."""
        return self.decode(rois, deltas, logits[:, :-1].argmax(1), limits)


class MaskStage(nn.Module):
    """One of mmdet's mask heads with its RoI pooling."""

    def __init__(self, head: Any, pooling: 'RoIPooling'):
        super().__init__()
        self.head = head
        self.pooling = pooling

    def forward(self, features: Sequence[Tensor], boxes: Tensor, labels: Tensor) -> Tensor:
        """The probability ``(K, 28, 28)`` that a pixel of box k belongs to the object."""
        masks = self.head(self.pooling(features, boxes)).float().sigmoid()
        if self.head.class_agnostic:
            return masks[:, 0]
        height, width = masks.shape[2:]
        index = labels.view(-1, 1, 1, 1).expand(-1, 1, height, width)
        return masks.gather(1, index).squeeze(1)


class RoIPooling(nn.Module):
    """mmdet's ``SingleRoIExtractor`` without a decision in Python."""

    def __init__(self, extractor: Any):
        super().__init__()
        self.strides = list(extractor.featmap_strides)
        self.finest_scale = extractor.finest_scale
        layer = extractor.roi_layers[0]
        self.size = tuple(layer.output_size)
        self.sampling_ratio = layer.sampling_ratio
        self.aligned = layer.aligned

    def forward(self, features: Sequence[Tensor], boxes: Tensor) -> Tensor:
        """Pools each box ``(K, 4)`` from the level of its size: ``(K, C, *size)``."""
        channels, dtype = features[0].shape[1], features[0].dtype
        rois = torch.cat([torch.zeros_like(boxes[:, :1]), boxes], 1)
        sides = boxes[:, 2:] - boxes[:, :2]
        scale = (sides[:, 0] * sides[:, 1]).sqrt()
        levels = torch.floor(torch.log2(scale / self.finest_scale + 1e-6))
        levels = levels.clamp(0, len(self.strides) - 1).long()
        pooled = boxes.new_zeros((boxes.shape[0], channels, *self.size))
        for level, stride in enumerate(self.strides):
            chosen = (levels == level).nonzero().squeeze(1)
            part = roi_align(
                features[level].float(),
                rois[chosen],
                self.size,
                1 / stride,
                self.sampling_ratio,
                self.aligned,
            )
            pooled = pooled.index_put((chosen,), part)
        return pooled.to(dtype)


class BoxCoder:
    """mmdet's ``DeltaXYWHBBoxCoder``, clipping to a limit that is a tensor.

    Source: R-CNN, arXiv 1311.2524, appendix C.
    """

    def __init__(self, coder: Any):
        self.means = list(coder.means)
        self.stds = list(coder.stds)
        self.clip_border = coder.clip_border

    def decode(self, boxes: Tensor, deltas: Tensor, limits: Tensor) -> Tensor:
        """Moves boxes ``(K, 4)`` by deltas ``(K, 4)``, inside ``limits`` (w, h, w, h)."""
        deltas = deltas * deltas.new_tensor(self.stds) + deltas.new_tensor(self.means)
        centre = (boxes[:, :2] + boxes[:, 2:]) * 0.5
        sides = boxes[:, 2:] - boxes[:, :2]
        largest = abs(math.log(16 / 1000))
        centre = centre + sides * deltas[:, :2]
        half = sides * deltas[:, 2:].clamp(-largest, largest).exp() * 0.5
        moved = torch.cat([centre - half, centre + half], 1)
        if not self.clip_border:
            return moved
        return torch.minimum(moved.clamp(min=0), limits.to(moved))


def batched_nms(boxes: Tensor, scores: Tensor, groups: Tensor, cfg: Any) -> Tensor:
    """Greedy NMS inside each group; the kept indices by falling score.

    ``torchvision.ops.batched_nms`` decides in Python by the number of boxes. Here two boxes
    far from all others join them, with scores that no probability has: ``torch.export`` takes
    for granted that NMS keeps two, and the maximum of no boxes at all does not exist. They
    come first, and are left out.
    """
    if not cfg.get('class_agnostic', False):
        largest = torch.cat([boxes.flatten(), boxes.new_zeros(1)]).max()
        boxes = boxes + (groups.to(boxes) * (largest + 1)).unsqueeze(1)
    boxes = torch.cat([boxes, boxes.new_tensor(FAR_BOXES)])
    scores = torch.cat([scores, scores.new_tensor([3.0, 2.0])])
    return torch.ops.torchvision.nms(boxes, scores, cfg['iou_threshold'])[2:]


def check_detector(model: Any) -> None:
    """Makes sure that every part of a detector is one that :class:`DetectorGraph` knows.

    Raises:
        ValueError: The message names the part and what would do.
    """
    roi_head: Any = getattr(model, 'roi_head', None)
    kind = type(roi_head).__name__
    rpn: Any = getattr(model, 'rpn_head', None)
    _require(roi_head is not None, f'{type(model).__name__} without a roi_head')
    _require(kind in (STANDARD, CASCADE), f'{kind}, other than {STANDARD} and {CASCADE}')
    _require(type(rpn).__name__ == 'RPNHead', f'a proposal head {type(rpn).__name__}')
    _require(not getattr(roi_head, 'with_shared_head', False), 'a shared head')
    _require(roi_head.with_bbox, 'a roi_head without boxes')
    parts = list(model.modules())
    extractors = [m for m in parts if type(m).__name__.endswith('RoIExtractor')]
    for extractor in extractors:
        _require(type(extractor).__name__ == 'SingleRoIExtractor', type(extractor).__name__)
        layer = extractor.roi_layers[0]
        _require(
            type(layer).__name__ == 'RoIAlign' and layer.pool_mode == 'avg', f'pooling with {layer}'
        )
    heads = [rpn, *(m for m in parts if hasattr(m, 'bbox_coder') and m is not rpn)]
    for head in heads:
        coder = head.bbox_coder
        _require(type(coder).__name__ == 'DeltaXYWHBBoxCoder', f'boxes of {type(coder).__name__}')
        _require(not coder.add_ctr_clamp, 'a box coder with add_ctr_clamp')
        _require(not getattr(head, 'custom_cls_channels', False), 'a custom activation of classes')
    for cfg in (rpn.test_cfg.nms, roi_head.test_cfg.nms):
        unknown = set(cfg) - NMS_OPTIONS
        _require(cfg.get('type') == 'nms' and not unknown, f'the NMS {dict(cfg)}')


def _require(condition: bool, found: str) -> None:
    if not condition:
        raise ValueError(f'detectors with {found} cannot be exported whole: {OFFLINE}')
