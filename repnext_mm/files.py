"""Writing files that are whole or not there."""

import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DRAFT = '.{name}.{process}.repnext-draft'


def check_place(path: str | Path) -> None:
    """Makes sure that there can be a file of this name, for what takes long to compute.

    Raises:
        IsADirectoryError: If it is a folder.
        NotADirectoryError: If what should be one of its folders is a file.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f'{path} is a folder: name a file, such as {path / "NAME"}')
    for folder in path.parents:
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(f'{path} cannot be written: {folder} is a file, no folder')


@contextmanager
def replaced(path: str | Path) -> Iterator[Path]:
    """Gives a draft to write, which becomes ``path`` at the end if nothing was raised.

    Makes the folder of ``path``.

    Raises:
        OSError: As :func:`check_place` does.
    """
    path = Path(path)
    check_place(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(DRAFT.format(name=path.name, process=os.getpid()))
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def replaced_together(path: str | Path) -> Iterator[Path]:
    """Gives a draft named like ``path`` in a folder of its own, for formats of several files.

    At the end, if nothing was raised, all that lies in that folder moves to the folder of
    ``path``, which is made, ``path`` last: so what it refers to is there before it.

    Raises:
        OSError: As :func:`check_place` does.
    """
    path = Path(path)
    check_place(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    head, tail = DRAFT.format(name=path.name, process='*').split('*')
    folder = Path(tempfile.mkdtemp(prefix=head, suffix=tail, dir=path.parent))
    try:
        yield folder / path.name
        for file in sorted(folder.iterdir(), key=lambda file: file.name == path.name):
            file.replace(path.parent / file.name)
    finally:
        shutil.rmtree(folder)


def remove_drafts(folder: str | Path) -> list[Path]:
    """Removes the drafts that killed processes left in a folder, and returns their paths.

    It cannot tell them from the drafts of processes that are still writing, which may
    run on another machine: for folders of which the caller knows that it alone writes there.
    """
    drafts = sorted(Path(folder).glob(DRAFT.format(name='*', process='*')))
    for draft in drafts:
        if draft.is_dir():
            shutil.rmtree(draft)
        else:
            draft.unlink(missing_ok=True)
    return drafts


def write_text(path: str | Path, text: str) -> None:
    """Writes ``text`` to a temporary file and renames it to ``path``; makes its folder."""
    with replaced(path) as draft:
        draft.write_text(text, encoding='utf-8')


def to_json(content: object, indent: int | None = 2) -> str:
    """Writes JSON that every reader takes: NaN and infinity, which JSON lacks, become ``null``.

    Args:
        content: Nested dicts, lists and values; tensors, arrays and NumPy's numbers too.
        indent: Spaces for each level; None for one line.
    """
    return json.dumps(_finite(content), indent=indent, allow_nan=False)


def _finite(content: object) -> object:
    """The same in JSON's types."""
    if isinstance(content, dict):
        return {str(key): _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    if content is None or type(content) in (bool, int, float, str):
        return content
    plain = to_plain(content)
    return plain if isinstance(plain, str) else _finite(plain)


def to_plain(value: object) -> object:
    """Converts tensors, arrays and NumPy's numbers, which JSON lacks, to lists and numbers.

    For ``json.dumps(..., default=to_plain)``; anything else becomes its ``str``.
    """
    return value.tolist() if hasattr(value, 'tolist') else str(value)
