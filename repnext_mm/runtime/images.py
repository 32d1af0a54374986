"""Images from files, and arrays that are images."""

import importlib
import os
from pathlib import Path
from types import ModuleType

import numpy as np

IMAGE_PACKAGES = {'cv2': 'opencv-python-headless', 'PIL.Image': 'pillow'}
"""Packages on PyPI by the modules that reading and resizing import."""


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
    cv2 = image_module('cv2')
    try:
        image = cv2.imdecode(content, cv2.IMREAD_COLOR)
    except cv2.error:  # of an empty file, or one that begins as an image
        image = None
    if image is None:
        raise ValueError(f'{path} is no image that OpenCV can read')
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _check_array(image: object) -> None:
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


def image_module(name: str) -> ModuleType:
    """Imports a module of OpenCV or Pillow, which some images and size rules need.

    Args:
        name: A key of :data:`IMAGE_PACKAGES`.

    Raises:
        ImportError: If it cannot be imported; the message says what to install.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f'reading or resizing images needs {name.split(".")[0]}, which could not be imported '
            f'({error}): pip install {IMAGE_PACKAGES[name]}'
        ) from error
