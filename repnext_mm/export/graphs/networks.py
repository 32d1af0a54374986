"""Segmentors, classifiers and feature extractors as traceable modules."""

from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from repnext_mm.export.graphs.inputs import ImageInput


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


class ClassifierGraph(nn.Module):
    """Images in, the probability of every class out.

    Args:
        model: mmpretrain's ``ImageClassifier``, in evaluation mode.
        image: The first step.

    Raises:
        ValueError: If its head gives several labels to an image.
    """

    dynamic_batch = True
    output_names = ('scores',)
    dynamic_axes: ClassVar[dict] = {'scores': {0: 'batch'}}
    static_axes: ClassVar[dict] = {}

    def __init__(self, model: Any, image: ImageInput):
        super().__init__()
        head = type(model.head)
        if any(parent.__name__.startswith('MultiLabel') for parent in head.__mro__):
            raise ValueError(
                f'classifiers with several labels for an image ({head.__name__}) cannot be exported '
                'whole: export their backbone and neck with part="backbone-neck"'
            )
        self.image = image
        self.backbone = model.backbone
        self.neck = model.neck if model.with_neck else nn.Identity()
        self.head = model.head

    def forward(self, images: Tensor) -> Tensor:
        """Images ``(N, H, W, 3)`` uint8 to probabilities ``(N, classes)``."""
        features = self.neck(self.backbone(self.image(images)))
        return self.head(features).float().softmax(1)


class FeatureGraph(nn.Module):
    """Images in, feature maps out, the finest first.

    Args:
        layers: A backbone, or a backbone and a neck.
        image: The first step.
        count: How many feature maps there are.
        pooled: The features have no height and width.
    """

    dynamic_batch = True
    static_axes: ClassVar[dict] = {}

    def __init__(self, layers: nn.Sequential, image: ImageInput, count: int, pooled: bool):
        super().__init__()
        self.image = image
        self.layers = layers
        self.output_names = [f'features_{number}' for number in range(count)]
        axes = {0: 'batch'}
        self.dynamic_axes = {
            name: axes if pooled else axes | {2: f'height_{i}', 3: f'width_{i}'}
            for i, name in enumerate(self.output_names)
        }

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images ``(N, H, W, 3)`` uint8 to maps ``(N, C_i, H_i, W_i)``."""
        features = self.layers(self.image(images))
        maps = features if isinstance(features, tuple | list) else (features,)
        return tuple(feature.float() for feature in maps)
