"""Data sets in the format of YOLO: a text file of boxes or polygons for each image."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

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
from repnext_mm.datasets.readers.shapes import box_instance, polygon_instance

BOX = 5
"""Values of a line with a box: class, centre, width and height; a sixth would be a score."""


def list_yolo(folder: Path, classes: Sequence[str]) -> Listing:
    """Lists images and their text files, which lie in ``labels`` where images lie in ``images``.

    Images without a text file have no objects, as YOLO has it.

    Args:
        folder: Of the data set, with a ``data.yaml`` or ``classes.txt`` of names.
        classes: Names, instead of those of the file.

    Raises:
        ValueError: If there are no names of classes, or no text files with labels.
    """
    names = tuple(classes) or read_names(folder)
    items, used = [], set()
    for image in find_images(folder):
        parts = list(image.relative_to(folder).with_suffix('.txt').parts)
        if 'images' in parts:
            parts[parts.index('images')] = 'labels'
        labels = folder.joinpath(*parts)
        used.add(labels)
        shown = [part for part in image.relative_to(folder).parts if part != 'images']
        name, split = without_split(Path(*shown))
        items.append(Item(image, name, split, partial(read_yolo, labels, names)))
    if not any(path.is_file() for path in used):
        raise ValueError(
            f'{folder} has no text files beside its images or in labels/: YOLO has one for each image'
        )
    alone = sorted(set(folder.rglob('labels/**/*.txt')) - used)
    problems = [
        BadInputError(path, 'has no image of its name', 'Add it, or remove it.') for path in alone
    ]
    return Listing(items, names, problems)


def read_names(folder: Path) -> tuple[str, ...]:
    """The names of the classes in ``data.yaml``, any other YAML file with names, or ``classes.txt``.

    Raises:
        ValueError: If there are none.
    """
    for path in sorted((*folder.glob('*.yaml'), *folder.glob('*.yml'))):
        with readable(path, 'YAML with names of classes', 'Write it again.'):
            content: Any = yaml.safe_load(path.read_text(encoding='utf-8'))
            names = content.get('names') if isinstance(content, dict) else None
            if isinstance(names, dict):
                return tuple(str(names[key]) for key in sorted(names, key=int))
            if isinstance(names, list):
                return tuple(map(str, names))
    path = folder / 'classes.txt'
    if path.is_file():
        with readable(path, 'names of classes', 'Save it in UTF-8.'):
            lines = path.read_text(encoding='utf-8').splitlines()
        return tuple(line.strip() for line in lines if line.strip())
    raise ValueError(f'{folder} has no data.yaml with names: name the classes with --classes A B C')


def read_yolo(path: Path, classes: tuple[str, ...], size: ImageSize) -> list[Instance]:
    """Reads the objects of a text file; none if it is not there.

    Args:
        path: The file.
        classes: Names by number.
        size: Of the image.

    Raises:
        BadInputError: If a line is neither a box nor a polygon, or its class has no name.
    """
    if not path.is_file():
        return []
    with readable(path, 'lines of numbers', 'Write it again.'):
        lines = path.read_text(encoding='utf-8').splitlines()
    found = []
    for number, line in enumerate(lines, 1):
        if not line.split():
            continue
        try:
            kind, *values = map(float, line.split())
        except ValueError as error:
            raise BadInputError(
                path, f'has in line {number} what is no number: {line!r}', 'Write it again.'
            ) from error
        found.append(_instance(path, number, (kind, *values), classes, size))
    return found


def _instance(
    path: Path, number: int, values: tuple[float, ...], classes: tuple[str, ...], size: ImageSize
) -> Instance:
    height, width = size
    kind = values[0]
    if not 0 <= kind < len(classes) or kind != int(kind):
        raise BadInputError(
            path,
            f'has the class {kind:g} in line {number}, and there are {len(classes)} names, from 0',
            'Correct it, or name all classes with --classes.',
        )
    label = classes[int(kind)]
    if len(values) in (BOX, BOX + 1):
        x, y, w, h = values[1:BOX]
        corners = (
            (x - w / 2) * width,
            (y - h / 2) * height,
            (x + w / 2) * width,
            (y + h / 2) * height,
        )
        return box_instance(path, label, corners, size)
    if len(values) < BOX or len(values) % 2 == 0:
        raise BadInputError(
            path,
            f'has {len(values)} values in line {number}: a box has 5, a polygon 7 or more, an odd '
            'number',
            'Write it again.',
        )
    ring = [(x * width, y * height) for x, y in zip(values[1::2], values[2::2], strict=True)]
    return polygon_instance(path, label, [ring])
