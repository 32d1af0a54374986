"""Exported files of a few thousand weights, of every task, whose answers follow from the whole image."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from repnext_mm.export.formats import FORMATS, Job
from repnext_mm.runtime import FileSpec, InputSpec

SHAPE = (96, 128)
OPSET = 17


class Tiny(nn.Module):
    """The part that all have: a convolution and its mean over the image."""

    dynamic_batch = True
    static_axes: Any = {}  # noqa: RUF012 (only read)

    def __init__(self, channels: int):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, channels, 5, padding=2)
        nn.init.normal_(self.conv.weight, std=0.5)

    def features(self, images: Tensor) -> Tensor:
        """``(N, C, H, W)``."""
        return self.conv(images.permute(0, 3, 1, 2).float() / 255)

    @property
    def dynamic_axes(self) -> dict:
        return {name: {0: 'first'} for name in self.output_names}


class Finder(Tiny):
    """Objects, each in a box of at least a tenth of the image, by falling score."""

    def __init__(self, count: int = 6, several: bool = False):
        super().__init__(4 * count)
        self.count, self.several = count, several
        self.dynamic_batch = several
        self.output_names = ('boxes', 'scores', 'labels', 'masks')
        if several:
            self.output_names += ('counts',)
        self.register_buffer('pattern', torch.randn(4, 14 * 14))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        values = (self.features(images).mean((2, 3)) * 3).sigmoid().view(-1, self.count, 4)
        sides = values.new_tensor([SHAPE[1], SHAPE[0]])
        corners = values[..., :2] * 0.6 * sides
        boxes = torch.cat([corners, corners + (values[..., 2:] * 0.3 + 0.1) * sides], -1)
        scores = values.mean(2).sort(1, descending=True)[0]
        labels = (values[..., 0] * 5).long()
        masks = (values.reshape(-1, 4) @ self.pattern + 1).sigmoid().view(-1, 14, 14)
        found = boxes.flatten(0, 1), scores.flatten(), labels.flatten(), masks
        if not self.several:
            return found
        return (*found, (torch.ones_like(scores) * scores.isfinite()).sum(1).long())


class Painter(Tiny):
    """Logits of classes for every pixel."""

    output_names = ('logits',)
    dynamic_axes = {'logits': {0: 'batch', 2: 'height', 3: 'width'}}  # noqa: RUF012 (only read)

    def forward(self, images: Tensor) -> Tensor:
        return self.features(images)


class Chooser(Tiny):
    """The probability of each class."""

    output_names = ('scores',)

    def forward(self, images: Tensor) -> Tensor:
        return self.features(images).mean((2, 3)).softmax(1)


DETAILS: dict[str, dict] = {
    'detection': dict(
        score_threshold=0.05,
        mask_threshold=0.5,
        max_per_image=100,
        nms=dict(type='nms', iou_threshold=0.5),
    ),
    'segmentation': dict(align_corners=False, argmax=False, window=None),
    'classification': {},
}


def write(graph: Tiny, path: Path, static: bool = False, **details: Any) -> Path:
    """Writes a graph as a file of its task; detectors take :data:`SHAPE` alone.

    Args:
        graph: One of those above.
        path: Whose suffix says the format.
        static: Whether others do so too.
        **details: In the place of those of :data:`DETAILS`.
    """
    task = {Finder: 'detection', Painter: 'segmentation', Chooser: 'classification'}[type(graph)]
    static = static or task == 'detection'
    batch = None if graph.dynamic_batch else 1
    input_spec = InputSpec((0,), (1,), static_shape=SHAPE if static else None, batch=batch)
    spec = FileSpec(
        task, 'model', 'fused', 'float32', graph.output_names, input_spec,
        classes=('a', 'b', 'c', 'd', 'e') if task == 'detection' else None, opset=OPSET,
        details=DETAILS[task] | details,
    )  # fmt: skip
    images = torch.zeros((1, *SHAPE, 3), dtype=torch.uint8)
    dynamic = not static or graph.dynamic_batch
    format_ = next(row for row in FORMATS.values() if row.suffix == path.suffix)
    format_.write(Job(graph.eval(), images, dynamic, OPSET, False, spec), path)
    return path


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    """An image ``(H, W, 3)`` of one colour and a little noise: each seed has other objects."""
    random = np.random.default_rng(seed)
    colour = random.integers(0, 236, 3, np.uint8)
    return random.integers(0, 20, (height, width, 3), np.uint8) + colour
