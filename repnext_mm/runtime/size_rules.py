"""Images in the size that a network takes, as the test pipelines of OpenMMLab make them.

A pipeline becomes a list of rules (:mod:`repnext_mm.export.pipeline`), which fit into a file's
metadata, and the rules are applied here without OpenMMLab: NumPy, and OpenCV or Pillow where
something is resized. The pixels are the same as mmcv's, bit by bit. The arithmetic follows
``mmcv/image/geometric.py``, ``mmcv/transforms/processing.py``, and the ``ResizeEdge`` of
mmpretrain and ``ResizeToMultiple`` of mmseg. Sizes are (width, height), as in mmcv.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple

import numpy as np

from repnext_mm.runtime.images import image_module

FILTERS = {
    'cv2': {
        'nearest': 'INTER_NEAREST',
        'bilinear': 'INTER_LINEAR',
        'bicubic': 'INTER_CUBIC',
        'area': 'INTER_AREA',
        'lanczos': 'INTER_LANCZOS4',
    },
    'pillow': {
        name: name.upper()
        for name in ('nearest', 'bilinear', 'bicubic', 'box', 'lanczos', 'hamming')
    },
}
"""mmcv's interpolations by the names that each backend has for them."""

Size = tuple[int, int]


class Prepared(NamedTuple):
    """An image for a network, and how large it is relative to the original.

    Attributes:
        image: ``(H', W', 3)`` uint8, C-contiguous.
        scale: Of the width and of the height, as mmcv's ``scale_factor``; crops do not count.
    """

    image: np.ndarray
    scale: tuple[float, float]

    @property
    def size(self) -> Size:
        """Width and height of the image, in pixels."""
        height, width = self.image.shape[:2]
        return width, height


@dataclass(frozen=True)
class Resampling:
    """How pixels between pixels are computed."""

    interpolation: str
    """A key of the backend's row in :data:`FILTERS`."""

    backend: str
    """``'cv2'`` or ``'pillow'``."""

    def to(self, prepared: Prepared, size: Size) -> Prepared:
        """Resizes an image to a width and height.

        Raises:
            ValueError: If nothing would remain of the image.
            ImportError: If the backend is missing.
        """
        old = prepared.size
        if min(size) < 1:
            raise ValueError(
                f'an image of {old[0]} x {old[1]} pixels would be resized to {size[0]} x {size[1]}: it '
                f'is too narrow, its smallest side must be {-(-max(old) // max(*size, 1))} pixels or '
                'more. Pad it, or cut it into parts'
            )
        name = FILTERS[self.backend][self.interpolation]
        if self.backend == 'pillow':
            pillow = image_module('PIL.Image')
            picture = pillow.fromarray(prepared.image)
            image = np.array(picture.resize(size, getattr(pillow.Resampling, name)))
        else:
            cv2 = image_module('cv2')
            image = cv2.resize(prepared.image, size, interpolation=getattr(cv2, name))
        across, down = size[0] / old[0], size[1] / old[1]
        return Prepared(image, (prepared.scale[0] * across, prepared.scale[1] * down))


class SizeRule(ABC):
    """A step that resizes, crops or pads an image."""

    type: ClassVar[str]
    """The name of the rule in a file's metadata."""

    @abstractmethod
    def apply(self, prepared: Prepared) -> Prepared:
        """The image in its new size."""

    def to_json(self) -> dict[str, Any]:
        """The rule as plain values, for :func:`rule_from_json`."""
        values = {row.name: getattr(self, row.name) for row in fields(self)}  # type: ignore[arg-type]
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
        return dict(type=self.type, **{k: v for k, v in plain.items() if v is not None})


@dataclass(frozen=True)
class Resize(Resampling, SizeRule):
    """To a size, or by a factor; with ``keep_ratio`` as large as fits into that size."""

    type = 'resize'
    keep_ratio: bool
    scale: Size | None = None
    factor: tuple[float, float] | None = None

    def apply(self, prepared: Prepared) -> Prepared:
        size = prepared.size
        wanted = _scaled(size, self.factor) if self.factor else self.scale or size
        if self.keep_ratio:
            ratio = min(max(wanted) / max(size), min(wanted) / min(size))
            wanted = _scaled(size, (ratio, ratio))
        return self.to(prepared, (wanted[0], wanted[1]))


@dataclass(frozen=True)
class ResizeEdge(Resampling, SizeRule):
    """One edge (``'short'``, ``'long'``, ``'width'``, ``'height'``) to a length in pixels."""

    type = 'resize_edge'
    scale: int
    edge: str

    def apply(self, prepared: Prepared) -> Prepared:
        width, height = prepared.size
        if (
            self.edge == 'width'
            or (self.edge == 'short' and width < height)
            or (self.edge == 'long' and width > height)
        ):
            size = self.scale, int(self.scale * height / width)
        else:
            size = int(self.scale * width / height), self.scale
        return self.to(prepared, size)


@dataclass(frozen=True)
class ResizeToMultiple(Resampling, SizeRule):
    """Width and height up to the next multiples of two divisors."""

    type = 'resize_to_multiple'
    divisor: Size

    def apply(self, prepared: Prepared) -> Prepared:
        (width, height), (across, down) = prepared.size, self.divisor
        return self.to(prepared, (-(-width // across) * across, -(-height // down) * down))


@dataclass(frozen=True)
class CenterCrop(SizeRule):
    """The middle of the image, as far as it is larger."""

    type = 'center_crop'
    size: Size

    def apply(self, prepared: Prepared) -> Prepared:
        sides = prepared.size
        width, height = (min(wanted, side) for wanted, side in zip(self.size, sides, strict=True))
        left, top = round((sides[0] - width) / 2), round((sides[1] - height) / 2)
        image = np.ascontiguousarray(prepared.image[top : top + height, left : left + width])
        return prepared._replace(image=image)


@dataclass(frozen=True)
class Pad(SizeRule):
    """To the right and below: to a size, to multiples of a divisor, or to a square of such sides."""

    type = 'pad'
    grey: int
    size: Size | None = None
    divisor: int | None = None
    square: bool = False

    def apply(self, prepared: Prepared) -> Prepared:
        width, height = sides = prepared.size
        wanted = self.size or ((max(sides),) * 2 if self.square else sides)
        if self.divisor:
            across, down = (-(-side // self.divisor) * self.divisor for side in wanted)
            wanted = across, down
        padding = ((0, max(wanted[1] - height, 0)), (0, max(wanted[0] - width, 0)), (0, 0))
        image = np.pad(prepared.image, padding, constant_values=self.grey)
        return prepared._replace(image=image)


RULES: dict[str, type[SizeRule]] = {
    rule.type: rule for rule in (Resize, ResizeEdge, ResizeToMultiple, CenterCrop, Pad)
}
"""By the ``type`` in a file's metadata."""


def rule_from_json(entries: Mapping[str, Any]) -> SizeRule:
    """The inverse of :meth:`SizeRule.to_json`.

    Raises:
        ValueError: If the type or an option is unknown.
    """
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in entries.items()}
    kind = options.pop('type', None)
    if kind not in RULES:
        raise ValueError(
            f'unknown rule {kind!r} for images, known are {tuple(RULES)}: was the file written by a '
            'newer version of repnext-mm?'
        )
    try:
        return RULES[kind](**options)
    except TypeError as error:
        raise ValueError(
            f'the rule {kind!r} for images does not take {options}: {error}'
        ) from error


def apply_rules(image: np.ndarray, rules: Sequence[SizeRule]) -> Prepared:
    """Resizes, crops and pads an image.

    Args:
        image: ``(H, W, 3)`` uint8; the order of the channels does not matter.
        rules: As :func:`repnext_mm.export.pipeline.resize_rules` makes them.

    Raises:
        ValueError: If nothing would remain of the image.
        ImportError: If OpenCV or Pillow is needed and missing.
    """
    prepared = Prepared(np.ascontiguousarray(image), (1.0, 1.0))
    for rule in rules:
        prepared = rule.apply(prepared)
    return prepared


def fit_static(image: np.ndarray, shape: tuple[int, int], fill: Sequence[float]) -> Prepared:
    """Brings an image to a fixed size: padded to the right and below, scaled down if too large.

    Args:
        image: ``(H, W, 3)`` uint8.
        shape: Height and width.
        fill: The colour of the padding, three values on the scale of 0 to 255, which are
            rounded.

    Returns:
        The image, and the factors by which it was scaled down.

    Raises:
        ImportError: If it must be scaled and OpenCV is missing.
    """
    prepared = Prepared(np.ascontiguousarray(image), (1.0, 1.0))
    limits = np.array(shape)
    sizes = np.array(image.shape[:2])
    if (sizes > limits).any():
        fitting = np.clip((sizes * (limits / sizes).min() + 0.5).astype(int), 1, limits)
        prepared = Resampling('bilinear', 'cv2').to(prepared, (int(fitting[1]), int(fitting[0])))
    height, width = prepared.image.shape[:2]
    if (height, width) == tuple(shape):
        return prepared
    padded = np.empty((*shape, 3), np.uint8)
    padded[:] = np.clip(np.round(fill), 0, 255).astype(np.uint8)
    padded[:height, :width] = prepared.image
    return prepared._replace(image=padded)


def _scaled(size: Size, factor: Sequence[float]) -> Size:
    return int(size[0] * factor[0] + 0.5), int(size[1] * factor[1] + 0.5)
