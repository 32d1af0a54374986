"""Pictures and figures written to files, whole or not at all.

The writers of torchvision and OpenCV do not say when the disk is full; Python's files do.
"""

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from repnext_mm.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

JPEG_QUALITY = 95
"""Of JPEG files, as OpenCV has it."""

DOTS = 110
"""Of figures, per inch."""


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


def save_figure(figure: 'Figure', path: str | Path, dots: int = DOTS) -> None:
    """Writes a figure as a PNG file; makes the folder.

    Args:
        figure: What to write.
        path: File.
        dots: Per inch.

    Raises:
        OSError: If the disk does not take it.
    """
    write_bytes(path, figure_png(figure, dots))


def figure_png(figure: 'Figure', dots: int = DOTS, tight: bool = False) -> bytes:
    """A figure as the bytes of a PNG file.

    Args:
        figure: What to draw.
        dots: Per inch.
        tight: Shows all that is drawn and no margin, which changes the size.
    """
    content = io.BytesIO()
    figure.savefig(content, format='png', dpi=dots, bbox_inches='tight' if tight else None)
    return content.getvalue()
