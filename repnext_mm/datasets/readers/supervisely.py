"""Projects of Supervisely as their folder: ``meta.json``, and ``DATASET/img`` beside ``DATASET/ann``."""

import base64
import binascii
import io
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

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
    split_named,
)
from repnext_mm.datasets.coco import mask_of
from repnext_mm.datasets.readers.labelme import read_json
from repnext_mm.datasets.readers.shapes import box_instance, known_class, polygon_instance


def list_supervisely(folder: Path, classes: Sequence[str]) -> Listing:
    """Lists the images of all datasets of a project; a dataset named as a split is that split.

    Args:
        folder: Of the project.
        classes: Those that are allowed, in their order; empty for those of ``meta.json``.

    Raises:
        ValueError: If there is no ``meta.json`` with classes, or no dataset.
    """
    meta = folder / 'meta.json'
    if not meta.is_file():
        raise ValueError(f'{folder} has no meta.json: name the folder of the project')
    with readable(meta, "Supervisely's list of classes", 'Export the project again.'):
        titles = tuple(str(entry['title']) for entry in read_json(meta).get('classes', []))
    names = tuple(classes) or titles
    items, problems = [], []
    for place in sorted(path.parent for path in folder.rglob('img') if path.is_dir()):
        split = split_named(place.name)
        prefix = '' if split or place == folder else f'{place.relative_to(folder).as_posix()}/'
        images = find_images(place / 'img')
        for image in images:
            file = place / 'ann' / f'{image.name}.json'
            name = f'{prefix}{image.relative_to(place / "img").as_posix()}'
            items.append(Item(image, name, split, partial(read_supervisely, file, names)))
        expected = {f'{image.name}.json' for image in images}
        problems += [
            BadInputError(file, 'has no image of its name', 'Add it, or remove it.')
            for file in sorted((place / 'ann').glob('*.json'))
            if file.name not in expected
        ]
    if not items:
        raise ValueError(f'{folder} has no DATASET/img with images: name the folder of the project')
    return Listing(items, names, problems)


def read_supervisely(path: Path, classes: tuple[str, ...], size: ImageSize) -> list[Instance]:
    """Reads the objects of an image: bitmaps, polygons, rectangles.

    Args:
        path: The JSON file.
        classes: Those that are allowed.
        size: Of the image.

    Raises:
        BadInputError: If the file is missing or broken, or an object is none of these.
    """
    if not path.is_file():
        raise BadInputError(
            path,
            'is missing: the image has no annotation',
            'Add it, with no objects if there are none.',
        )
    with readable(path, "Supervisely's annotation", 'Export it again.'):
        return _instances(path, read_json(path).get('objects', []), classes, size)


def _instances(
    path: Path, entries: list[dict[str, Any]], classes: tuple[str, ...], size: ImageSize
) -> list[Instance]:
    found = []
    for entry in entries:
        label = known_class(path, str(entry.get('classTitle')), classes)
        kind = entry.get('geometryType')
        points = (entry.get('points') or {}).get('exterior', [])
        if kind == 'bitmap':
            found.append(
                Instance(label, mask=_bitmap(path, label, entry.get('bitmap') or {}, size))
            )
        elif kind == 'polygon':
            instance = polygon_instance(path, label, [points])
            holes = entry['points'].get('interior') or []
            found.append(_with_holes(path, instance, holes, size) if holes else instance)
        elif kind == 'rectangle' and len(points) == 2:
            found.append(box_instance(path, label, [*points[0], *points[1]], size))
        else:
            raise BadInputError(
                path,
                f'has a {kind} of class {label!r}, and objects are bitmaps, polygons or rectangles',
                'Draw it again as one of these, or remove it.',
            )
    return found


def _bitmap(path: Path, label: str, entry: dict[str, Any], size: ImageSize) -> np.ndarray:
    """The mask ``(H, W)`` of a compressed bitmap that lies at its origin."""
    try:
        packed = zlib.decompress(base64.b64decode(entry['data']))
        with Image.open(io.BytesIO(packed)) as image:
            part = np.array(image)
        left, top = entry['origin']
    except (KeyError, ValueError, OSError, zlib.error, binascii.Error) as error:
        raise BadInputError(
            path, f'has a broken bitmap of class {label!r} ({error})', 'Export it again.'
        ) from error
    part = (part if part.ndim == 2 else part[..., -1]) > 0
    height, width = part.shape
    mask = np.zeros(size, bool)
    inside = 0 <= top <= size[0] - height and 0 <= left <= size[1] - width
    if not inside or not part.any():
        raise BadInputError(
            path,
            f'has a bitmap of class {label!r} that is empty or reaches beyond the image of '
            f'{size[1]}x{size[0]}',
            'Draw it again, or restore the image.',
        )
    mask[top : top + height, left : left + width] = part
    return mask


def _with_holes(path: Path, instance: Instance, holes: Sequence, size: ImageSize) -> Instance:
    """A polygon without its holes, as a mask."""
    inner = polygon_instance(path, instance.label, holes)
    whole, missing = mask_of(instance, size), mask_of(inner, size)
    assert whole is not None and missing is not None
    return Instance(instance.label, mask=whole & ~missing)
