"""Data sets of LabelMe: a JSON file of shapes beside each image."""

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import Any

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
from repnext_mm.datasets.readers.shapes import box_instance, known_class, polygon_instance

CIRCLE_CORNERS = 48
"""Of the polygon that stands for a circle."""


def list_labelme(folder: Path, classes: Sequence[str]) -> Listing:
    """Lists the JSON files and their images; images without a file are left out.

    Args:
        folder: Of the data set; folders of splits in it are kept.
        classes: Those that are allowed, in their order; empty for any.

    Raises:
        ValueError: If there is no JSON file with shapes.
    """
    items, problems = [], []
    images = {path.name: path for path in find_images(folder)}
    for file in sorted(folder.rglob('*.json')):
        try:
            content = read_json(file)
            if 'shapes' not in content:
                continue
            wanted = PureWindowsPath(str(content.get('imagePath') or '')).name
            beside = file.parent / wanted
            image = beside if beside.is_file() else images.get(wanted)
            if image is None:
                raise BadInputError(
                    file, f'has no image: {wanted!r} is not there', 'Add it, or remove the file.'
                )
        except BadInputError as error:
            problems.append(error)
            continue
        name, split = without_split(image.relative_to(folder))
        items.append(Item(image, name, split, partial(read_labelme, file, tuple(classes))))
    if not items and not problems:
        raise ValueError(f'{folder} has no JSON files with shapes: LabelMe has one for each image')
    return Listing(items, tuple(classes) or None, problems)


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        BadInputError: If it is none.
    """
    with readable(path, 'JSON', 'Save it again.'):
        content = json.loads(path.read_text(encoding='utf-8'))
    if not isinstance(content, dict):
        raise BadInputError(path, 'holds no JSON object', 'Save it again.')
    return content


def read_labelme(path: Path, classes: tuple[str, ...], size: ImageSize) -> list[Instance]:
    """Reads the shapes of a file; polygons of one class and ``group_id`` are one object.

    Args:
        path: The file.
        classes: Those that are allowed; empty for any.
        size: Of the image.

    Raises:
        BadInputError: If a shape is no polygon, rectangle or circle, or cannot be one, or the file
            tells another size of the image.
    """
    content = read_json(path)
    told = content.get('imageHeight'), content.get('imageWidth')
    if all(told) and told != size:
        raise BadInputError(
            path,
            f'was drawn on an image of {told[1]}x{told[0]}, and its image has {size[1]}x{size[0]}',
            'Open and save it again in LabelMe, or restore the image.',
        )
    with readable(path, 'a file of LabelMe', 'Open and save it again in LabelMe.'):
        return _instances(path, content, classes, size)


def _instances(
    path: Path, content: dict[str, Any], classes: tuple[str, ...], size: ImageSize
) -> list[Instance]:
    found: list[Instance] = []
    groups: dict[tuple[str, Any], list] = defaultdict(list)
    for shape in content['shapes']:
        label = known_class(path, str(shape.get('label')), classes)
        points = shape.get('points') or []
        kind = shape.get('shape_type') or 'polygon'
        if kind == 'rectangle' and len(points) >= 2:
            (x1, y1), (x2, y2) = points[0], points[-1] if len(points) == 2 else points[2]
            found.append(box_instance(path, label, (x1, y1, x2, y2), size))
        elif kind == 'circle' and len(points) == 2:
            found.append(polygon_instance(path, label, [_circle(*points)]))
        elif kind == 'polygon':
            group = shape.get('group_id')
            groups[label, len(groups) if group is None else f'group {group}'].append(points)
        else:
            raise BadInputError(
                path,
                f'has a {kind} of class {label!r} with {len(points)} points, and objects are '
                'polygons, rectangles or circles',
                'Draw it again as one of these, or remove it.',
            )
    return found + [polygon_instance(path, label, rings) for (label, _), rings in groups.items()]


def _circle(centre: Sequence[float], edge: Sequence[float]) -> list[tuple[float, float]]:
    radius = math.dist(centre, edge)
    angles = [2 * math.pi * step / CIRCLE_CORNERS for step in range(CIRCLE_CORNERS)]
    return [
        (centre[0] + radius * math.cos(angle), centre[1] + radius * math.sin(angle))
        for angle in angles
    ]
