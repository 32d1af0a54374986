"""A COCO annotation file of a user's own, read if everything in it is there that settings follow from."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from repnext_mm.datasets.annotation_file import AnnotationFile, AnnotationFileError
from repnext_mm.datasets.annotations import FARTHEST

CONVERT = "'python tools/convert_dataset.py' makes such a folder from other formats"
PLAIN_NUMBERS = (int, float)


def read_coco(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Reads the lists ``images``, ``annotations`` and ``categories``.

    Raises:
        ValueError: If it is no annotation file of COCO, or an entry lacks what every reader of it needs; the
            message names the first.
    """
    try:
        file = AnnotationFile(path)
    except AnnotationFileError as error:
        raise ValueError(f'{path} is no COCO annotation file: {error}. {CONVERT}') from error
    images = _check(
        path,
        'images',
        file.images,
        dict(id=_is_id, file_name=_is_text, height=_is_side, width=_is_side),
    )
    kinds = _check(path, 'categories', file.categories, dict(id=_is_id, name=_is_text))
    fields = dict(
        image_id=lambda value: _is_id(value) and value in images,
        category_id=lambda value: _is_id(value) and value in kinds,
        bbox=_is_box,
    )
    _check(path, 'annotations', file.annotations, fields)
    return dict(images=file.images, annotations=file.annotations, categories=file.categories)


def _check(
    path: Path,
    name: str,
    entries: list[dict[str, Any]],
    fields: Mapping[str, Callable[[Any], bool]],
) -> set[Any]:
    """Makes sure that every entry of a list has fields that are as they should be; returns the ids."""
    for number, entry in enumerate(entries):
        for field, fits in fields.items():
            if not fits(entry.get(field)):
                has = _shown(entry[field]) if field in entry else 'nothing'
                raise ValueError(
                    f'{path} has {has} as {field!r} of number {number} of {name!r}, which cannot be: '
                    'correct it, or remove the entry'
                )
    return {entry['id'] for entry in entries} if 'id' in fields else set()


def _is_id(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_side(value: Any) -> bool:
    return type(value) in PLAIN_NUMBERS and 1 <= value <= FARTHEST


def _is_box(value: Any) -> bool:
    """Whether this is x, y, width, height, none of it far from any image."""
    return (
        isinstance(value, list)
        and len(value) == 4
        and all(type(number) in PLAIN_NUMBERS and abs(number) <= FARTHEST for number in value)
    )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f'{text[:60]}...'
