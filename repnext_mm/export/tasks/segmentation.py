"""Segmentors of mmseg."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repnext_mm.export.image_input import ImageInput
from repnext_mm.export.options import ExportOptions
from repnext_mm.export.tasks.base import ExportGraph, Task, to_bgr
from repnext_mm.export.tasks.tracing import without_decisions
from repnext_mm.reparam.difference import relative_difference
from repnext_mm.runtime import Segmentor
from repnext_mm.runtime.segmentor import SegmentationDetails
from repnext_mm.runtime.windows import Window


class SegmentationTask(Task[Segmentor, Tensor]):
    """Logits ``(C, H, W)``, or with ``argmax`` labels ``(1, H, W)``.

    Differences are those of the logits relative to the largest, and the share of the pixels with
    another class.
    """

    name = 'segmentation'
    package = 'mmseg'
    sample_class = 'SegDataSample'
    parts = ('backbone', 'neck', 'decode_head')
    limits: ClassVar = {
        'float32': {'logits': 1e-3, 'pixels': 1e-3},
        'float16': {'logits': 0.05, 'pixels': 0.02},
    }
    keeps_positions = True
    metrics = ('mIoU',)
    metric_scale = 0.01

    def accepts(self, model: nn.Module) -> bool:
        return hasattr(model, 'backbone') and hasattr(model, 'decode_head')

    def check_options(self, options: ExportOptions) -> None:
        """Every option is for segmentors, but a number of images."""
        super().check_options(replace(options, argmax=False))

    def fixed_shape(self, model: Any) -> tuple[int, int] | None:
        window = window_of(model.test_cfg)
        return None if window is None else window.crop_size

    def graph(self, model: nn.Module, image: ImageInput, options: ExportOptions) -> ExportGraph:
        return SegmentorGraph(model, image, options)

    def details(self, model: Any, graph: Any, options: ExportOptions) -> dict[str, Any]:
        window = window_of(model.test_cfg)
        return SegmentationDetails(graph.align_corners, options.argmax, window).to_json()

    def predict(self, model: Any, image: np.ndarray) -> Tensor:
        return self.run_package(model, [to_bgr(image)], image.shape[:2]).seg_logits.data

    def read(self, reader: Segmentor, image: np.ndarray) -> Tensor:
        return torch.from_numpy(reader.segment(image))

    def compare(self, expected: Tensor, found: Tensor) -> dict[str, float]:
        labels = found.argmax(0) if len(found) > 1 else found[0]
        differences = {'pixels': (expected.argmax(0) != labels).double().mean().item()}
        if len(found) > 1:
            differences['logits'] = relative_difference(expected, found)
        return differences

    def adopt_test_cfg(self, reader: Segmentor, test_cfg: Mapping[str, Any]) -> None:
        reader.window = window_of(test_cfg)

    def fill(self, reader: Segmentor, image: np.ndarray, sample: Any) -> Any:
        from mmengine.structures import PixelData

        scores = torch.from_numpy(reader.resize(reader.segment(image), sample.ori_shape[:2]))
        labels = scores.argmax(0, keepdim=True) if len(scores) > 1 else scores.long()
        sample.set_data({'pred_sem_seg': PixelData(data=labels)})
        if len(scores) > 1:
            sample.set_data({'seg_logits': PixelData(data=scores)})
        return sample


def window_of(test_cfg: Mapping[str, Any]) -> Window | None:
    """The windows in which a segmentor's ``test_cfg`` looks at an image; None for the whole."""
    return None if test_cfg.get('mode', 'whole') != 'slide' else Window.from_json(test_cfg)


class SegmentorGraph(nn.Module):
    """Images in, logits or the class of every pixel out.

    Args:
        model: mmseg's ``EncoderDecoder``, in evaluation mode.
        image: The first step.
        options: Of the export.

    Raises:
        ValueError: If the model is another one.
    """

    static_axes: ClassVar[dict] = {}

    def __init__(self, model: Any, image: ImageInput, options: ExportOptions):
        super().__init__()
        check_decoders(model, options)
        head = model.decode_head
        last = head[-1] if isinstance(head, nn.ModuleList) else head
        if last.out_channels == 1:
            raise ValueError(
                'segmentors with one output channel cannot be exported: train with '
                'decode_head=dict(num_classes=2, out_channels=2)'
            )
        self.image = image
        self.backbone = model.backbone
        self.neck = model.neck if model.with_neck else nn.Identity()
        self.head = head
        self.align_corners = model.align_corners
        self.argmax = options.argmax
        self.dynamic_batch = not {type(part).__name__ for part in self.head.modules()} & ONE_IMAGE
        self.test_cfg = model.test_cfg

    @property
    def output_names(self) -> list[str]:
        return ['labels' if self.argmax else 'logits']

    @property
    def dynamic_axes(self) -> dict[str, dict[int, str]]:
        first = 1 if self.argmax else 2
        batch = {0: 'batch'} if self.dynamic_batch else {}
        return {self.output_names[0]: batch | {first: 'height', first + 1: 'width'}}

    def forward(self, images: Tensor) -> Tensor:
        """Images ``(N, H, W, 3)`` uint8 to logits ``(N, C, H, W)`` or labels ``(N, H, W)`` int64."""
        height, width = self.image.size(images)
        with without_decisions():
            inputs = self.image(images)
            logits = self._decode(self.neck(self.backbone(inputs)), tuple(inputs.shape[2:]))
        if self.image.size_divisor > 1:
            logits = logits[:, :, :height, :width]
        return logits.argmax(1) if self.argmax else logits

    def _decode(self, features: Any, size: tuple[int, int]) -> Tensor:
        """Logits ``(N, C, *size)``, in float32, by the decode heads' own code."""
        heads: list[Any] = list(self.head) if isinstance(self.head, nn.ModuleList) else [self.head]
        *first, last = heads
        given: tuple = ()
        for head in first:
            given = (head(features, *given),)
        if predicts_by_common_code(last):
            logits = last(features, *given).float()
            return F.interpolate(
                logits, size=size, mode='bilinear', align_corners=self.align_corners
            )
        metas = [dict(img_shape=size, pad_shape=size, ori_shape=size)]
        return last.predict(features, *given, metas, self.test_cfg).float()


def predicts_by_common_code(head: Any) -> bool:
    """Whether a head predicts as mmseg's base does: logits, enlarged to the size of the image."""
    methods = (type(head).predict.__qualname__, type(head).predict_by_feat.__qualname__)
    return methods[0] in BASE_METHODS and methods[1] in BASE_METHODS


ONE_IMAGE = {'IterativeDecodeHead', 'MaskFormerHead'}
"""Heads of mmseg that count the images of a batch in Python."""

BASE_METHODS = {
    'BaseDecodeHead.predict',
    'BaseCascadeDecodeHead.predict',
    'BaseDecodeHead.predict_by_feat',
}
"""Methods of mmseg."""


def check_decoders(model: Any, options: ExportOptions) -> None:
    """Makes sure that a segmentor's graph is images in, logits out, whatever its heads.

    Raises:
        ValueError: The message says why it is not, and what would do.
    """
    kind = type(model).__name__
    if kind not in IMAGE_SEGMENTORS:
        raise ValueError(
            f'a {kind} cannot be exported whole, {" and ".join(IMAGE_SEGMENTORS)} can: export its backbone '
            'with part="backbone"'
        )
    if any(getattr(part, 'rand_init', False) for part in model.decode_head.modules()):
        raise ValueError(
            'segmentors that draw their bases by chance at each prediction (SegNeXt, rand_init) '
            'cannot be exported whole, for no two predictions are the same: export their backbone '
            'with part="backbone"'
        )


IMAGE_SEGMENTORS = ('EncoderDecoder', 'CascadeEncoderDecoder')
"""Segmentors of mmseg with images alone as their input."""
