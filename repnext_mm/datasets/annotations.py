"""What a reader finds in a data set of another format, whatever the format is."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

ImageSize = tuple[int, int]
"""Height and width in pixels."""

IMAGE_SUFFIXES = frozenset({'.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp'})

SPLITS: Mapping[str, tuple[str, ...]] = {
    'train': ('train', 'training'),
    'val': ('val', 'valid', 'validation'),
    'test': ('test', 'testing'),
}
"""Names of folders and lists that mean a split, in lower case."""

TURNED = (5, 6, 7, 8)
"""Values of EXIF's orientation that exchange height and width."""

FARTHEST = 1e6
"""Pixels to the corner of a polygon: pycocotools writes down every pixel of the way there."""


class BadInputError(ValueError):
    """A file that cannot be converted; the message names it and the remedy.

    Args:
        path: The file.
        trouble: What is wrong with it, in words that follow the path.
        remedy: The next step of the user, in a sentence.
    """

    def __init__(self, path: Path, trouble: str, remedy: str) -> None:
        super().__init__(f'{path} {trouble}. {remedy}')


@contextmanager
def readable(path: Path, kind: str, remedy: str = 'Replace or remove it.') -> Iterator[None]:
    """Turns whatever reading a broken or strange file raises into an error that names the file.

    Args:
        path: The file.
        kind: What it should be, with its article.
        remedy: The next step of the user, in a sentence.

    Raises:
        BadInputError: If anything was raised but a lack of memory.
    """
    try:
        yield
    except (BadInputError, MemoryError):
        raise
    except Exception as error:  # of the many that broken files raise
        reason = f'{type(error).__name__}: {error}'.splitlines()[0]
        raise BadInputError(path, f'cannot be read as {kind} ({reason})', remedy) from error


class Instance(NamedTuple):
    """An object in an image, with a box, polygons or a mask."""

    label: str
    """Name of its class."""

    box: tuple[float, float, float, float] | None = None
    """x1, y1, x2, y2 in pixels of the image; not needed beside polygons or a mask."""

    polygons: tuple[tuple[float, ...], ...] = ()
    """Outlines of its parts, each as x, y, x, y and so on."""

    mask: np.ndarray | None = None
    """``(H, W)`` bool, instead of polygons."""

    crowd: bool = False
    """Whether it stands for many objects that nobody told apart."""


class Item(NamedTuple):
    """An image of the data set and how to get its objects."""

    image: Path
    name: str
    """Of the image in the converted data set, with ``/`` between folders; its hash chooses a split."""

    split: str | None
    """The one that the data set has for it already."""

    read: Callable[[ImageSize], list[Instance]]
    """Reads the objects, given the size of the image.

    Raises:
        BadInputError: If it cannot.
    """


class Listing(NamedTuple):
    """A data set of another format, listed but not read."""

    items: list[Item]
    classes: tuple[str, ...] | None
    """In the order of the data set; None where it has none: those that occur, by name."""

    problems: list[BadInputError]
    """Found in listing, such as annotations without an image."""


def image_size(path: Path) -> ImageSize:
    """Reads a whole image and tells its size as OpenCV loads it, turned by its EXIF data.

    Raises:
        BadInputError: If it cannot be read.
    """
    with readable(path, 'an image'), Image.open(path) as image:
        image.load()
        width, height = image.size
        turned = image.getexif().get(0x0112) in TURNED
    return (width, height) if turned else (height, width)


def size_of(pixels: np.ndarray) -> ImageSize:
    """The size of an array ``(H, W, ...)``."""
    height, width = pixels.shape[:2]
    return height, width


def find_images(folder: Path) -> list[Path]:
    """All images below a folder, sorted; hidden files and folders are left out."""
    return sorted(
        path
        for path in folder.rglob('*')
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not any(part.startswith('.') for part in path.relative_to(folder).parts)
    )


def split_named(name: str) -> str | None:
    """The split that a folder or a list of this name means; None if it means none."""
    lowered = name.lower()
    return next((split for split, names in SPLITS.items() if lowered in names), None)


def without_split(relative: Path) -> tuple[str, str | None]:
    """Takes the first folder that names a split out of a relative path.

    Returns:
        The name of an item, and its split, None without such a folder.
    """
    parts = list(relative.parts)
    for number, part in enumerate(parts[:-1]):
        split = split_named(part)
        if split is not None:
            del parts[number]
            return '/'.join(parts), split
    return relative.as_posix(), None
