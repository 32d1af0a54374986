"""Names and colours of classes in a text file, as CamVid has it: ``128 64 128 road`` in each line."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from repnext_mm.datasets.annotations import readable
from repnext_mm.files import write_text
from repnext_mm.visualization.colours import Colour, class_colours

CLASSES_FILE = 'classes.txt'
CLASS_LINE = re.compile(r'(?:(\d{1,3})[ ,]+(\d{1,3})[ ,]+(\d{1,3})\s+)?(\S.*)')


class Classes(NamedTuple):
    """The classes of a data set, in order."""

    names: tuple[str, ...]
    palette: tuple[Colour, ...]
    """A colour for each, RGB from 0 to 255."""

    given: bool
    """Whether the colours were given, and not chosen here."""


def with_colours(names: Sequence[str]) -> Classes:
    """Gives names colours that can be told apart."""
    return Classes(tuple(names), tuple(class_colours(len(names))), False)


def read_classes(path: Path) -> Classes:
    """Reads a file with a name in each line, and a colour before it in all lines or none.

    Raises:
        ValueError: If it is no text, a colour is none, a name occurs twice, or only some have
            colours.
    """
    names: list[str] = []
    colours: list[Colour] = []
    with readable(path, 'a text', 'Save it in UTF-8.'):
        lines = path.read_text(encoding='utf-8').splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        match = CLASS_LINE.fullmatch(line.strip())
        assert match is not None  # a line with anything in it is at least a name
        red, green, blue, name = match.groups()
        if name in names:
            raise ValueError(f'{path}: {name!r} in line {number} is there already: rename one')
        names.append(name)
        if red is not None:
            colour = int(red), int(green), int(blue)
            if max(colour) > 255:
                raise ValueError(f'{path}: the colour in line {number} is beyond 255: {colour}')
            colours.append(colour)
    if not names:
        raise ValueError(f'{path} names no classes: write one into each line')
    if not colours:
        return with_colours(names)
    if len(colours) != len(names):
        raise ValueError(
            f'{path}: {len(names)} classes and {len(colours)} colours: give all of them one, as in '
            "'128 64 128 road', or none"
        )
    return Classes(tuple(names), tuple(colours), True)


def write_classes(path: Path, classes: Classes) -> None:
    """Writes the file that :func:`read_classes` reads."""
    lines = [
        f'{red} {green} {blue} {name}\n'
        for name, (red, green, blue) in zip(classes.names, classes.palette, strict=True)
    ]
    write_text(path, ''.join(lines))


def classes_named(given: Sequence[str]) -> Classes | None:
    """The classes of a command line: names, or one path of a file; None if there are none.

    Raises:
        ValueError: As :func:`read_classes`, or if a name occurs twice.
    """
    if not given:
        return None
    if len(given) == 1 and Path(given[0]).is_file():
        return read_classes(Path(given[0]))
    if len(set(given)) < len(given):
        raise ValueError(f'a class is named twice: {", ".join(given)}')
    return with_colours(given)
