"""Pictures written to files, whole or not at all.

The writers of torchvision and OpenCV do not say when the disk is full; Python's files do.
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from repnext_mm.files import write_bytes

JPEG_QUALITY = 95
"""Of JPEG files, as OpenCV has it."""


def save_picture(picture: np.ndarray, path: str | Path) -> None:
    """Writes ``(H, W, 3)`` uint8 in RGB; makes the folder.

    Args:
        picture: What to write.
        path: File whose suffix says the format, such as ``.png`` or ``.jpg``.

    Raises:
        ValueError: If no format has this suffix.
        OSError: If the disk does not take it.
    """
    formats = Image.registered_extensions()
    suffix = Path(path).suffix.lower()
    if suffix not in formats:
        raise ValueError(f'{path} has no suffix of a picture: name it .png or .jpg')
    content = io.BytesIO()
    Image.fromarray(np.asarray(picture)).save(content, formats[suffix], quality=JPEG_QUALITY)
    write_bytes(path, content.getvalue())
