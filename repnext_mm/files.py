"""Writing files that are whole or not there."""

import os
from pathlib import Path


def write_text(path: str | Path, text: str) -> None:
    """Writes ``text`` to a temporary file and renames it to ``path``; makes its folder."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        draft.write_text(text, encoding='utf-8')
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
