"""Exported files, opened in the runtime that reads them."""

import os
import sys
from pathlib import Path
from typing import Any

from repnext_mm.runtime.coreml_session import CoreMlSession, MlProgramSession
from repnext_mm.runtime.executorch_session import ExecuTorchSession
from repnext_mm.runtime.litert_session import LiteRtSession
from repnext_mm.runtime.ncnn_session import NcnnSession
from repnext_mm.runtime.onnxruntime_session import OnnxRuntimeSession
from repnext_mm.runtime.opencv_session import OpenCvSession
from repnext_mm.runtime.openvino_session import OpenVinoSession
from repnext_mm.runtime.session import Session, read_spec
from repnext_mm.runtime.source import ModelSource, model_source
from repnext_mm.runtime.torch_session import ExportedProgramSession

__all__ = ['SESSIONS', 'ModelSource', 'Session', 'can_run_code', 'open_session', 'read_spec']

PACKAGE_RUNTIMES: dict[str, type[Session]] = {'ml-program': MlProgramSession}
if sys.platform == 'darwin':
    PACKAGE_RUNTIMES = {'coreml': CoreMlSession} | PACKAGE_RUNTIMES
FOLDERS = ('.mlpackage',)
"""The endings of files that are folders."""

SESSIONS: dict[str, dict[str, type[Session]]] = {
    '.onnx': {
        'onnxruntime': OnnxRuntimeSession,
        'openvino': OpenVinoSession,
        'opencv': OpenCvSession,
    },
    '.xml': {'openvino': OpenVinoSession},
    '.pt2': {'torch': ExportedProgramSession},
    '.mlpackage': PACKAGE_RUNTIMES,
    '.tflite': {'litert': LiteRtSession},
    '.pte': {'executorch': ExecuTorchSession},
    '.param': {'ncnn': NcnnSession},
}
"""For each ending of a file the runtimes that read it, the default one first."""


def open_session(
    path: str | os.PathLike | bytes,
    runtime: str | None = None,
    *,
    trust: bool = False,
    **options: Any,
) -> Session:
    """Opens an exported file.

    Args:
        path: Ends in one of :data:`SESSIONS`; or the content of such a file, but for OpenVINO's,
            which are two.
        runtime: One of those that read such files; None for the first of them.
        trust: Open a file that can run code, a program of ``torch.export``. ONNX and OpenVINO's
            files are data and need no trust.
        **options: ``device``, such as ``'cuda'``, for ONNX Runtime and torch; further those of ONNX
            Runtime's ``InferenceSession`` or OpenVINO's ``compile_model``. All use the CPU by default.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If the runtime is not installed; the message names what to install.
        TypeError: If it is neither a path nor bytes.
        ValueError: If the ending or the runtime is unknown, the file is not of this exporter, its
            runtime cannot open it, or it can run code and is not trusted; or if it is a URL.
    """
    source = model_source(path)
    suffix = source.suffix
    if suffix not in SESSIONS:
        raise ValueError(f'{source} is no exported file: those end in {tuple(SESSIONS)}')
    place = source.path
    if place and not (place.is_dir() if suffix in FOLDERS else place.is_file()):
        raise FileNotFoundError(f'there is no exported file {source}: tools/export.py writes them')
    runtimes = SESSIONS[suffix]
    if runtime is not None and runtime not in runtimes:
        raise ValueError(f'unknown runtime {runtime!r} for {suffix}: choose from {tuple(runtimes)}')
    session = runtimes[runtime or next(iter(runtimes))]
    if session.can_run_code and not trust:
        raise ValueError(
            f'{source} was not opened: a {suffix} file can run code when it is opened, and not '
            'everything in it can be checked. If you know who made it, say so with trust=True; ONNX and '
            'OpenVINO files are data and need no trust'
        )
    return session(source, **options)


def can_run_code(path: str | Path) -> bool:
    """Whether opening a file of this name can run code from it, so that it must be trusted."""
    return any(session.can_run_code for session in SESSIONS.get(Path(path).suffix, {}).values())
