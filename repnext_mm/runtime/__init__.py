"""Exported files in use: an image in, what is in it out. Needs none of the mm packages."""

from pathlib import Path
from typing import Any

from repnext_mm.runtime.classifier import Classifier
from repnext_mm.runtime.detector import Detections, Detector, paste_masks
from repnext_mm.runtime.network import ExportedNetwork
from repnext_mm.runtime.segmentor import Segmentor
from repnext_mm.runtime.sessions import SESSIONS, Session, open_session
from repnext_mm.runtime.spec import FileSpec, InputSpec

__all__ = [
    'READERS',
    'SESSIONS',
    'Classifier',
    'Detections',
    'Detector',
    'ExportedNetwork',
    'FileSpec',
    'InputSpec',
    'Segmentor',
    'Session',
    'open_reader',
    'open_session',
    'paste_masks',
]

READERS: dict[str, type[ExportedNetwork]] = {
    reader.task: reader for reader in (Detector, Segmentor, Classifier)
}
"""By task."""


def open_reader(
    source: str | Path | Session, runtime: str | None = None, **options: Any
) -> ExportedNetwork:
    """Opens an exported network, whatever its task is.

    Args:
        source: As for :class:`ExportedNetwork`, like the others.
        runtime: For a path.
        **options: For a path.

    Raises:
        ValueError: If the file puts out features; else as :class:`ExportedNetwork`.
    """
    session = source if isinstance(source, Session) else open_session(source, runtime, **options)
    task = session.spec.task
    if task not in READERS:
        raise ValueError(
            f'{session.path} puts out {task}, which no reader and no metric takes: export with '
            'part="model", or open it with open_session'
        )
    return READERS[task](session)
