"""Polygons and boxes as files of annotation tools give them, checked."""

import math
from collections.abc import Sequence
from pathlib import Path

from repnext_mm.datasets.annotations import FARTHEST, BadInputError, ImageSize, Instance


def polygon_instance(
    path: Path, label: str, rings: Sequence[Sequence[Sequence[float]]]
) -> Instance:
    """An object of one or several outlines.

    Args:
        path: The file of the annotation, for messages.
        label: Name of its class.
        rings: Corners of each part as x, y in pixels.

    Raises:
        BadInputError: If an outline has less than three corners, or one that cannot be.
    """
    for ring in rings:
        if len(ring) < 3:
            raise BadInputError(
                path,
                f'has a polygon of class {label!r} with {len(ring)} points, and a polygon needs three',
                'Draw it again, or remove it.',
            )
    flat = tuple(tuple(float(value) for x, y, *_ in ring for value in (x, y)) for ring in rings)
    for value in (value for ring in flat for value in ring):
        if not abs(value) <= FARTHEST:
            raise BadInputError(
                path,
                f'has a polygon of class {label!r} with a corner at {value:g}, and corners are within '
                f'{FARTHEST:,.0f} pixels',
                'Draw it again, or remove it.',
            )
    return Instance(label, polygons=flat)


def box_instance(path: Path, label: str, corners: Sequence[float], size: ImageSize) -> Instance:
    """An object with a box alone.

    Args:
        path: The file of the annotation, for messages.
        label: Name of its class.
        corners: x1, y1, x2, y2 in pixels; exchanged corners are put in order.
        size: Of the image.

    Raises:
        BadInputError: If nothing of the box is in the image.
    """
    height, width = size
    left, right = sorted((float(corners[0]), float(corners[2])))
    top, bottom = sorted((float(corners[1]), float(corners[3])))
    finite = all(map(math.isfinite, (left, top, right, bottom)))
    inside = finite and min(right, width) > max(left, 0) and min(bottom, height) > max(top, 0)
    if not inside:
        raise BadInputError(
            path,
            f'has a box of class {label!r} of no area in the image of {width}x{height}: '
            f'{left:g}, {top:g}, {right:g}, {bottom:g}',
            'Draw it again, or remove it.',
        )
    return Instance(label, box=(left, top, right, bottom))


def known_class(path: Path, label: str, classes: Sequence[str] | None) -> str:
    """A name, if it is one of the classes.

    Raises:
        BadInputError: If it is not.
    """
    if classes and label not in classes:
        raise BadInputError(
            path,
            f'has the class {label!r}, which is none of {", ".join(classes)}',
            'Correct its name, or add it to --classes.',
        )
    return label
