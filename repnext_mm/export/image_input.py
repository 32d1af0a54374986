"""From a plain RGB image to what the network sees, as part of the exported graph."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repnext_mm.runtime.spec import InputSpec


class ImageInput(nn.Module):
    """The test-time work of OpenMMLab's data preprocessors on images, from RGB.

    Padding comes after normalization, to the right and below, so it must be part of the
    graph: no uint8 image could be padded with its value.

    Args:
        mean: Of the channels, in the network's order and on the scale of 0 to 255; None for
            no normalization.
        std: Likewise.
        reverse_channels: The network was trained on BGR images.
        size_divisor: Heights and widths are padded to multiples of it.
        pad_value: What normalized images are padded with.
        dtype: What the network computes in.
        float_input: Images are float32 ``(N, 3, H, W)``, for runtimes and converters that
            take nothing else, and not uint8 ``(N, H, W, 3)``.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        mean: Sequence[float] | None,
        std: Sequence[float] | None,
        reverse_channels: bool = False,
        size_divisor: int = 1,
        pad_value: float = 0.0,
        dtype: torch.dtype = torch.float32,
        float_input: bool = False,
    ):
        super().__init__()
        self.normalized = mean is not None
        for name, values in (('mean', mean or [0.0]), ('std', std or [1.0])):
            column = torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)
            self.register_buffer(name, column, persistent=False)
        self.reverse_channels = reverse_channels
        self.size_divisor = size_divisor
        self.pad_value = pad_value
        self.dtype = dtype
        self.float_input = float_input

    def size(self, images: Tensor) -> torch.Size:
        """Height and width of images as the graph takes them."""
        return images.shape[2:] if self.float_input else images.shape[1:3]

    def arrange(self, pixels: Tensor) -> Tensor:
        """Images ``(N, H, W, 3)`` uint8 as the graph takes them."""
        return pixels.permute(0, 3, 1, 2).float().contiguous() if self.float_input else pixels

    def forward(self, images: Tensor) -> Tensor:
        """Images as the graph takes them to ``(N, 3, H', W')``, normalized and padded."""
        # Cast first: TensorRT takes uint8 as the input of a network, and nowhere behind that.
        images = images.float()
        if not self.float_input:
            images = images.permute(0, 3, 1, 2)
        if self.reverse_channels:
            images = images[:, [2, 1, 0]]
        if self.normalized:
            images = (images - self.mean) / self.std
        if self.size_divisor > 1:
            height, width = images.shape[2:]
            right, below = -width % self.size_divisor, -height % self.size_divisor
            images = F.pad(images, (0, right, 0, below), value=self.pad_value)
        return images.to(self.dtype)

    def describe(self, static_shape: tuple[int, int] | None, batch: int | None) -> InputSpec:
        """The contract of the images, for a file's metadata.

        Args:
            static_shape: The only height and width that the file takes; None for any.
            batch: The only number of images at a time; None for any.
        """
        mean, std = (
            tuple(round(value, 4) for value in values.flatten().tolist())
            for values in (self.mean, self.std)
        )
        return InputSpec(
            mean=mean,
            std=std,
            network_channel_order='BGR' if self.reverse_channels else 'RGB',
            size_divisor=self.size_divisor,
            static_shape=static_shape,
            batch=batch,
            float_input=self.float_input,
        )


def image_input(
    preprocessor: Any, dtype: torch.dtype = torch.float32, float_input: bool = False
) -> ImageInput:
    """The input of a model with this data preprocessor of mmengine, mmdet, mmseg or mmpretrain.

    Its images are BGR when they reach it, as OpenMMLab's pipelines load them, so a model
    whose preprocessor leaves their order alone was trained on BGR.

    Raises:
        ValueError: If it pads to a fixed size, or is missing.
    """
    if preprocessor is None or not hasattr(preprocessor, '_enable_normalize'):
        raise ValueError(
            'the exported file takes plain RGB images and normalizes them itself, but the model '
            f'has no preprocessor for images, only {type(preprocessor).__name__}: add '
            "data_preprocessor=dict(type='ImgDataPreprocessor', mean=..., std=..., "
            'bgr_to_rgb=True) to the config'
        )
    # As mmpretrain, mmseg before OneDL's, and mmengine call it.
    names = ('to_rgb', 'channel_conversion', '_channel_conversion')
    divisor, pad_value = _padding(preprocessor)
    normalizes = preprocessor._enable_normalize
    return ImageInput(
        mean=preprocessor.mean.flatten().tolist() if normalizes else None,
        std=preprocessor.std.flatten().tolist() if normalizes else None,
        reverse_channels=not any(getattr(preprocessor, name, False) for name in names),
        size_divisor=divisor,
        pad_value=pad_value,
        dtype=dtype,
        float_input=float_input,
    )


def _padding(preprocessor: Any) -> tuple[int, float]:
    """To multiples of what, and with what, images are padded in tests."""
    if type(preprocessor).__name__ != 'SegDataPreProcessor':
        return preprocessor.pad_size_divisor, preprocessor.pad_value
    padding = preprocessor.test_cfg or {}  # what mmseg pads in training is another matter
    if padding.get('size') is not None:
        raise ValueError(
            f'test_cfg of the data preprocessor pads to the fixed size {padding["size"]}: use '
            'size_divisor, or leave it out and resize in the pipeline'
        )
    return padding.get('size_divisor') or 1, preprocessor.pad_val
