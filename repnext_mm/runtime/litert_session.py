"""LiteRT's files in LiteRT."""

import threading
import zipfile
from pathlib import Path

import numpy as np

from repnext_mm.compat import require_extra
from repnext_mm.runtime.session import Session, named_errors, read_spec
from repnext_mm.runtime.source import ModelSource
from repnext_mm.runtime.spec import KEY

CONTRACT_FILE = f'{KEY}.json'
"""The name of the contract in the archive behind the model."""


def _entries(path: Path) -> dict[str, str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return {KEY: archive.read(CONTRACT_FILE).decode('utf-8', 'replace')}
    except (zipfile.BadZipFile, KeyError):
        return {}


class LiteRtSession(Session):
    """A ``.tflite`` in LiteRT, on the CPU. Threads that share it wait for each other.

    Args:
        source: The file.
        num_threads: None for LiteRT's own choice, one.
    """

    native = ('interpreter',)

    def __init__(self, source: ModelSource | Path, *, num_threads: int | None = None):
        super().__init__(source, num_threads=num_threads)

    def open(self) -> None:
        require_extra('ai_edge_litert', 'litert', f'running {self.source}')
        from ai_edge_litert.interpreter import Interpreter

        path = self.source.place
        self.spec = read_spec(_entries(path), self.source)
        self.lock = threading.Lock()
        with named_errors(self.source):
            self.interpreter = Interpreter(str(path), **self.options)
            self.interpreter.allocate_tensors()
        (self.input,) = [row['index'] for row in self.interpreter.get_input_details()]
        self.outputs = [row['index'] for row in self.interpreter.get_output_details()]
        self.output_names = self.spec.outputs

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        with self.lock:
            self.interpreter.set_tensor(self.input, images)
            self.interpreter.invoke()
            outputs = [self.interpreter.get_tensor(index) for index in self.outputs]
        return dict(zip(self.output_names, outputs, strict=True))
