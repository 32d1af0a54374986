"""Where a model comes from: a file by its path, or the content of one."""

import os
from dataclasses import dataclass
from pathlib import Path

from repnext_mm.runtime.images import check_no_address

ARCHIVE, MARKUP = b'PK\x03\x04', b'<'
"""How a program of ``torch.export`` begins, and how an ``.xml`` does."""


@dataclass(frozen=True)
class ModelSource:
    """An exported file, or what stands in one."""

    path: Path | None
    """As it was given; None for content."""

    content: bytes | None = None
    """None for a path."""

    folder: Path | None = None
    """The working folder at that time, to which a relative path belongs."""

    @property
    def suffix(self) -> str:
        """The ending that says the format; for content, told from how it begins."""
        if self.path is not None:
            return self.path.suffix
        return '.pt2' if (self.content or b'').startswith(ARCHIVE) else '.onnx'

    @property
    def place(self) -> Path:
        """The path, whatever the working folder is now.

        Raises:
            ValueError: Of content.
        """
        if self.path is None:
            raise ValueError(f'{self} is in no file')
        return self.path if self.folder is None else self.folder / self.path

    def __str__(self) -> str:
        return str(self.path) if self.path else f'this model of {len(self.content or b""):,} bytes'


def model_source(given: str | os.PathLike | bytes | bytearray | memoryview) -> ModelSource:
    """Takes what a user calls a model.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is a URL, or content that cannot be read without a second file.
        TypeError: If it is neither a path nor bytes.
    """
    if isinstance(given, bytes | bytearray | memoryview):
        content = bytes(given)
        if content.lstrip()[:1] == MARKUP:
            raise ValueError(
                'these bytes are the .xml of OpenVINO, which has its weights in a second file: give '
                'the path of the .xml, or the content of an ONNX file'
            )
        return ModelSource(None, content)
    if not isinstance(given, str | os.PathLike):
        raise TypeError(
            f'a model is the path of an exported file or its content as bytes, got {type(given).__name__}'
        )
    check_no_address(given, 'model', 'download the file, and give its path or its bytes')
    path = Path(given)
    folder = None if path.is_absolute() else Path.cwd()
    return ModelSource(path, None, folder)
