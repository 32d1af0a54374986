"""A COCO annotation file of a user's own, read if everything in it is there that settings follow from."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from repnext_mm.datasets.annotations import FARTHEST

CONVERT = "'python tools/convert_dataset.py' makes such a folder from other formats"
PLAIN_NUMBERS = (int, float)


def read_coco(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Reads the lists ``images``, ``annotations`` and ``categories``.

    Raises:
        ValueError: If it is no JSON of COCO, or an entry lacks what every reader of it needs; the
            message names the first.
    """
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{path} is no JSON of COCO annotations ({error}): {CONVERT}') from error
    if not isinstance(content, dict):
        raise ValueError(
            f'{path} is no JSON of COCO annotations (it holds a {type(content).__name__}): {CONVERT}'
        )
    missing = {'images', 'annotations', 'categories'} - set(content)
    if missing:
        raise ValueError(f'{path} lacks {", ".join(sorted(missing))} of COCO: {CONVERT}')
    images = _check(
        path,
        content,
        'images',
        dict(id=_is_id, file_name=_is_text, height=_is_side, width=_is_side),
    )
    kinds = _check(path, content, 'categories', dict(id=_is_id, name=_is_text))
    fields = dict(
        image_id=lambda value: _is_id(value) and value in images,
        category_id=lambda value: _is_id(value) and value in kinds,
        bbox=_is_box,
    )
    _check(path, content, 'annotations', fields)
    return content


def _check(
    path: Path, content: dict[str, Any], name: str, fields: Mapping[str, Callable[[Any], bool]]
) -> set[Any]:
    """Makes sure that every entry of a list has fields that are as they should be; returns the ids."""
    entries = content[name]
    if not isinstance(entries, list):
        raise ValueError(f'{path} has no list under {name!r}, but {_shown(entries)}: {CONVERT}')
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise ValueError(
                f'{path} has {_shown(entry)} as number {number} of {name!r}: {CONVERT}'
            )
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
