"""Exported segmentors."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from repnext_mm.runtime.images import read_image
from repnext_mm.runtime.network import ExportedNetwork, Image
from repnext_mm.runtime.sessions import Session
from repnext_mm.visualization.saving import save_picture


@dataclass(frozen=True)
class Window:
    """Overlapping windows in which an image is looked at."""

    crop_size: tuple[int, int]
    """Height and width of a window, in pixels of the resized image."""

    stride: tuple[int, int]
    """The distance from one window to the next, downwards and to the right."""

    @classmethod
    def from_json(cls, entries: Mapping[str, list[int]] | None) -> 'Window | None':
        """The window in a file's metadata or in a segmentor's ``test_cfg``; None for the whole image."""
        if entries is None:
            return None
        crop, stride = entries['crop_size'], entries['stride']
        return cls((crop[0], crop[1]), (stride[0], stride[1]))


@dataclass(frozen=True)
class SegmentationDetails:
    """The entries of a segmentor in a file's metadata."""

    align_corners: bool
    """How logits are interpolated to the size of the image; see ``F.interpolate``."""

    argmax: bool
    """Whether the file puts out classes instead of logits."""

    window: Window | None = None
    """None if images are looked at whole."""

    def to_json(self) -> dict[str, Any]:
        """The entries as plain values."""
        window = self.window and {k: list(v) for k, v in asdict(self.window).items()}
        return dict(align_corners=self.align_corners, argmax=self.argmax, window=window)


class Segmentor(ExportedNetwork):
    """An exported segmentor.

    ``Segmentor('model.onnx')('image.jpg', picture='classes.png')``
    """

    task = 'segmentation'

    def __init__(self, source: str | Path | Session, runtime: str | None = None, **options: Any):
        super().__init__(source, runtime, **options)
        details = self.spec.details
        self.details = SegmentationDetails(
            details['align_corners'], details['argmax'], Window.from_json(details['window'])
        )
        self.window = self.details.window

    def __call__(self, image: Image, picture: str | Path | None = None) -> np.ndarray:
        """The class of every pixel, ``(H, W)`` int64.

        Args:
            image: ``(H, W, 3)`` uint8, RGB, or the path of a picture.
            picture: PNG to write: the image in the colours of the classes, with a legend.

        Raises:
            FileNotFoundError: If there is no such picture.
            TypeError: If the image is no array of uint8.
            ValueError: If it is no RGB image.
        """
        pixels = read_image(image)
        scores = self.segment(self.prepare(pixels).image)
        labels = self.resize(scores, pixels.shape[:2])
        classes = labels.argmax(0) if len(labels) > 1 else labels[0].long()
        if picture is not None:
            save_picture(self.draw(pixels, classes.numpy()), picture)
        return classes.numpy()

    def segment(self, resized: np.ndarray) -> Tensor:
        """Segments an image that has the network's size already, whole or in windows.

        Args:
            resized: ``(H', W', 3)`` uint8, RGB.

        Returns:
            Logits ``(C, H', W')``, or labels ``(1, H', W')`` int64 if the file puts out such.
        """
        if self.window is None:
            return self._whole(resized)
        return self._slide(resized, self.window)

    def _whole(self, image: np.ndarray) -> Tensor:
        fitted = self.fit(image)
        (output,) = self.session(fitted.image[None]).values()
        scores = torch.from_numpy(output)
        scores = scores if self.details.argmax else scores[0]
        height, width = (
            round(side * factor)
            for side, factor in zip(image.shape[:2], fitted.scale[::-1], strict=True)
        )
        scores = scores[:, :height, :width]  # without what was added
        return self.resize(scores, image.shape[:2])

    def _slide(self, image: np.ndarray, window: Window) -> Tensor:
        """The mean of the logits of overlapping windows, which are those of mmseg."""
        if self.details.argmax:
            raise ValueError(
                'windows need logits: export with argmax=False, or test the image whole'
            )
        spans = [
            window_spans(length, *sizes)
            for length, *sizes in zip(image.shape[:2], window.crop_size, window.stride, strict=True)
        ]
        total: Any = 0
        count = torch.zeros(image.shape[:2])
        for top, bottom in spans[0]:
            for left, right in spans[1]:
                around = (left, image.shape[1] - right, top, image.shape[0] - bottom)
                total = total + F.pad(self._whole(image[top:bottom, left:right]), around)
                count[top:bottom, left:right] += 1
        return total / count

    def resize(self, scores: Tensor, size: tuple[int, int]) -> Tensor:
        """Logits bilinearly, labels to the nearest; ``(C, H, W)``."""
        if scores.shape[1:] == size:
            return scores
        if self.details.argmax:
            return F.interpolate(scores[None].float(), size, mode='nearest-exact')[0].long()
        align = self.details.align_corners
        return F.interpolate(scores[None], size, mode='bilinear', align_corners=align)[0]

    def draw(self, image: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """The image ``(H, W, 3)`` in the colours of the classes ``(H, W)``, with a legend."""
        from repnext_mm.visualization.legend import frequent_classes, overlay, with_legend

        count = max(len(self.classes), int(labels.max()) + 1)
        names = self.classes or [str(number) for number in range(count)]
        colours = self.colours(count)
        entries = frequent_classes([labels], names, colours)
        return with_legend([overlay(image, labels, colours)], ['prediction'], entries)


def window_spans(length: int, crop: int, stride: int) -> list[tuple[int, int]]:
    """Where windows begin and end along one side, the last one flush with the end."""
    count = max(length - crop + stride - 1, 0) // stride + 1
    ends = [min(number * stride + crop, length) for number in range(count)]
    return [(max(end - crop, 0), end) for end in ends]
