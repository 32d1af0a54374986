"""Writing files that are whole or not there."""

import tempfile
from pathlib import Path


def write_text(path: str | Path, text: str) -> None:
    """Writes ``text`` to a temporary file and renames it to ``path``; makes its folder."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        'w', dir=path.parent, prefix=path.name, suffix='.tmp', delete=False, encoding='utf-8'
    ) as file:
        file.write(text)
    Path(file.name).replace(path)
