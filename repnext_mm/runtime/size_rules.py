"""Images in the size that a network takes, as the test pipelines of OpenMMLab make them.

A pipeline becomes a list of rules (:mod:`repnext_mm.export.pipeline`), which fit into a file's
metadata, and the rules are applied here without OpenMMLab: NumPy, and OpenCV or Pillow where
something is resized. The pixels are the same as mmcv's, bit by bit. The arithmetic follows ``mmcv/image/geometric.py``,
``mmcv/transforms/processing.py``, and the ``ResizeEdge`` of mmpretrain and
``ResizeToMultiple`` of mmseg.
"""

import importlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Rule = dict[str, Any]

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
"""What each backend calls mmcv's interpolations."""


class Prepared(NamedTuple):
    """An image for a network, and how large it is relative to the original.

    Attributes:
        image: ``(H', W', 3)`` uint8, C-contiguous.
        scale: Of the width and of the height, as mmcv's ``scale_factor``; crops do not count.
    """

    image: np.ndarray
    scale: tuple[float, float]


def apply_rules(image: np.ndarray, rules: Sequence[Rule]) -> Prepared:
    """Resizes and crops an image.

    Args:
        image: ``(H, W, 3)`` uint8; the order of the channels does not matter.
        rules: As :func:`repnext_mm.export.pipeline.resize_rules` makes them.

    Raises:
        ValueError: If a rule is unknown, or nothing would remain of the image.
        ImportError: If OpenCV or Pillow is needed and missing.
    """
    prepared = Prepared(np.ascontiguousarray(image), (1.0, 1.0))
    for rule in rules:
        options = dict(rule)
        kind = options.pop('type', None)
        if kind not in ACTIONS:
            raise ValueError(
                f'unknown rule {kind!r} for images, known are {tuple(ACTIONS)}: was the file '
                'written by a newer version of repnext-mm?'
            )
        prepared = ACTIONS[kind](prepared, **options)
    return prepared


def read_image(source: str | os.PathLike | np.ndarray) -> np.ndarray:
    """Reads an image as mmcv does by default, or checks one.

    Args:
        source: File of any format of OpenCV, turned as its EXIF data say, or an RGB image.

    Returns:
        ``(H, W, 3)`` uint8 in RGB order.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no image, or the array has another shape.
        TypeError: If it is neither a file nor an array of uint8.
        ImportError: If OpenCV is needed and missing.
    """
    if not isinstance(source, str | os.PathLike):
        _check_array(source)
        return source
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(f'there is no image {path} (relative paths: in {Path.cwd()})')
    content = np.frombuffer(path.read_bytes(), np.uint8)
    cv2 = _module('cv2')
    try:
        image = cv2.imdecode(content, cv2.IMREAD_COLOR)
    except cv2.error:  # of an empty file, or one that begins as an image
        image = None
    if image is None:
        raise ValueError(f'{path} is no image that OpenCV can read')
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


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
        prepared = _resample(prepared, (int(fitting[1]), int(fitting[0])), 'bilinear', 'cv2')
    height, width = prepared.image.shape[:2]
    if (height, width) == tuple(shape):
        return prepared
    padded = np.empty((*shape, 3), np.uint8)
    padded[:] = np.clip(np.round(fill), 0, 255).astype(np.uint8)
    padded[:height, :width] = prepared.image
    return prepared._replace(image=padded)


# --- From a rule to pixels: sizes are (width, height), as in mmcv ---


def _resize(
    prepared: Prepared,
    interpolation: str,
    backend: str,
    keep_ratio: bool,
    scale: Sequence[int] | None = None,
    factor: Sequence[float] | None = None,
) -> Prepared:
    size = _size(prepared)
    wanted = _scaled(size, factor) if factor else scale or size
    if keep_ratio:
        ratio = min(max(wanted) / max(size), min(wanted) / min(size))
        wanted = _scaled(size, (ratio, ratio))
    return _resample(prepared, (wanted[0], wanted[1]), interpolation, backend)


def _resize_edge(
    prepared: Prepared, scale: int, edge: str, interpolation: str, backend: str
) -> Prepared:
    width, height = _size(prepared)
    if (
        edge == 'width'
        or (edge == 'short' and width < height)
        or (edge == 'long' and width > height)
    ):
        size = scale, int(scale * height / width)
    else:
        size = int(scale * width / height), scale
    return _resample(prepared, size, interpolation, backend)


def _resize_to_multiple(
    prepared: Prepared, divisor: Sequence[int], interpolation: str, backend: str
) -> Prepared:
    (width, height), (across, down) = _size(prepared), divisor
    size = -(-width // across) * across, -(-height // down) * down
    return _resample(prepared, size, interpolation, backend)


def _center_crop(prepared: Prepared, size: Sequence[int]) -> Prepared:
    sides = _size(prepared)
    width, height = (min(wanted, side) for wanted, side in zip(size, sides, strict=True))
    left, top = round((sides[0] - width) / 2), round((sides[1] - height) / 2)
    image = np.ascontiguousarray(prepared.image[top : top + height, left : left + width])
    return prepared._replace(image=image)


ACTIONS: dict[str, Callable[..., Prepared]] = {
    'resize': _resize,
    'resize_edge': _resize_edge,
    'resize_to_multiple': _resize_to_multiple,
    'center_crop': _center_crop,
}


def _size(prepared: Prepared) -> tuple[int, int]:
    height, width = prepared.image.shape[:2]
    return width, height


def _scaled(size: tuple[int, int], factor: Sequence[float]) -> tuple[int, int]:
    return int(size[0] * factor[0] + 0.5), int(size[1] * factor[1] + 0.5)


def _resample(
    prepared: Prepared, size: tuple[int, int], interpolation: str, backend: str
) -> Prepared:
    old = _size(prepared)
    if min(size) < 1:
        raise ValueError(
            f'an image of {old[0]} x {old[1]} pixels would be resized to {size[0]} x {size[1]}: '
            'it is too narrow'
        )
    name = FILTERS[backend][interpolation]
    if backend == 'pillow':
        pillow = _module('PIL.Image')
        resized = pillow.fromarray(prepared.image).resize(size, getattr(pillow.Resampling, name))
        image = np.array(resized)
    else:
        cv2 = _module('cv2')
        image = cv2.resize(prepared.image, size, interpolation=getattr(cv2, name))
    across, down = size[0] / old[0], size[1] / old[1]
    return Prepared(image, (prepared.scale[0] * across, prepared.scale[1] * down))


# --- Arrays and modules ---


def _check_array(image: Any) -> None:
    if not isinstance(image, np.ndarray):
        raise TypeError(
            f'an image is a path or a NumPy array, got {type(image).__name__}: of a PIL image it '
            "is numpy.asarray(image.convert('RGB'))"
        )
    if image.dtype != np.uint8:
        raise TypeError(
            f'an image has values of 0 to 255 in uint8, got {image.dtype}: from values of 0 to 1 '
            'it is (255 * image).round().astype(numpy.uint8)'
        )
    if image.ndim != 3 or image.shape[2] != 3:
        advice = 'RGB, with the channels last'
        if image.ndim == 2 or image.shape[2:] == (1,):
            advice = 'numpy.dstack([image] * 3) repeats the grey channel'
        elif image.shape[2:] == (4,):
            advice = 'image[..., :3] leaves alpha out'
        elif image.ndim == 3 and image.shape[0] == 3:
            advice = 'image.transpose(1, 2, 0) puts the channels last'
        elif image.ndim == 4:
            advice = 'give images one by one'
        raise ValueError(f'an image has the shape (height, width, 3), got {image.shape}: {advice}')
    if image.size == 0:
        raise ValueError(f'an image has pixels, got the shape {image.shape}')


PACKAGES = {'cv2': 'opencv-python-headless', 'PIL.Image': 'pillow'}


def _module(name: str) -> Any:
    """Imports what only some rules need."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f'reading or resizing images needs {name.split(".")[0]}, which could not be imported '
            f'({error}): pip install {PACKAGES[name]}'
        ) from error
