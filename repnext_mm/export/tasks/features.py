"""Backbones, alone or with a neck."""

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from repnext_mm.export.comparison import ARRAY_LIMITS, compare_arrays
from repnext_mm.export.image_input import ImageInput
from repnext_mm.export.options import ExportOptions
from repnext_mm.export.tasks.base import ExportGraph, Task
from repnext_mm.runtime import Session


class FeaturesTask(Task[Session, tuple[Tensor, ...]]):
    """Feature maps of any model's backbone, or backbone and neck.

    The reference is the traced module itself, which consists of the model's own modules.
    """

    name = 'features'
    parts = ('backbone', 'neck')
    limits = ARRAY_LIMITS

    def parts_of(self, part: str) -> tuple[str, ...]:
        return tuple(part.split('-'))

    def accepts(self, model: nn.Module) -> bool:
        return True

    def graph(self, model: Any, image: ImageInput, options: ExportOptions) -> ExportGraph:
        layers = [getattr(model, 'backbone', model)]
        if options.part == 'backbone-neck':
            if getattr(model, 'neck', None) is None:
                raise ValueError(f'{type(model).__name__} has no neck: export part="backbone"')
            layers.append(model.neck)
        network = nn.Sequential(*layers)
        with torch.no_grad():
            maps = network(image(image.arrange(torch.zeros((1, 64, 64, 3), dtype=torch.uint8))))
        maps = maps if isinstance(maps, tuple | list) else (maps,)
        return FeatureGraph(network, image, len(maps), pooled=maps[-1].dim() < 4)

    def subject(self, model: nn.Module, graph: ExportGraph) -> ExportGraph:
        return graph

    def open(self, session: Session) -> Session:
        return session

    @torch.no_grad()
    def predict(self, model: Any, image: np.ndarray) -> tuple[Tensor, ...]:
        return model(model.image.arrange(torch.from_numpy(image[None])))

    def read(self, reader: Session, image: np.ndarray) -> tuple[Tensor, ...]:
        return tuple(map(torch.from_numpy, reader(image[None]).values()))

    def compare(self, expected: tuple[Tensor, ...], found: tuple[Tensor, ...]) -> dict[str, float]:
        return compare_arrays(expected, found)


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
