"""An image as the layers of a network get it, and the way back to its pixels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from repnext_mm.prediction.checkpoint import CheckpointPredictor


@dataclass(frozen=True)
class NetworkImage:
    """An image that went through a model's data preprocessor."""

    pixels: np.ndarray
    """``(H, W, 3)`` uint8, RGB, as it was."""

    inputs: Tensor
    """``(1, 3, H', W')`` float, normalized, resized and padded."""

    samples: list[Any]
    """Its data sample."""

    shape: tuple[int, int]
    """Height and width of the image in the inputs, without the padding below and on the right."""

    def on_image(self, values: Tensor | np.ndarray, smooth: bool = True) -> np.ndarray:
        """A map ``(h, w)`` over the inputs, enlarged to ``(H, W)`` over the image without padding.

        Args:
            values: The map.
            smooth: Interpolate between its cells; else they are seen.
        """
        mode = dict(mode='bilinear', align_corners=False) if smooth else dict(mode='nearest-exact')
        tensor = torch.as_tensor(np.asarray(values), dtype=torch.float32)[None, None]
        enlarged = F.interpolate(tensor, tuple(self.inputs.shape[2:]), **mode)
        inner = enlarged[..., : self.shape[0], : self.shape[1]]
        return F.interpolate(inner, self.pixels.shape[:2], **mode)[0, 0].numpy()


def network_image(predictor: CheckpointPredictor, pixels: np.ndarray) -> NetworkImage:
    """Resizes, normalizes and pads an image as for a prediction.

    Args:
        predictor: The network.
        pixels: ``(H, W, 3)`` uint8, RGB.
    """
    prepared = predictor.prepare(pixels)
    batch = predictor.batch_of([prepared], [pixels])
    data = predictor.model.data_preprocessor(batch, False)
    height, width = prepared.image.shape[:2]
    return NetworkImage(pixels, data['inputs'].detach(), data['data_samples'], (height, width))
