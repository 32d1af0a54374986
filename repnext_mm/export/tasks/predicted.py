"""Detectors of mmdet that run their own ``predict`` inside the graph.

Where :mod:`~repnext_mm.export.tasks.dense` and :mod:`~repnext_mm.export.tasks.two_stage` know a
detector, they have a graph of tensor operations for it, which every exporter of torch takes.
All others, some sixty methods, are traced as they are, with what a trace cannot follow taken out
(:mod:`repnext_mm.export.tasks.tracing`); the proof then says whether the file computes the same.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from repnext_mm.compat import require
from repnext_mm.export.image_input import ImageInput
from repnext_mm.export.options import ExportOptions
from repnext_mm.export.tasks.base import ExportGraph
from repnext_mm.export.tasks.boxes import RoIPooling
from repnext_mm.export.tasks.detection import (
    NO_BORDER,
    DetectionTask,
    check_nms,
    require_part,
)
from repnext_mm.export.tasks.tracing import without_decisions
from repnext_mm.export.tasks.two_stage import ProposalHead
from repnext_mm.runtime.detector import COUNTS

REFUSED = {
    'PanopticFPN': 'panoptic results, which mmdet draws segment by segment',
    'FastRCNN': 'proposals from the data set, which are in no image',
    'DeformRoIPoolPack': 'deformable RoI pooling, an operator that no runtime has',
    'ModulatedDeformRoIPoolPack': 'deformable RoI pooling, an operator that no runtime has',
    'MultiInstanceBBoxHead': 'set NMS (CrowdDet), which goes through the objects one by one',
    'GridHead': 'a grid head, whose layers take no image without objects',
}
"""Classes of mmdet, of a detector or a part of one, that no graph can hold, and why."""


class PredictedTask(DetectionTask):
    """Every other detector of mmdet, of which all weights are in the file."""

    parts = ()

    def accepts(self, model: nn.Module) -> bool:
        return any(kind.__name__ == 'BaseDetector' for kind in type(model).__mro__)

    def graph(self, model: nn.Module, image: ImageInput, options: ExportOptions) -> ExportGraph:
        return PredictGraph(model, image, options)


class PredictGraph(nn.Module):
    """Images in, what the detector's own ``predict`` finds out; their number is a constant.

    Args:
        model: Of mmdet, in evaluation mode; it is changed.
        image: The first step.
        options: Of the export.

    Raises:
        ValueError: If no graph can hold the model; the message says why.
    """

    dynamic_batch = False

    def __init__(self, model: Any, image: ImageInput, options: ExportOptions):
        super().__init__()
        check_traceable(model, options)
        self.number = options.batch if isinstance(options.batch, int) else 1
        self.image = image
        self.model = model
        self.sample_class = require('mmdet.structures', 'a detector').DetDataSample
        roi_head = getattr(model, 'roi_head', None)
        if roi_head is not None:
            free_two_stage(model)
        instances_alone(model)
        self.mask_frame = mask_frame(model)
        cfg = model.test_cfg or {}
        cfg = cfg.get('rcnn', cfg)
        self.score_threshold = float(cfg.get('score_thr', 0.0))
        self.max_per_image = cfg.get('max_per_img')
        self.nms = next(nms_configs(cfg), None)
        self.mask_threshold = None
        if self.mask_frame is not None:
            self.mask_threshold = float(cfg.get('mask_thr_binary', 0.5))

    @property
    def output_names(self) -> list[str]:
        masks, counts = self.mask_frame is not None, self.number > 1
        return ['boxes', 'scores', 'labels', *['masks'] * masks, *[COUNTS] * counts]

    @property
    def dynamic_axes(self) -> dict[str, dict[int, str]]:
        """The first axis of every output is the number of detections; masks may be of the image."""
        axes = self.static_axes
        if self.mask_frame == 'image':
            axes['masks'] |= {1: 'mask_height', 2: 'mask_width'}
        return axes

    @property
    def static_axes(self) -> dict[str, dict[int, str]]:
        return {name: {0: 'detections'} for name in self.output_names if name != COUNTS}

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Detects.

        Args:
            images: ``(N, H, W, 3)`` uint8, RGB.

        Returns:
            Boxes ``(K, 4)`` as x1, y1, x2, y2 in pixels, scores ``(K,)``, labels ``(K,)`` int64
            and, where there are masks, probabilities in the boxes ``(K, h, w)`` or the masks of
            the image ``(K, H, W)`` uint8; of several images one after the other, and the counts
            ``(N,)`` int64.
        """
        try:
            with without_decisions():
                samples = self._predict(images)
        except Exception as error:  # whatever code of mmdet raises that was not made for a trace
            raise ValueError(
                f'the code of a {type(self.model).__name__} cannot be traced '
                f'({type(error).__name__}: {error}): export its backbone and neck with '
                'part="backbone-neck"'
            ) from error
        found = [self._fields(sample.pred_instances) for sample in samples]
        if self.number == 1:
            return found[0]
        counts = torch.stack([scores.new_ones(scores.shape[:1]).sum() for _, scores, *_ in found])
        return (*(torch.cat(parts) for parts in zip(*found, strict=True)), counts.long())

    def _predict(self, images: Tensor) -> list[Any]:
        """The data samples that the detector fills."""
        size = tuple(self.image.size(images))
        inputs = self.image(images)
        padded = tuple(inputs.shape[2:]) if self.image.size_divisor > 1 else size
        meta: dict[str, Any] = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0))
        meta |= dict(pad_shape=padded, batch_input_shape=padded, border=NO_BORDER)
        samples = [self.sample_class(metainfo=meta) for _ in range(self.number)]
        return self.model.predict(inputs, samples, rescale=False)

    def _fields(self, found: Any) -> tuple[Tensor, ...]:
        outputs = (found.bboxes.float(), found.scores.float(), found.labels.long())
        if not self.mask_frame:
            return outputs
        of_image = found.masks.dtype == torch.bool
        return (*outputs, found.masks.to(torch.uint8 if of_image else torch.float32))


class Proposals(nn.Module):
    """An RPN of tensor operations in the place of mmdet's.

    Args:
        head: mmdet's ``RPNHead``.
    """

    def __init__(self, head: Any):
        super().__init__()
        self.proposals = ProposalHead(head, static=False)
        self.instances = require('mmengine.structures', 'a detector').InstanceData

    def predict(self, x: Any, batch_data_samples: Any, rescale: bool = False) -> list[Any]:
        """The proposals of one image, in a list."""
        (sample,) = batch_data_samples
        height, width = sample.img_shape
        limits = x[0].new_tensor([width, height, width, height])
        return [self.instances(bboxes=self.proposals(x, limits)[:, 1:])]


class MaskOfOneMore:
    """``predict_mask`` of a RoI head for one object more, which is left out of the results again.

    Layers whose shapes are computed do not take no object at all.

    Args:
        predict: The head's own method.
    """

    def __init__(self, predict: Callable[..., Any]):
        self.predict = predict

    def __call__(self, *args: Any, results_list: Any = None, **kwargs: Any) -> list[Any]:
        """The results of one image, in a list."""
        given = list(args)
        if results_list is None:
            place = next(i for i, arg in enumerate(given) if self._results(arg))
            results_list = given.pop(place)
            given.insert(place, [self._with_one_more(results_list[0])])
            return [self.predict(*given, **kwargs)[0][:-1]]
        more = [self._with_one_more(results_list[0])]
        return [self.predict(*given, results_list=more, **kwargs)[0][:-1]]

    @staticmethod
    def _results(value: Any) -> bool:
        return isinstance(value, list) and hasattr(value[0], 'bboxes')

    @staticmethod
    def _with_one_more(found: Any) -> Any:
        boxes, scores, labels = found.bboxes, found.scores, found.labels
        more = dict(
            bboxes=torch.cat([boxes, boxes.new_tensor([[0.0, 0.0, 32.0, 32.0]])]),
            scores=torch.cat([scores, scores.new_zeros(1)]),
            labels=torch.cat([labels, labels.new_zeros(1)]),
        )
        return type(found)(**more)


def free_two_stage(model: Any) -> None:
    """Puts RoI pooling and proposals without decisions into a two-stage detector."""
    for parent in list(model.modules()):
        for name, part in list(parent.named_children()):
            kind = type(part).__name__
            if kind == 'SingleRoIExtractor' and type(part.roi_layers[0]).__name__ == 'RoIAlign':
                setattr(parent, name, RoIPooling(part))
            elif kind == 'RoIAlign':
                part.use_torchvision = True
            elif kind == 'RPNHead' and parent is model and by_deltas(part):
                setattr(parent, name, Proposals(part))
    roi_head = model.roi_head
    queries = any(kind.__name__ == 'SparseRoIHead' for kind in type(roi_head).__mro__)
    if getattr(roi_head, 'with_mask', False) and not queries:
        roi_head.predict_mask = MaskOfOneMore(roi_head.predict_mask)


def by_deltas(head: Any) -> bool:
    """Whether boxes are decoded as :class:`~repnext_mm.export.tasks.boxes.DeltaBoxCoder` does."""
    coder = head.bbox_coder
    return type(coder).__name__ == 'DeltaXYWHBBoxCoder' and not coder.add_ctr_clamp


def instances_alone(model: Any) -> None:
    """Leaves panoptic results, which mmdet draws segment by segment, out of a model with queries.

    Raises:
        ValueError: If it has no others.
    """
    fusion = getattr(model, 'panoptic_fusion_head', None)
    if fusion is not None:
        require_part(
            fusion.test_cfg.get('instance_on', False),
            'panoptic results alone (test_cfg.instance_on=True asks for objects, too)',
        )
        fusion.test_cfg.update(panoptic_on=False, semantic_on=False)


def mask_frame(model: Any) -> str | None:
    """Whether masks are of ``'box'`` or ``'image'``; None without any."""
    roi_head = getattr(model, 'roi_head', None)
    if roi_head is not None:
        return 'box' if getattr(roi_head, 'with_mask', False) else None
    parts = ('mask_head', 'panoptic_fusion_head')
    separate = any(getattr(model, part, None) is not None for part in parts)
    return 'image' if separate or 'RTMDetInsHead' in set(_kinds(model)) else None


def check_traceable(model: Any, options: ExportOptions) -> None:
    """Makes sure that a detector is not one that is known to fit no graph.

    Raises:
        ValueError: The message says why, and what would do.
    """
    for kind in _kinds(model):
        require_part(kind not in REFUSED, REFUSED.get(kind, ''))
    name = type(model).__name__
    require_part(options.format != 'torch-export', f'code that torch.export cannot follow ({name})')
    for cfg in nms_configs(model.test_cfg):
        check_nms(cfg)
    rcnn = (model.test_cfg or {}).get('rcnn', {})
    require_part(rcnn.get('mask_thr_binary', 0) >= 0, 'soft masks (mask_thr_binary below 0)')
    two_stages = getattr(model, 'roi_head', None) is not None
    require_part(not two_stages or options.batch in (None, 1), f'{name} for more than one image')


def nms_configs(cfg: Any) -> Iterator[Mapping[str, Any]]:
    """What a ``test_cfg`` says of NMS, anywhere in it."""
    if isinstance(cfg, Mapping):
        for name, value in cfg.items():
            if name == 'nms' and isinstance(value, Mapping):
                yield value
            else:
                yield from nms_configs(value)


def _kinds(model: nn.Module) -> Iterator[str]:
    for part in model.modules():
        yield from (kind.__name__ for kind in type(part).__mro__)
