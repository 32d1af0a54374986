"""One-stage detectors of mmdet whose dense head predicts by mmdet's common code.

These are RetinaNet, FCOS, ATSS, RTMDet and others whose head leaves ``predict_by_feat`` of
``BaseDenseHead`` as it is: classes and boxes for each prior of each level, a threshold and the
best ``nms_pre`` of each level, decoding, and plain NMS. As for two-stage detectors, the graph
runs the head's own layers and has the rest from tensor operations only.
"""

from typing import Any

import torch
from torch import Tensor, nn

from repnext_mm.compat import require
from repnext_mm.export.image_input import ImageInput
from repnext_mm.export.options import DYNAMIC, ExportOptions
from repnext_mm.export.tasks.base import ExportGraph
from repnext_mm.export.tasks.batches import axes_of_rows, best_after_nms, best_of_each
from repnext_mm.export.tasks.boxes import BoxCoder, DeltaBoxCoder, DistanceBoxCoder, rows
from repnext_mm.export.tasks.detection import DetectionTask, check_nms, decides, known, require_part
from repnext_mm.export.tasks.ranking import best_first
from repnext_mm.runtime.detector import COUNTS

CODERS: dict[str, type[DeltaBoxCoder] | type[DistanceBoxCoder]] = {
    'DeltaXYWHBBoxCoder': DeltaBoxCoder,
    'DistancePointBBoxCoder': DistanceBoxCoder,
}
"""By the class of mmdet."""

COMMON_CODE = ('predict', 'predict_by_feat', '_predict_by_feat_single', '_bbox_post_process')
"""The methods of ``BaseDenseHead`` that the graph takes the place of."""


class DenseTask(DetectionTask):
    """RetinaNet, FCOS, ATSS, RTMDet and their like."""

    parts = ('backbone', 'neck', 'bbox_head')

    def accepts(self, model: nn.Module) -> bool:
        whole = hasattr(model, 'backbone') and hasattr(model, 'bbox_head')
        alone = whole and not hasattr(model, 'roi_head') and not decides(model)
        return alone and known(check_dense_head, model.bbox_head)

    def graph(self, model: nn.Module, image: ImageInput, options: ExportOptions) -> ExportGraph:
        return DenseGraph(model, image, options)


class DenseGraph(nn.Module):
    """Images in, boxes, scores and labels out.

    Args:
        model: mmdet's ``SingleStageDetector``, in evaluation mode.
        image: The first step.
        options: Of the export.

    Raises:
        ValueError: If it has parts that this module does not know.
    """

    mask_threshold = None

    def __init__(self, model: Any, image: ImageInput, options: ExportOptions):
        super().__init__()
        check_dense_head(model.bbox_head)
        self.dynamic_batch = options.batch == DYNAMIC
        self.several = options.batch not in (None, 1)
        self.image = image
        self.backbone = model.backbone
        self.neck = model.neck if model.with_neck else nn.Identity()
        self.head = model.bbox_head
        coder = model.bbox_head.bbox_coder
        self.coder: BoxCoder = CODERS[type(coder).__name__](coder)
        cfg = model.bbox_head.test_cfg
        self.score_threshold = float(cfg.get('score_thr', 0))
        self.nms_pre = cfg.nms_pre
        self.min_size = cfg.get('min_bbox_size', -1)
        self.max_per_image = cfg.max_per_img
        self.nms = cfg.nms

    @property
    def output_names(self) -> list[str]:
        return ['boxes', 'scores', 'labels', *([COUNTS] if self.several else [])]

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
            Boxes ``(K, 4)`` as x1, y1, x2, y2 in pixels, scores ``(K,)`` and labels ``(K,)`` int64,
            of one image after the other; for several the counts ``(N,)`` int64.
        """
        height, width = self.image.size(images)
        zero = torch.zeros(1, device=images.device)
        limits = torch.cat([zero + side for side in (width, height) * 2])
        features = self.neck(self.backbone(self.image(images)))
        classes, outputs, *factors = self.head(features)
        sizes = [tuple(level.shape[2:]) for level in classes]
        priors = self.head.prior_generator.grid_priors(sizes, device=images.device)
        together = zip(
            classes, outputs, factors[0] if factors else [None] * len(sizes), strict=True
        )
        levels = [
            self._candidates(*row, level.float())
            for row, level in zip(together, priors, strict=True)
        ]
        scores, labels, of, chosen, places = (
            torch.cat(parts) for parts in zip(*levels, strict=True)
        )
        boxes = self.coder.decode(places, chosen, limits)
        return self._best(boxes, scores, labels, of, images[:, 0, 0, 0])

    def _candidates(
        self, class_map: Tensor, output_map: Tensor, factor_map: Tensor | None, priors: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Scores, labels, images, box outputs and priors of a level's best pairs of prior and class."""
        logits = rows(class_map, self.head.cls_out_channels)
        outputs = rows(output_map, 4)
        sigmoid = self.head.use_sigmoid_cls
        probabilities = logits.sigmoid() if sigmoid else logits.softmax(-1)[..., :-1]
        image, prior, label = (probabilities > self.score_threshold).nonzero().unbind(1)
        scores = probabilities[image, prior, label]
        order = self._best_before_nms(scores, image, class_map[:, 0, 0, 0])
        scores, image, prior, label = scores[order], image[order], prior[order], label[order]
        if factor_map is not None:
            scores = scores * rows(factor_map, 1)[image, prior, 0].sigmoid()
        return scores, label, image, outputs[image, prior], priors[prior]

    def _best_before_nms(self, scores: Tensor, image: Tensor, count: Tensor) -> Tensor:
        if self.several:
            return best_of_each(scores, image, count, self.nms_pre)
        return best_first(scores, self.nms_pre)[1]

    def _best(
        self, boxes: Tensor, scores: Tensor, labels: Tensor, image: Tensor, count: Tensor
    ) -> tuple[Tensor, ...]:
        if self.min_size >= 0:
            sides = boxes[:, 2:] - boxes[:, :2]
            large = (sides > self.min_size).all(1).nonzero()[:, 0]
            boxes, scores, labels = boxes[large], scores[large], labels[large]
            image = image[large]
        found = (boxes, scores, labels)
        return best_after_nms(found, image, self.nms, self.max_per_image, count, self.several)


def check_dense_head(head: Any) -> None:
    """Makes sure that a head is one that :class:`DenseGraph` knows.

    Raises:
        ValueError: The message names what it has of its own and what would do.
    """
    common = require('mmdet.models.dense_heads.base_dense_head', 'a detector').BaseDenseHead
    name = type(head).__name__
    require_part(isinstance(head, common), f'a head {name}')
    own = [method for method in COMMON_CODE if _own(head, method, common)]
    require_part(not own, f'the {", ".join(own)} of a {name}')
    coder = getattr(head, 'bbox_coder', None)
    require_part(type(coder).__name__ in CODERS, f'boxes of {type(coder).__name__}')
    require_part(not getattr(coder, 'add_ctr_clamp', False), 'a box coder with add_ctr_clamp')
    custom = getattr(getattr(head, 'loss_cls', None), 'custom_cls_channels', False)
    require_part(not custom, 'a custom activation of classes')
    nms_pre = head.test_cfg.get('nms_pre', -1)
    require_part(nms_pre > 0, f'nms_pre={nms_pre}')
    check_nms(head.test_cfg.nms)


def _own(head: nn.Module, method: str, common: type) -> bool:
    return getattr(type(head), method, None) is not getattr(common, method)
