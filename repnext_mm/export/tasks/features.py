"""Backbones, alone or with a neck."""

from typing import ClassVar

from torch import Tensor, nn

from repnext_mm.export.image_input import ImageInput


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
