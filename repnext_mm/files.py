"""Writing files that are whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replaced(path: str | Path) -> Iterator[Path]:
    """Gives a draft to write, which becomes ``path`` at the end if nothing was raised.

    Makes the folder of ``path``.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Writes ``text`` to a temporary file and renames it to ``path``; makes its folder."""
    with replaced(path) as draft:
        draft.write_text(text, encoding='utf-8')


def to_plain(value: object) -> object:
    """What JSON lacks: tensors, arrays and NumPy's numbers as lists and numbers."""
    return value.tolist() if hasattr(value, 'tolist') else str(value)
