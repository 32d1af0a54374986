"""Exported files in use: an image in, what is in it out. Needs none of the mm packages, nor torch.

The readers need NumPy, the file's runtime, and OpenCV or Pillow to read and resize images; programs
of ``torch.export`` need torch.
"""

from typing import Any

from repnext_mm.runtime.classifier import Classifier
from repnext_mm.runtime.detections import Detections, FoundObject
from repnext_mm.runtime.detector import Detector
from repnext_mm.runtime.images import read_image
from repnext_mm.runtime.masks import BoxMask, decode_mask, encode_mask, paste_masks
from repnext_mm.runtime.network import ExportedNetwork, Model
from repnext_mm.runtime.segmentor import Segmentor
from repnext_mm.runtime.sessions import SESSIONS, Session, open_session
from repnext_mm.runtime.spec import FileSpec, InputSpec

__all__ = [
    'READERS',
    'SESSIONS',
    'BoxMask',
    'Classifier',
    'Detections',
    'Detector',
    'ExportedNetwork',
    'FileSpec',
    'FoundObject',
    'InputSpec',
    'Segmentor',
    'Session',
    'decode_mask',
    'encode_mask',
    'open_reader',
    'open_session',
    'paste_masks',
    'read_image',
]

READERS: dict[str, type[ExportedNetwork]] = {
    reader.task: reader for reader in (Detector, Segmentor, Classifier)
}
"""By task."""


def open_reader(source: Model, runtime: str | None = None, **options: Any) -> ExportedNetwork:
    """Opens an exported network, whatever its task is.

    Args:
        source: As for :class:`ExportedNetwork`, like the others.
        runtime: For a path or bytes.
        **options: Of the reader, such as ``score_threshold`` of :class:`Detector`, and for a path
            or bytes those of the runtime.

    Raises:
        TypeError: If the reader of this task has no such option.
        ValueError: If the file puts out features; else as :class:`ExportedNetwork`.
    """
    known = {name for reader in READERS.values() for name in reader.own_options}
    own = {name: options.pop(name) for name in known & set(options)}
    session = source if isinstance(source, Session) else open_session(source, runtime, **options)
    task = session.spec.task
    if task not in READERS:
        raise ValueError(
            f'{session.source} puts out {task}, which no reader and no metric takes: export with '
            'part="model", or open it with open_session'
        )
    reader = READERS[task]
    foreign = sorted(set(own) - set(reader.own_options))
    if foreign:
        raise TypeError(
            f'{session.source} is for {task}, whose reader has no {", ".join(foreign)}: leave it out'
        )
    return reader(session, **own)
