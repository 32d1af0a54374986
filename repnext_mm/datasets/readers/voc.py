"""Data sets in the format of Pascal VOC: an XML file with boxes, and sometimes polygons, for each image."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from repnext_mm.datasets.annotations import (
    BadInputError,
    ImageSize,
    Instance,
    Item,
    Listing,
    find_images,
    readable,
    split_named,
    without_split,
)
from repnext_mm.datasets.readers.shapes import box_instance, known_class, polygon_instance

FIRST_PIXEL = 1
"""VOC counts pixels from 1, and its boxes include the last one."""


def list_voc(folder: Path, classes: Sequence[str]) -> Listing:
    """Lists images and XML files.

    They lie in ``JPEGImages`` and ``Annotations``, with splits in ``ImageSets/Main/SPLIT.txt``, or
    image and XML of one name are beside each other, in a folder of their split or without.

    Args:
        folder: Of the data set.
        classes: Those that are allowed; empty for any.

    Raises:
        ValueError: If there is no XML file.
    """
    files = sorted(folder.rglob('*.xml'))
    if not files:
        raise ValueError(f'{folder} has no XML files: VOC has one for each image')
    found = [
        path
        for path in find_images(folder)
        if not path.relative_to(folder).parts[0].startswith('Segmentation')  # label maps
    ]
    images = {path.stem: path for path in found}
    beside = {path.with_suffix(''): path for path in found}
    listed = _listed_splits(folder)
    items, problems = [], []
    for file in files:
        image = beside.get(file.with_suffix('')) or images.get(file.stem)
        if image is None:
            problems.append(
                BadInputError(file, 'has no image of its name', 'Add it, or remove it.')
            )
            continue
        relative = image.relative_to(folder)
        name, split = without_split(relative)
        name = name.removeprefix('JPEGImages/').removeprefix('images/')
        split = listed.get(file.stem, split)
        items.append(Item(image, name, split, partial(read_voc, file, tuple(classes))))
    return Listing(items, tuple(classes) or None, problems)


def _listed_splits(folder: Path) -> dict[str, str]:
    """The split of each name in the lists of ImageSets/Main; ``trainval`` and classes' lists are no splits."""
    splits: dict[str, str] = {}
    for path in sorted(folder.rglob('ImageSets/Main/*.txt')):
        split = split_named(path.stem)
        if split is not None:
            with readable(path, 'a list of names', 'Save it in UTF-8.'):
                lines = path.read_text(encoding='utf-8').splitlines()
            splits |= {line.split()[0]: split for line in lines if line.split()}
    return splits


def read_voc(path: Path, classes: tuple[str, ...], size: ImageSize) -> list[Instance]:
    """Reads the objects of an XML file.

    Args:
        path: The file.
        classes: Those that are allowed; empty for any.
        size: Of the image.

    Raises:
        BadInputError: If it is no XML, lacks an entry, or has a class or shape that cannot be.
    """
    with readable(path, 'XML', 'Write it again.'):
        root = ElementTree.parse(path).getroot()
    try:
        return [_instance(path, entry, classes, size) for entry in root.iter('object')]
    except (KeyError, ValueError) as error:
        if isinstance(error, BadInputError):
            raise
        raise BadInputError(
            path, 'has an object without name or box', 'Write it again with both.'
        ) from error


def _instance(
    path: Path, entry: ElementTree.Element, classes: tuple[str, ...], size: ImageSize
) -> Instance:
    label = known_class(path, (entry.findtext('name') or '').strip(), classes)
    if not label:
        raise ValueError
    rings = []
    for polygon in entry.iter('polygon'):
        values = {part.tag: float(part.text or '') - FIRST_PIXEL for part in polygon}
        count = sum(tag.startswith('x') for tag in values)
        rings.append([(values[f'x{i}'], values[f'y{i}']) for i in range(1, count + 1)])
    if rings:
        return polygon_instance(path, label, rings)
    left, top, right, bottom = (
        float(entry.findtext(f'bndbox/{side}') or '') for side in ('xmin', 'ymin', 'xmax', 'ymax')
    )
    left, right, top, bottom = (
        min(left, right),
        max(left, right),
        min(top, bottom),
        max(top, bottom),
    )
    corners = (left - FIRST_PIXEL, top - FIRST_PIXEL, right, bottom)
    return box_instance(path, label, corners, size)
