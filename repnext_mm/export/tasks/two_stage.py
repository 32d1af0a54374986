"""Two-stage detectors of mmdet as one traceable module.

mmdet's own ``predict`` cannot be traced: it works on Python objects and decides in Python,
so a trace keeps what was found in the traced image. This module runs mmdet's submodules
(backbone, neck, RPN head, box heads, mask heads) and has its own decoding, RoI pooling and
NMS between them, made of tensor operations only. On the same image it computes what
``predict`` does.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from repnext_mm.export.image_input import ImageInput
from repnext_mm.export.options import DYNAMIC, ExportOptions
from repnext_mm.export.tasks.base import ExportGraph
from repnext_mm.export.tasks.batches import (
    axes_of_rows,
    best_after_nms,
    first_of_each,
    image_of_each,
)
from repnext_mm.export.tasks.boxes import DeltaBoxCoder, RoIPooling, batched_nms, regions, rows
from repnext_mm.export.tasks.detection import DetectionTask, check_nms, decides, known, require_part
from repnext_mm.export.tasks.ranking import best_first
from repnext_mm.runtime.detector import COUNTS

STANDARD, CASCADE = 'StandardRoIHead', 'CascadeRoIHead'


class TwoStageTask(DetectionTask):
    """Faster, Mask, Cascade and Cascade Mask R-CNN."""

    parts = ('backbone', 'neck', 'rpn_head', 'roi_head')

    def accepts(self, model: nn.Module) -> bool:
        whole = hasattr(model, 'backbone') and hasattr(model, 'roi_head')
        return whole and not decides(model) and known(check_two_stage, model)

    def graph(self, model: nn.Module, image: ImageInput, options: ExportOptions) -> ExportGraph:
        return TwoStageGraph(model, image, options)


class TwoStageGraph(nn.Module):
    """Images in, boxes, scores, labels and small masks out.

    Args:
        model: Faster, Mask, Cascade or Cascade Mask R-CNN of mmdet, in evaluation mode.
        image: The first step.
        options: Of the export.

    Raises:
        ValueError: If it has parts that this module does not know.
    """

    def __init__(self, model: Any, image: ImageInput, options: ExportOptions):
        super().__init__()
        check_two_stage(model)
        self.dynamic_batch = options.batch == DYNAMIC
        self.several = options.batch not in (None, 1)
        self.image = image
        self.backbone = model.backbone
        self.neck = model.neck if model.with_neck else nn.Identity()
        self.proposals = ProposalHead(model.rpn_head, options.static, self.several)
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
        self.mask_threshold = roi_head.test_cfg.get('mask_thr_binary') if self.mask_stages else None

    @property
    def output_names(self) -> list[str]:
        masks, counts = bool(self.mask_stages), self.several
        return ['boxes', 'scores', 'labels', *['masks'] * masks, *[COUNTS] * counts]

    @property
    def dynamic_axes(self) -> dict[str, dict[int, str]]:
        """Those of :func:`~repnext_mm.export.tasks.batches.axes_of_rows`."""
        return axes_of_rows(self.output_names, self.dynamic_batch)

    static_axes = dynamic_axes

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Detects.

        Args:
            images: ``(N, H, W, 3)`` uint8, RGB.

        Returns:
            Of one image after the other boxes ``(K, 4)`` as x1, y1, x2, y2 in pixels, scores
            ``(K,)``, labels ``(K,)`` int64 and, if there is a mask head, the probability of the
            mask in its box ``(K, 28, 28)``; for several the counts ``(N,)`` int64.
        """
        height, width = self.image.size(images)
        zero = torch.zeros(1, device=images.device)
        limits = torch.cat([zero + side for side in (width, height) * 2])
        features = list(self.neck(self.backbone(self.image(images))))
        rois = self.proposals(features, limits)
        scores = []
        for stage in self.box_stages[:-1]:
            logits, deltas = stage(features, rois)
            scores.append(logits)
            rois = stage.refine(rois, logits, deltas, limits)
        logits, deltas = self.box_stages[-1](features, rois)
        logits = torch.stack([*scores, logits]).mean(0)
        boxes, found_scores, labels, *counts = self._select(
            rois, logits, deltas, limits, images[:, 0, 0, 0]
        )
        if not self.mask_stages:
            return (boxes, found_scores, labels, *counts)
        of = image_of_each(counts[0]) if counts else None
        found = regions(boxes, of)
        masks = torch.stack([stage(features, found, labels) for stage in self.mask_stages])
        return (boxes, found_scores, labels, masks.mean(0), *counts)

    def _select(
        self, rois: Tensor, logits: Tensor, deltas: Tensor, limits: Tensor, count: Tensor
    ) -> tuple[Tensor, ...]:
        """The detections among all pairs of RoI and class."""
        probabilities = logits.softmax(-1)[:, :-1]
        roi, label = (probabilities > self.score_threshold).nonzero().unbind(1)
        boxes = self.box_stages[-1].decode(rois[roi, 1:], deltas[roi], label, limits)
        found = (boxes, probabilities[roi, label], label)
        image = rois[roi, 0].long()
        return best_after_nms(found, image, self.nms, self.max_per_image, count, self.several)


class ProposalHead(nn.Module):
    """mmdet's ``RPNHead`` with its test configuration.

    Args:
        head: The head.
        static: All images have the size of the traced one.
        several: There may be more than one image.
    """

    def __init__(self, head: Any, static: bool, several: bool = False):
        super().__init__()
        self.head = head
        self.static = static
        self.several = several
        self.coder = DeltaBoxCoder(head.bbox_coder)
        self.nms_pre = head.test_cfg.get('nms_pre', -1)
        self.min_size = head.test_cfg.get('min_bbox_size', -1)
        self.max_per_image = head.test_cfg.max_per_img
        self.nms = head.test_cfg.nms

    def forward(self, features: Sequence[Tensor], limits: Tensor) -> Tensor:
        """Proposes.

        Args:
            features: ``(N, C, H_i, W_i)`` of each level.
            limits: ``(4,)``: width, height, width, height of the images.

        Returns:
            Regions ``(K, 5)``, the number of the image and a box, the best first.
        """
        maps, delta_maps = self.head(features)
        sizes = [tuple(scores.shape[2:]) for scores in maps]
        priors = self.head.prior_generator.grid_priors(sizes, device=features[0].device)
        levels = []
        for number, (scores_map, deltas_map, anchors) in enumerate(
            zip(maps, delta_maps, priors, strict=True)
        ):
            logits = rows(scores_map, self.head.cls_out_channels)
            objectness = (logits.sigmoid() if self.head.use_sigmoid_cls else logits.softmax(-1))[
                ..., 0
            ]
            image, order = self._best_before_nms(objectness)
            deltas = rows(deltas_map, 4)[image, order]
            boxes = self.coder.decode(anchors[order], deltas, limits)
            level = torch.full_like(order, number)
            levels.append((boxes, objectness[image, order], level, image))
        found, scores, level, image = (torch.cat(parts) for parts in zip(*levels, strict=True))
        return self._best(found, scores, level, image, features[0][:, 0, 0, 0])

    def _best_before_nms(self, objectness: Tensor) -> tuple[Tensor, Tensor]:
        """Images ``(K,)`` and places ``(K,)`` of the best of scores ``(N, A)``."""
        if not self.several:
            order = best_first(objectness[0], self.nms_pre, self.static)[1]
            return torch.zeros_like(order), order
        order = objectness.sort(dim=1, descending=True)[1]
        if self.nms_pre > 0:
            order = order[:, : self.nms_pre]
        images = torch.arange(order.shape[0], device=order.device)
        return images.unsqueeze(1).expand_as(order).flatten(), order.flatten()

    def _best(
        self, boxes: Tensor, scores: Tensor, levels: Tensor, images: Tensor, count: Tensor
    ) -> Tensor:
        if self.min_size >= 0:
            sides = boxes[:, 2:] - boxes[:, :2]
            large = (sides > self.min_size).all(1).nonzero()[:, 0]
            boxes, scores, levels = boxes[large], scores[large], levels[large]
            images = images[large]
        if not self.several:
            keep = batched_nms(boxes, scores, levels, self.nms)[: self.max_per_image]
            return regions(boxes[keep])
        keep = batched_nms(boxes, scores, levels, self.nms, images)
        keep = keep[first_of_each(images[keep], count, self.max_per_image)]
        return regions(boxes[keep], images[keep])


class BoxStage(nn.Module):
    """One of mmdet's box heads with its RoI pooling."""

    def __init__(self, head: Any, pooling: RoIPooling):
        super().__init__()
        self.head = head
        self.pooling = pooling
        self.coder = DeltaBoxCoder(head.bbox_coder)

    def forward(self, features: Sequence[Tensor], rois: Tensor) -> tuple[Tensor, Tensor]:
        """Logits ``(K, classes + 1)`` and deltas ``(K, classes or 1, 4)`` of regions ``(K, 5)``."""
        logits, deltas = self.head(self.pooling(features, rois))
        classes = 1 if self.head.reg_class_agnostic else self.head.num_classes
        return logits.float(), deltas.float().reshape(-1, classes, 4)

    def decode(self, boxes: Tensor, deltas: Tensor, labels: Tensor, limits: Tensor) -> Tensor:
        """Boxes ``(K, 4)`` of the classes ``labels``, from boxes ``(K, 4)``."""
        if self.head.reg_class_agnostic:
            chosen = deltas[:, 0]
        else:
            chosen = deltas.gather(1, labels.view(-1, 1, 1).expand(-1, 1, 4))[:, 0]
        return self.coder.decode(boxes, chosen, limits)

    def refine(self, rois: Tensor, logits: Tensor, deltas: Tensor, limits: Tensor) -> Tensor:
        """The regions ``(K, 5)`` that the next stage of a cascade sees."""
        boxes = self.decode(rois[:, 1:], deltas, logits[:, :-1].argmax(1), limits)
        return torch.cat([rois[:, :1], boxes], 1)


class MaskStage(nn.Module):
    """One of mmdet's mask heads with its RoI pooling."""

    def __init__(self, head: Any, pooling: RoIPooling):
        super().__init__()
        self.head = head
        self.pooling = pooling

    def forward(self, features: Sequence[Tensor], rois: Tensor, labels: Tensor) -> Tensor:
        """The probability ``(K, 28, 28)`` that a pixel of region k belongs to the object."""
        masks = self.head(self.pooling(features, rois)).float().sigmoid()
        if self.head.class_agnostic:
            return masks[:, 0]
        height, width = masks.shape[2:]
        index = labels.view(-1, 1, 1, 1).expand(-1, 1, height, width)
        return masks.gather(1, index)[:, 0]


def check_two_stage(model: Any) -> None:
    """Makes sure that every part of a detector is one that :class:`TwoStageGraph` knows.

    Raises:
        ValueError: The message names the part and what would do.
    """
    roi_head = model.roi_head
    kind, rpn = type(roi_head).__name__, getattr(model, 'rpn_head', None)
    require_part(roi_head is not None, f'{type(model).__name__} without a roi_head')
    require_part(kind in (STANDARD, CASCADE), f'{kind}, other than {STANDARD} and {CASCADE}')
    require_part(type(rpn).__name__ == 'RPNHead', f'a proposal head {type(rpn).__name__}')
    require_part(not getattr(roi_head, 'with_shared_head', False), 'a shared head')
    require_part(roi_head.with_bbox, 'a roi_head without boxes')
    for extractor in _parts_named(model, 'RoIExtractor'):
        require_part(type(extractor).__name__ == 'SingleRoIExtractor', type(extractor).__name__)
        layer = extractor.roi_layers[0]
        averages = type(layer).__name__ == 'RoIAlign' and layer.pool_mode == 'avg'
        require_part(averages, f'pooling with {layer}')
    for head in (part for part in model.modules() if hasattr(part, 'bbox_coder')):
        coder = head.bbox_coder
        kind = type(coder).__name__
        require_part(kind == 'DeltaXYWHBBoxCoder', f'boxes of {kind}')
        require_part(not coder.add_ctr_clamp, 'a box coder with add_ctr_clamp')
        custom = getattr(head, 'custom_cls_channels', False)
        require_part(not custom, 'a custom activation of classes')
    if roi_head.with_mask:
        threshold = roi_head.test_cfg.mask_thr_binary
        require_part(threshold >= 0, f'mask_thr_binary={threshold}, which asks for soft masks')
    for cfg in (model.rpn_head.test_cfg.nms, roi_head.test_cfg.nms):
        check_nms(cfg)


def _parts_named(model: nn.Module, ending: str) -> Iterator[Any]:
    return (part for part in model.modules() if type(part).__name__.endswith(ending))
