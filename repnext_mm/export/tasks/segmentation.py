"""Segmentors of mmseg."""

from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from repnext_mm.export.image_input import ImageInput


class SegmentorGraph(nn.Module):
    """Images in, logits or the class of every pixel out.

    Args:
        model: mmseg's ``EncoderDecoder``, in evaluation mode.
        image: The first step.
        argmax: Put out classes, not logits.

    Raises:
        ValueError: If the model is another one.
    """

    dynamic_batch = True
    static_axes: ClassVar[dict] = {}

    def __init__(self, model: Any, image: ImageInput, argmax: bool = False):
        super().__init__()
        head = model.decode_head
        if isinstance(head, nn.ModuleList):
            raise ValueError(
                f'segmentors with several decode heads ({type(model).__name__}) cannot be exported '
                'whole: export their backbone with part="backbone"'
            )
        if head.out_channels == 1:
            raise ValueError(
                'segmentors with one output channel cannot be exported: train with '
                'decode_head=dict(num_classes=2, out_channels=2)'
            )
        self.image = image
        self.backbone = model.backbone
        self.neck = model.neck if model.with_neck else nn.Identity()
        self.head = head
        self.align_corners = model.align_corners
        self.argmax = argmax

    @property
    def output_names(self) -> list[str]:
        return ['labels' if self.argmax else 'logits']

    @property
    def dynamic_axes(self) -> dict[str, dict[int, str]]:
        first = 1 if self.argmax else 2
        return {self.output_names[0]: {0: 'batch', first: 'height', first + 1: 'width'}}

    def forward(self, images: Tensor) -> Tensor:
        """Images ``(N, H, W, 3)`` uint8 to logits ``(N, C, H, W)`` or labels ``(N, H, W)`` int64."""
        height, width = images.shape[1:3]
        inputs = self.image(images)
        logits = self.head(self.neck(self.backbone(inputs))).float()
        logits = F.interpolate(
            logits, size=inputs.shape[2:], mode='bilinear', align_corners=self.align_corners
        )
        if self.image.size_divisor > 1:
            logits = logits[:, :, :height, :width]
        return logits.argmax(1) if self.argmax else logits
