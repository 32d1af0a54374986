"""Images with a map of labels each, made ready for mmseg's ``BaseSegDataset``."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from repnext_mm.datasets.annotations import (
    BadInputError,
    ImageSize,
    find_images,
    readable,
    without_split,
)
from repnext_mm.datasets.classes_file import Classes

IGNORED = 255
"""Label that mmseg's losses and metrics leave out."""

LABEL_MAP_FOLDERS = ('annotations', 'labels', 'masks', 'gt', 'labelmaps')
"""Where label maps lie, beside ``images``."""


class LabelMapItem(NamedTuple):
    """An image and the file of its labels."""

    image: Path
    labels: Path
    name: str
    """Of the image in the converted data set, relative and without suffix."""

    split: str | None


class LabelTable(NamedTuple):
    """From what stands in a label map to what a network learns."""

    classes: Classes
    """Those that are left."""

    values: dict[int, int]
    """Labels by pixel value; :data:`IGNORED` for those that are ignored."""

    colours: dict[int, int]
    """The same by colour, as one number; empty if colours were not given."""


def list_label_maps(folder: Path) -> tuple[list[LabelMapItem], list[BadInputError]]:
    """Lists images and label maps, and the troubles in finding them.

    Args:
        folder: With ``images`` and one of :data:`LABEL_MAP_FOLDERS`; folders of splits in both are kept.

    Raises:
        ValueError: If it lacks one of them.
    """
    images = folder / 'images'
    places = [folder / name for name in LABEL_MAP_FOLDERS if (folder / name).is_dir()]
    if not images.is_dir() or not places:
        raise ValueError(
            f'{folder} needs images/ and one of {", ".join(LABEL_MAP_FOLDERS)}: arrange it so'
        )
    maps = {
        path.relative_to(places[0]).with_suffix('').as_posix(): path
        for path in find_images(places[0])
    }
    items, problems = [], []
    for image in find_images(images):
        relative = image.relative_to(images)
        stem = relative.with_suffix('').as_posix()
        found = [stem] if stem in maps else [key for key in maps if key.startswith(f'{stem}_')]
        if len(found) != 1:
            trouble = f'has {len(found) or "no"} label maps of its name in {places[0]}'
            problems.append(BadInputError(image, trouble, 'Add one, or remove the image.'))
            continue
        name, split = without_split(relative)
        items.append(
            LabelMapItem(image, maps.pop(found[0]), str(Path(name).with_suffix('')), split)
        )
    problems += [
        BadInputError(path, 'is a label map without an image', 'Add the image, or remove it.')
        for path in maps.values()
    ]
    return items, problems


def label_table(
    classes: Classes, values: Sequence[int] = (), ignore: Sequence[str] = ()
) -> LabelTable:
    """Arranges what the user said of the classes.

    Args:
        classes: In the order of the values.
        values: Pixel value of each class; by default 0, 1, 2, without those to be ignored.
        ignore: Pixel values, and names of classes that nothing should be learnt of.

    Raises:
        ValueError: If there is not a value for each class, all are ignored, or there are too many.
    """
    numbers = {int(entry) for entry in ignore if entry.lstrip('-').isdigit()} | {IGNORED}
    names = {entry for entry in ignore if not entry.lstrip('-').isdigit()}
    unknown = names - set(classes.names)
    if unknown:
        raise ValueError(f'--ignore names no class of {", ".join(classes.names)}: {unknown}')
    if values and len(values) != len(classes.names):
        raise ValueError(
            f'{len(values)} values for {len(classes.names)} classes: name one for each'
        )
    if not values:
        count = len(classes.names) + len(numbers)
        values = [value for value in range(count) if value not in numbers][: len(classes.names)]
    kept = [index for index, name in enumerate(classes.names) if name not in names]
    if not 0 < len(kept) <= IGNORED:
        raise ValueError(f'{len(kept)} classes are left, and there must be 1 to {IGNORED}')
    label = {index: number for number, index in enumerate(kept)}
    table = dict.fromkeys(numbers, IGNORED)
    table |= {value: label.get(index, IGNORED) for index, value in enumerate(values)}
    colours = {}
    if classes.given:
        codes = [(red << 16) + (green << 8) + blue for red, green, blue in classes.palette]
        colours = {code: label.get(index, IGNORED) for index, code in enumerate(codes)}
    left = Classes(
        tuple(classes.names[i] for i in kept),
        tuple(classes.palette[i] for i in kept),
        classes.given,
    )
    return LabelTable(left, table, colours)


def read_labels(path: Path, table: LabelTable, size: ImageSize) -> np.ndarray:
    """Reads a label map of values, of a colour table or of colours.

    Args:
        path: The file.
        table: What its values and colours mean.
        size: Of the image.

    Returns:
        ``(H, W)`` uint8: labels, and :data:`IGNORED`.

    Raises:
        BadInputError: If it cannot be read, has another size, or values without meaning.
    """
    pixels = read_pixels(path)
    if pixels.shape[:2] != size:
        raise BadInputError(
            path,
            f'has {pixels.shape[1]}x{pixels.shape[0]} pixels, and its image {size[1]}x{size[0]}',
            'Save it in the size of the image.',
        )
    meaning = table.values
    if pixels.ndim == 3:
        red, green, blue = (pixels[..., min(i, pixels.shape[2] - 1)].astype(int) for i in range(3))
        grey = (red == green).all() and (green == blue).all()
        if not grey or table.colours:
            pixels, meaning = (red << 16) + (green << 8) + blue, table.colours
        else:
            pixels = red
    found, places = np.unique(pixels, return_inverse=True)
    strange = [int(value) for value in found if int(value) not in meaning]
    if strange:
        raise _without_meaning(path, strange, pixels, table, meaning is table.colours)
    labels = np.array([meaning[int(value)] for value in found], np.uint8)
    return labels[places].reshape(size)


def read_pixels(path: Path) -> np.ndarray:
    """The values of a label map as they are in the file, ``(H, W)`` or ``(H, W, C)``.

    Raises:
        BadInputError: If it cannot be read, or holds fractions.
    """
    with readable(path, 'a label map'), Image.open(path) as image:
        pixels = np.array(image)
    if pixels.dtype.kind not in 'bui':
        raise BadInputError(
            path,
            f'holds numbers of the type {pixels.dtype}, and labels are whole numbers',
            'Save it as PNG with 8 or 16 bits.',
        )
    return pixels


def _without_meaning(
    path: Path, strange: list[int], pixels: np.ndarray, table: LabelTable, coloured: bool
) -> BadInputError:
    """The error for values or colours of no class."""
    value = strange[0]
    count = int((pixels == value).sum())
    shown: object = value
    remedy = f'Leave such pixels out with --ignore {value}, or name the class with --classes.'
    if coloured:
        shown = f'{value >> 16} {value >> 8 & 255} {value & 255}'
        remedy = (
            "Name all colours with --classes FILE, which has lines such as '128 64 128 road', and "
            'leave those of no class out with --ignore NAME.'
        )
    return BadInputError(
        path,
        f'has {count} pixels of the {"colour" if coloured else "value"} {shown}, which is none of '
        f'the {len(table.classes.names)} classes',
        remedy,
    )
