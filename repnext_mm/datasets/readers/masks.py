"""Data sets with a mask file for each object, or one in which every object has a number.

Read are ``ID/images/ID.png`` with ``ID/masks/*.png`` (2018 Data Science Bowl), and ``images/NAME.jpg``
with ``masks/NAME/*.png``, ``masks/NAME/CLASS/*.png`` or ``masks/NAME.png``.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from repnext_mm.datasets.annotations import (
    BadInputError,
    ImageSize,
    Instance,
    Item,
    Listing,
    find_images,
    readable,
    without_split,
)


def list_masks(folder: Path, classes: Sequence[str]) -> Listing:
    """Lists the images of a data set with masks.

    Args:
        folder: Of the data set.
        classes: The class of all masks that lie in no folder of a class.

    Raises:
        ValueError: If there are no images with masks, or several have one folder of masks.
    """
    items, problems = [], []
    pairs = _own_folders(folder) or _common_folders(folder)
    if not pairs:
        raise ValueError(
            f'{folder} has neither folders ID/images with ID/masks nor images with masks: arrange it '
            'in one of these ways'
        )
    known: set[Path] = set()
    for image, masks, relative in pairs:
        name, split = without_split(relative)
        known.add(masks)
        items.append(Item(image, name, split, partial(read_masks, masks, tuple(classes))))
    for place in _mask_places(folder) - known:
        problems.append(
            BadInputError(place, 'holds masks without an image', 'Add the image or remove them.')
        )
    return Listing(items, tuple(classes) or None, problems)


def read_masks(path: Path, classes: tuple[str, ...], size: ImageSize) -> list[Instance]:
    """Reads the masks of an image.

    Args:
        path: A folder of masks, with or without a folder for each class, or one file of numbers.
        classes: Names; the first one is that of masks in no folder of a class.
        size: Of the image.

    Raises:
        BadInputError: If a mask is empty or of another size, there is none, or its class is
            not named.
    """
    if not path.exists():
        raise BadInputError(
            path, 'is missing: the image has no masks', 'Add an empty folder if nothing is on it.'
        )
    if path.is_file():
        numbers = np.array(_open(path, size))
        numbers = numbers if numbers.ndim == 2 else numbers[..., 0]
        label = _only_class(path, classes)
        values = [value for value in np.unique(numbers) if value]
        return [Instance(label, mask=numbers == value) for value in values]
    found = []
    for file in find_images(path):
        inner = file.relative_to(path).parts
        label = inner[0] if len(inner) > 1 else _only_class(file, classes)
        mask = read_mask(file, size)
        if not mask.any():
            raise BadInputError(file, 'is an empty mask', 'Remove it, or draw its object.')
        found.append(Instance(label, mask=mask))
    return found


def read_mask(path: Path, size: ImageSize) -> np.ndarray:
    """A binary mask ``(H, W)`` from a file of any mode, of 0 and 1 or up to 255.

    Raises:
        BadInputError: If it has another size or cannot be read.
    """
    values = np.array(_open(path, size).convert('L'))
    return values > values.max() // 2 if values.any() else values > 0


def _open(path: Path, size: ImageSize) -> Image.Image:
    with readable(path, 'a mask'), Image.open(path) as image:
        image.load()
    if image.size != size[::-1]:
        raise BadInputError(
            path,
            f'has {image.size[0]}x{image.size[1]} pixels, and its image {size[1]}x{size[0]}',
            'Save it in the size of the image.',
        )
    return image


def _only_class(path: Path, classes: tuple[str, ...]) -> str:
    if len(classes) != 1:
        raise BadInputError(
            path,
            f'lies in no folder of a class, and {len(classes)} classes are named',
            'Name one class with --classes NAME, or put masks into masks/IMAGE/CLASS/.',
        )
    return classes[0]


def _own_folders(folder: Path) -> list[tuple[Path, Path, Path]]:
    """Image, place of masks and relative name for ``ID/images/*`` beside ``ID/masks``."""
    found = []
    for images in sorted(folder.rglob('images')):
        if images.parent == folder or not (images.parent / 'masks').is_dir():
            continue
        place = images.parent.relative_to(folder)
        files = find_images(images)
        if len(files) != 1:
            raise BadInputError(
                images,
                f'holds {len(files)} images for one folder of masks',
                'Make a folder ID/images with ID/masks for each image.',
            )
        found.append((files[0], images.parent / 'masks', _short(place.parent / files[0].name)))
    return found


def _short(relative: Path) -> Path:
    """Without the folders above that name no split: they are parts of the archive."""
    name, split = without_split(relative)
    return Path(split or '', Path(name).name)


def _common_folders(folder: Path) -> list[tuple[Path, Path, Path]]:
    """The same for ``images/NAME.jpg`` beside ``masks/NAME`` or ``masks/NAME.png``."""
    images, masks = folder / 'images', folder / 'masks'
    if not images.is_dir() or not masks.is_dir():
        return []
    found = []
    for image in find_images(images):
        relative = image.relative_to(images)
        place = masks / relative.with_suffix('')
        file = place.with_name(place.name + '.png')
        found.append((image, file if file.is_file() else place, relative))
    return found


def _mask_places(folder: Path) -> set[Path]:
    """Folders and files that should each belong to an image."""
    common = folder / 'masks'
    if not common.is_dir():
        return {path for path in folder.rglob('masks') if path.is_dir()}
    return {path for path in common.iterdir() if path.is_dir() or path.suffix == '.png'} - {
        path
        for path in common.iterdir()
        if path.is_dir() and without_split(Path(path.name, 'x'))[1]
    }
