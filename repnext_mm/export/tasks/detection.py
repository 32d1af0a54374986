"""Detections of any detector of mmdet: asked for, compared, and put in mmdet's data samples.

The graphs are in files of their own: :mod:`~repnext_mm.export.tasks.two_stage` and
:mod:`~repnext_mm.export.tasks.dense`.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn
from torchvision.ops import box_iou

from repnext_mm.compat import require
from repnext_mm.export.options import ExportOptions
from repnext_mm.export.tasks.base import Task, to_bgr
from repnext_mm.runtime import Detections, Detector
from repnext_mm.runtime.choices import DetectionDetails
from repnext_mm.runtime.image_masks import boxes_of_masks

SAME_BOX = 0.8
"""The IoU from which two boxes of one class count as the same detection."""

NO_BORDER = np.zeros(4, np.float32)
"""CenterNet and CornerNet ask a data sample what their own pipeline has put round the image."""

HALF, NEARLY_ALL = 0.5, 0.9
"""Of the detections of both sides; more than that without a match is never allowed: the first where
one detection may differ, the second where torch itself finds others."""


class DetectionTask(Task[Detector, Detections]):
    """Boxes, scores, labels and, with a mask head, masks.

    Differences of matched detections are those of boxes in pixels, of scores, and the share of a
    mask's pixels; ``unmatched`` is the share of all detections that the other side lacks, one of
    which is allowed in any case.
    """

    name = 'detection'
    package = 'mmdet'
    sample_class = 'DetDataSample'
    limits: ClassVar = {
        'float32': {'box': 0.1, 'score': 1e-3, 'mask': 0.01, 'unmatched': 0.02},
        'float16': {'box': 4.0, 'score': 0.05, 'mask': 0.1, 'unmatched': 0.25},
    }
    roundings = 8
    counts_rows = True
    keeps_positions = True
    metrics = ('coco/bbox_mAP', 'coco/segm_mAP')

    def details(self, model: nn.Module, graph: Any, options: ExportOptions) -> dict[str, Any]:
        nms = getattr(graph, 'nms', None)
        limit = getattr(graph, 'max_per_image', None)
        frame = getattr(graph, 'mask_frame', None)
        details = dict(
            score_threshold=graph.score_threshold,
            mask_threshold=graph.mask_threshold,
            max_per_image=limit if limit and limit > 0 else None,
            nms=nms and {key: nms[key] for key in sorted(NMS_OPTIONS & set(nms))},
        )
        return details | (dict(mask_frame=frame) if frame == 'image' else {})

    def otherwise(
        self, test_cfg: Mapping[str, Any], details: Mapping[str, Any]
    ) -> dict[str, tuple[Any, Any]]:
        ours = DetectionDetails.from_json(details)
        cfg = test_cfg.get('rcnn') or test_cfg
        nms, limit = cfg.get('nms') or {}, cfg.get('max_per_img')
        theirs = dict(
            score_threshold=cfg.get('score_thr'),
            mask_threshold=cfg.get('mask_thr_binary'),
            max_per_image=limit if limit and limit > 0 else None,
            nms_iou=nms.get('iou_threshold'),
            class_agnostic_nms=nms.get('class_agnostic', False),
        )
        pairs = {name: (getattr(ours, name), value) for name, value in theirs.items()}
        return {name: pair for name, pair in pairs.items() if None not in pair and len({*pair}) > 1}

    def predict(self, model: Any, image: np.ndarray) -> Detections:
        with warnings.catch_warnings():
            # mmdet's cascades copy tensors in a way that torch advises against.
            warnings.simplefilter('ignore')
            sample = self.run_package(model, [to_bgr(image)], image.shape[:2])
        arrays = {name: value.cpu().numpy() for name, value in sample.pred_instances.items()}
        boxes, masks = arrays['bboxes'], arrays.get('masks')
        if masks is not None:
            boxes = boxes_of_masks(boxes, masks)
        return Detections(boxes, arrays['scores'], arrays['labels'].astype(np.int64), masks)

    def read(self, reader: Detector, image: np.ndarray) -> Detections:
        return reader.detect(image, (1.0, 1.0), image.shape[:2])

    def read_together(self, reader: Detector, images: Sequence[np.ndarray]) -> list[Detections]:
        sizes = [image.shape[:2] for image in images]
        return reader.detect_together(np.stack(images), [(1.0, 1.0)] * len(images), sizes)

    def compare(self, expected: Detections, found: Detections) -> dict[str, float]:
        return compare_detections(expected, found)

    def count(self, expected: Detections, found: Detections) -> int:
        return len(expected.scores) + len(found.scores)

    def allowed(
        self, precision: str, count: int | None, instability: Mapping[str, float]
    ) -> dict[str, float]:
        limits = super().allowed(precision, count, instability)
        one = min(2 / max(count or 0, 1), HALF)
        usual = max(self.limits[precision]['unmatched'], one)
        limits['unmatched'] = min(usual + 2 * instability.get('unmatched', 0.0), NEARLY_ALL)
        return limits

    def new_sample(self, size: tuple[int, int]) -> Any:
        sample = super().new_sample(size)
        sample.set_metainfo(dict(border=NO_BORDER))
        return sample

    def prepare_samples(self, samples: Sequence[Any]) -> None:
        """Turns boxes into tensors, as mmdet's data preprocessor does; pictures need it."""
        require('mmdet.models.utils.misc', 'a detector').samplelist_boxtype2tensor(samples)

    def fill(self, reader: Detector, image: np.ndarray, sample: Any) -> Any:
        from mmengine.structures import InstanceData

        found = reader.detect(image, sample.scale_factor, sample.ori_shape[:2])
        fields = dict(bboxes=found.boxes, scores=found.scores, labels=found.labels)
        if found.masks is not None:
            fields['masks'] = found.masks
        sample.pred_instances = InstanceData(
            **{name: torch.from_numpy(value) for name, value in fields.items()}
        )
        return sample


def compare_detections(reference: Detections, candidate: Detections) -> dict[str, float]:
    """Differences of detections that are matched by label and IoU, best first."""
    pairs = match(reference, candidate)
    count = len(reference.scores) + len(candidate.scores)
    found = {'unmatched': (count - 2 * len(pairs)) / max(count, 1)}
    if not pairs:
        return found
    ours, theirs = (np.array(side) for side in zip(*pairs, strict=True))
    found['box'] = _largest(reference.boxes[ours] - candidate.boxes[theirs])
    found['score'] = _largest(reference.scores[ours] - candidate.scores[theirs])
    if reference.masks is not None and candidate.masks is not None:
        found['mask'] = max(
            mask_difference(reference.masks[i], candidate.masks[k]) for i, k in pairs
        )
    return found


def match(reference: Detections, candidate: Detections) -> list[tuple[int, int]]:
    """Pairs of the same detection: each takes the nearest one of its class that is still free."""
    overlaps = box_iou(*(torch.from_numpy(side.boxes) for side in (reference, candidate))).numpy()
    overlaps = np.where(reference.labels[:, None] == candidate.labels[None], overlaps, 0.0)
    pairs = []
    for number in range(len(overlaps)):
        best = int(overlaps[number].argmax()) if overlaps.shape[1] else -1
        if best >= 0 and overlaps[number, best] >= SAME_BOX:
            pairs.append((number, best))
            overlaps[:, best] = 0.0
    return pairs


def mask_difference(reference: np.ndarray, candidate: np.ndarray) -> float:
    """The share of the pixels in either mask that are in one of them only; small masks by one pixel."""
    either = int((reference | candidate).sum())
    different = int((reference ^ candidate).sum())
    return max(different - 1, 0) / max(either, 1)


def _largest(difference: np.ndarray) -> float:
    value = float(np.abs(difference).max()) if difference.size else 0.0
    return value if math.isfinite(value) else math.inf


def require_part(condition: bool, part: str) -> None:
    """Makes sure that a detector has no part that a graph does not know.

    Raises:
        ValueError: If the condition is false; the message names the part.
    """
    if not condition:
        raise ValueError(
            f'detectors with {part} cannot be exported whole: export its backbone and neck with '
            'part="backbone-neck", or add what is missing'
        )


def known(check: Callable[[Any], None], part: Any) -> bool:
    """Whether a check of :func:`require_part` lets a part of a detector pass."""
    try:
        check(part)
    except ValueError:
        return False
    return True


DECIDING_LAYERS = {
    'BFP',
    'BaseMergeCell',
    'CARAFEPack',
    'DeformConv2d',
    'DeformConv2dPack',
    'ModulatedDeformConv2d',
    'ModulatedDeformConv2dPack',
}
"""Layers that are traced by the rules of :mod:`~repnext_mm.export.tasks.tracing` alone."""


def decides(model: nn.Module) -> bool:
    """Whether a detector has such layers, and so needs the graph that holds to those rules."""
    return any(
        kind.__name__ in DECIDING_LAYERS for m in model.modules() for kind in type(m).__mro__
    )


NMS_OPTIONS = {'type', 'iou_threshold', 'class_agnostic', 'split_thr'}


def check_nms(cfg: Mapping[str, Any]) -> None:
    """Makes sure that this is plain NMS.

    Raises:
        ValueError: As :func:`require_part`.
    """
    require_part(cfg.get('type') == 'nms' and not set(cfg) - NMS_OPTIONS, f'the NMS {dict(cfg)}')
