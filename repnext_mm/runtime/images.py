"""Images from whatever holds them: files, bytes, arrays, PIL images, tensors, frames of a video."""

import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

IMAGE_PACKAGES = {'cv2': 'opencv-python-headless', 'PIL.Image': 'pillow'}
"""Packages on PyPI by the modules that reading and resizing import."""

ADDRESSES = ('http://', 'https://', 'ftp://', 's3://', 'gs://', 'data:')
"""Beginnings of what is no path, and is not read."""

LIMIT = 'OPENCV_IO_MAX_IMAGE_PIXELS'
"""The environment variable with the most pixels that OpenCV reads; 2**30 without it."""

Image = Any
"""What :func:`read_image` takes."""


def is_many(source: object) -> bool:
    """Whether these are several images: a list, a tuple, or an array or tensor with four axes."""
    return isinstance(source, list | tuple) or getattr(source, 'ndim', None) == 4


def read_image(source: Image) -> np.ndarray:
    """Reads an image as mmcv does by default, or checks one.

    Args:
        source: One of these:

            - the path of a file in any format of OpenCV, turned as its EXIF data say;
            - the content of such a file as bytes, or a file object to read it from;
            - an RGB array ``(H, W, 3)`` of whole numbers from 0 to 255, whatever its strides;
            - a PIL image, as it is: turned by nobody, without its alpha;
            - a tensor of torch, ``(3, H, W)`` or ``(H, W, 3)``, of the same numbers;
            - a video frame of PyAV. Frames of OpenCV are BGR arrays: give ``frame[..., ::-1]``.

    Returns:
        ``(H, W, 3)`` uint8 in RGB order; an array of uint8 itself, not a copy.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no image, has too many pixels, another shape, values that are no
            colours, or is the address of one.
        TypeError: If it is nothing of the above.
        ImportError: If OpenCV is needed and missing.
    """
    if isinstance(source, str | os.PathLike):
        return decode_image(_content_of(source), str(source))
    if isinstance(source, bytes | bytearray | memoryview):
        return decode_image(source, f'this content of {len(source)} bytes')
    if hasattr(source, 'read'):
        return decode_image(source.read(), str(getattr(source, 'name', 'this file object')))
    return _checked(_as_array(source))


def _content_of(source: str | os.PathLike) -> bytes:
    check_no_address(source, 'image', 'urllib.request.urlopen(URL).read() gives bytes to pass on')
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(f'there is no image {path} (relative paths: in {Path.cwd()})')
    return path.read_bytes()


def check_no_address(source: object, kind: str, advice: str) -> None:
    """Makes sure that this is no URL.

    Args:
        source: Anything.
        kind: What is wanted, for the error message.
        advice: What to do instead.

    Raises:
        ValueError: If it is.
    """
    if isinstance(source, str) and source.lower().startswith(ADDRESSES):
        shown = source if len(source) < 80 else f'{source[:77]}...'
        raise ValueError(f'{shown!r} is a URL, and no {kind} is read from those: {advice}')


def decode_image(content: bytes | bytearray | memoryview, name: str) -> np.ndarray:
    """The RGB image in the content of a file.

    Args:
        content: Of any format of OpenCV.
        name: Of the file, for the error messages.

    Raises:
        ValueError: If it is no image or has more pixels than OpenCV reads.
        ImportError: If OpenCV is missing.
    """
    cv2 = image_module('cv2')
    problem = ''
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:  # of an empty file, or one that begins as an image
        image, problem = None, str(error)
    if image is None:
        if 'MAX_IMAGE' in problem:
            raise ValueError(
                f'{name} has more pixels than OpenCV reads, {os.environ.get(LIMIT) or 2**30} in '
                f'all and {2**20} in a row or column: set the environment variable {LIMIT} to '
                'more before OpenCV is imported (and OPENCV_IO_MAX_IMAGE_WIDTH or _HEIGHT), or cut '
                'the image into tiles'
            )
        raise ValueError(f'{name} is no image that OpenCV can read')
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _as_array(source: Any) -> np.ndarray:
    """What holds pixels already, as an array with the channels last."""
    if isinstance(source, np.ndarray):
        return source
    if type(source).__module__.startswith('torch') and hasattr(source, 'detach'):
        array = source.detach().cpu().numpy()
        return array.transpose(1, 2, 0) if array.ndim == 3 and len(array) == 3 else array
    if hasattr(source, 'getbands') and hasattr(source, 'convert'):
        if source.mode[:1] in 'IF':
            raise ValueError(
                f'this PIL image has the mode {source.mode!r}, with more than 256 levels: scale '
                "its values to 0 to 255, and convert it to 'RGB'"
            )
        return np.asarray(source.convert('RGB'))
    if hasattr(source, 'to_ndarray'):
        return source.to_ndarray(format='rgb24')
    raise TypeError(
        'an image is a path, bytes, a file object, a NumPy array, a PIL image, a tensor or a frame '
        f'of PyAV, got {type(source).__name__}'
    )


def _checked(image: np.ndarray) -> np.ndarray:
    """An array as ``(H, W, 3)`` uint8, if it is an image."""
    if image.dtype.kind not in 'iu':
        raise TypeError(
            f'an image has whole numbers from 0 to 255, got {image.dtype}: from values of 0 to 1 '
            'it is (255 * image).round().astype(numpy.uint8)'
        )
    if image.ndim != 3 or image.shape[2] != 3:
        advice = _advice_for(image.shape)
        raise ValueError(f'an image has the shape (height, width, 3), got {image.shape}: {advice}')
    if image.size == 0:
        raise ValueError(f'an image has pixels, got the shape {image.shape}')
    if image.dtype == np.uint8:
        return image
    low, high = int(image.min()), int(image.max())
    if low < 0 or high > 255:
        raise ValueError(
            f'an image has whole numbers from 0 to 255, got {low} to {high} in {image.dtype}: scale '
            'them, for 16 bits with (image >> 8).astype(numpy.uint8)'
        )
    return image.astype(np.uint8)


def _advice_for(shape: Sequence[int]) -> str:
    """What to do with an array that has the shape of no image."""
    if len(shape) == 2 or tuple(shape[2:]) == (1,):
        return 'numpy.dstack([image] * 3) repeats the grey channel'
    if tuple(shape[2:]) == (4,):
        return 'image[..., :3] leaves alpha out'
    if len(shape) == 3 and shape[0] == 3:
        return 'image.transpose(1, 2, 0) puts the channels last'
    if len(shape) == 4:
        return 'give images one by one, or a list of them to a reader'
    return 'RGB, with the channels last'


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
