"""Files that belong together: an ``.xml`` of OpenVINO, or a ``.param`` of ncnn, has the hash of its ``.bin``."""

import re
from pathlib import Path

from repnext_mm.files import file_digest

WEIGHTS_KEY = 'repnext_mm_weights_sha256'
"""The name of the entry with the hash among the metadata."""

ENTRY = re.compile(rb'<%s value="([0-9a-f]{64})"' % WEIGHTS_KEY.encode())
"""As OpenVINO writes it."""

PAIRED = ('.xml', '.param')
"""Endings of files with a ``.bin``."""

UNKNOWN = '0' * 64
"""Stands in the file until the ``.bin`` is written."""


def weights_of(path: Path) -> Path:
    """The ``.bin`` of an ``.xml`` or ``.param``."""
    return path.with_suffix('.bin')


def files_of(path: Path) -> list[Path]:
    """All files of an exported model: those in a folder, a pair, or one."""
    if path.is_dir():
        return sorted(file for file in path.rglob('*') if file.is_file())
    return [path, weights_of(path)] if path.suffix in PAIRED else [path]


def check_pair(path: Path) -> None:
    """Makes sure that the ``.bin`` of a file that is to be written is not that of another one.

    Raises:
        FileExistsError: If it is.
    """
    others = [path.with_suffix(suffix) for suffix in PAIRED if suffix != path.suffix]
    taken = [other.name for other in others if path.suffix in PAIRED and other.exists()]
    if taken:
        raise FileExistsError(
            f'{path} cannot be written: its weights would take the place of those of {taken[0]}, in '
            f'{weights_of(path).name}. Choose another name, such as model.ncnn.param'
        )


def bind_weights(path: Path) -> None:
    """Writes the hash of the ``.bin`` into a file that has :data:`UNKNOWN` in its place.

    Raises:
        ValueError: If it has not.
    """
    text = path.read_text(encoding='utf-8')
    if text.count(UNKNOWN) != 1:
        raise ValueError(f'{path} has no place for the hash of its weights')
    path.write_text(text.replace(UNKNOWN, file_digest(weights_of(path))), encoding='utf-8')


def check_weights(path: Path) -> None:
    """Makes sure that the weights beside a file are those that were written with it.

    Args:
        path: The ``.xml`` or ``.param``; one of an earlier version has no hash.

    Raises:
        ValueError: If they are others, or missing.
    """
    written = ENTRY.search(path.read_bytes())
    if written is None:
        return
    weights = weights_of(path)
    found = file_digest(weights) if weights.is_file() else None
    if found != written[1].decode():
        raise ValueError(
            f'{path} cannot be read: {weights.name} beside it is missing, damaged or of another '
            'export. Copy both files of one export, or export the model again'
        )
