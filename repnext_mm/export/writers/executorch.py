"""ExecuTorch's ``.pte``, by executorch."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from types import ModuleType

import torch

from repnext_mm.compat import require_extra
from repnext_mm.export.job import Job, silent
from repnext_mm.runtime.executorch_session import INSTALL_EXECUTORCH
from repnext_mm.runtime.spec import KEY

COMPILER = 'FLATC_EXECUTABLE'
"""The environment variable in which executorch looks for the compiler of flatbuffers."""


def require_executorch() -> ModuleType:
    """Imports executorch, which writes programs and runs them.

    Raises:
        ImportError: If it is not installed.
    """
    return require_extra('executorch', 'executorch', 'exporting to ExecuTorch', INSTALL_EXECUTORCH)


def write_executorch(job: Job, path: Path) -> None:
    """Writes a program for XNNPACK, and for ExecuTorch's own kernels where that has none.

    The contract is what a method of its own returns.

    Args:
        job: In float32.
        path: Of the file.

    Raises:
        ImportError: If executorch is not installed.
    """
    require_executorch()
    with silent('torch.export', 'root'), compiler_of_flatbuffers(), torch.no_grad():
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        edge = to_edge_transform_and_lower(
            torch.export.export(job.module, (job.images,)),
            partitioner=[XnnpackPartitioner()],
            constant_methods={KEY: job.spec.to_text()},
        )
        path.write_bytes(edge.to_executorch().buffer)


@contextmanager
def compiler_of_flatbuffers() -> Iterator[None]:
    """Names the compiler that executorch brings, which it looks for among the programs of the system."""
    before = os.environ.get(COMPILER)
    with as_file(files('executorch') / 'data' / 'bin' / 'flatc') as program:
        if before is None and program.is_file():
            os.environ[COMPILER] = str(program)
        try:
            yield
        finally:
            if before is None:
                os.environ.pop(COMPILER, None)
