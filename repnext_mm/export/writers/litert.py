"""LiteRT's ``.tflite``, by litert-torch."""

import zipfile
from pathlib import Path
from types import ModuleType

from repnext_mm.compat import require_extra
from repnext_mm.export.job import Job, silent
from repnext_mm.runtime.litert_session import CONTRACT_FILE

INSTALL_CONVERTER = 'requirements/litert.txt of a clone says how to install it'
"""Its own requirements would bring transformers, beside which mmpretrain cannot be imported."""


def require_litert_converter() -> ModuleType:
    """Imports litert-torch, and the runtime in which its files are compared.

    Raises:
        ImportError: If one is not installed.
    """
    require_extra('ai_edge_litert', 'litert', 'running LiteRT files')
    return require_extra('litert_torch', 'litert', 'exporting to LiteRT', INSTALL_CONVERTER)


def write_litert(job: Job, path: Path) -> None:
    """Writes a flatbuffer, and behind it an archive with the file's contract.

    That is how TensorFlow Lite packs labels into a model: runtimes read the front alone, and
    ``unzip`` the back alone.

    Args:
        job: In float32.
        path: Of the file.

    Raises:
        ImportError: If litert-torch is not installed.
    """
    litert_torch = require_litert_converter()
    with silent('torch.export'):
        content = litert_torch.convert(job.module, (job.images,)).model_content()
    path.write_bytes(content)
    with zipfile.ZipFile(path, 'a') as archive:
        archive.writestr(CONTRACT_FILE, job.spec.to_text())
