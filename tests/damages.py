"""What is done to files in fuzzing: to their bytes, to values in them, to pictures."""

import copy
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from fuzzing import json_values
from hypothesis import strategies as st
from PIL import Image

ODD_NUMBERS = (0, -1, 1, 10**400, -(10**25), 1e308, 0.5, float('nan'), float('inf'), -float('inf'))
ODD_VALUES = (
    None, True, '', 'größe 日本 \u202e\x00', '../../etc/passwd', '1', [], {}, [[]], [[1, 2]], [None] * 4,
    [1, 2, 3, 4], ['a'] * 4, [float('nan')] * 4, [0, 0, float('inf'), 5], [3, 3, -4, -4],
    [[1, 1, 5, 1, 5, 5]], [[1, 1, float('nan'), 1, 5, 5]], [[1, 1, 5, 1, 5]], [['a'] * 6],
    [[[1, 1], [5, 5], [1, 5]]], [[1e300] * 6], [[[1], [2], [3]]],
    {'size': [16, 24], 'counts': [0, 384]}, {'size': [16, 24], 'counts': [-5, 389]},
    {'size': [16, 24], 'counts': []}, {'size': [16], 'counts': 'c26>000'}, {'size': ['a', 'b'], 'counts': ''},
    {'size': [16, 24], 'counts': '\u00ff'}, {'size': [2**40, 2**40], 'counts': [2**80]},
    {'size': [16, 24], 'counts': [0.5, 383.5]}, {'size': [16, 24], 'counts': [[384]]},
    {'size': [16, 24], 'counts': 'oooooooooooooooo0'}, {'size': [16, 24]},
)  # fmt: skip
"""Values that some tool has written in the place of another."""

KINDS = ('remove', 'replace', 'repeat', 'swap')
odd_values = st.sampled_from(ODD_NUMBERS) | st.sampled_from(ODD_VALUES) | json_values
changes = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.sampled_from(KINDS), odd_values), max_size=3
)
"""Changes of values: where, as a share of all values of a file, how, and what comes there."""


def byte_edits(least: int = 0, most: int = 1) -> st.SearchStrategy:
    """Changes of bytes: where, as a share of a file, how, and with what."""
    kinds = st.sampled_from(('flip', 'zeros', 'cut', 'insert'))
    edit = st.tuples(st.floats(0, 1), kinds, st.binary(min_size=1, max_size=64))
    return st.lists(edit, min_size=least, max_size=most)


modes = ('1', 'L', 'LA', 'P', 'RGB', 'RGBA', 'CMYK', 'I;16', 'I', 'F')
"""Modes of Pillow, as label maps and masks come in."""


ran: list[str] = []
"""What :class:`Code` has done in this process."""


def run_code() -> None:
    ran.append('code of a file')


class Code:
    """Runs when somebody unpickles it."""

    def __reduce__(self) -> tuple:
        return run_code, ()


def edited(content: bytes, edits: list[tuple[float, str, bytes]]) -> bytes:
    """Bytes with parts flipped, overwritten by zeros, cut off, or put between."""
    found = bytearray(content)
    for share, kind, data in edits:
        place = int(share * len(found))
        if kind == 'flip':
            for offset, mask in enumerate(data):
                if place + offset < len(found):
                    found[place + offset] ^= mask
        elif kind == 'zeros':
            end = min(place + 64 * len(data), len(found))
            found[place:end] = bytes(end - place)
        elif kind == 'cut':
            del found[place:]
        else:
            found[place:place] = data
    return bytes(found)


def places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Every list or dict in a content, with each of its indices or keys."""
    inner: Any = ()
    if isinstance(content, dict):
        inner = content.items()
    elif isinstance(content, list):
        inner = enumerate(content)
    for key, value in list(inner):
        yield content, key
        yield from places(value)


def damaged(content: Any, changes: list[tuple[float, str, Any]]) -> Any:
    """A copy of a content of JSON with values removed, replaced, repeated or exchanged."""
    content = copy.deepcopy(content)
    for share, kind, value in changes:
        found = list(places(content))
        if not found:
            break
        owner, key = found[int(share * len(found))]
        if kind == 'remove':
            del owner[key]
        elif kind == 'repeat' and isinstance(owner, list):
            owner.append(copy.deepcopy(owner[key]))
        elif kind == 'swap' and isinstance(owner, list):
            owner[key], owner[0] = owner[0], owner[key]
        else:
            owner[key] = copy.deepcopy(value)
    return content


def picture_bytes(mode: str, size: tuple[int, int], value: int) -> bytes:
    """An image file of a mode, of one value with 0 in its left half.

    Args:
        mode: Of :data:`modes`; those that PNG lacks become TIFF.
        size: Width and height.
        value: As far as the mode holds it.
    """
    width, height = size
    pixels = np.full((height, width), value)
    pixels[:, : width // 2] = 0
    if mode == 'F':
        image = Image.fromarray((pixels / 2).astype(np.float32))
    elif mode in ('I', 'I;16'):
        image = Image.fromarray(
            pixels.clip(0).astype(np.uint16) if mode == 'I;16' else pixels.astype(np.int32)
        )
    else:
        image = Image.fromarray((pixels % 256).astype(np.uint8)).convert(mode)
    file = io.BytesIO()
    image.save(file, 'TIFF' if mode in ('CMYK', 'F', 'I') else 'PNG')
    return file.getvalue()
