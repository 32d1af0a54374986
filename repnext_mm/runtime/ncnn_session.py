"""ncnn's files in ncnn."""

from pathlib import Path
from typing import Any

import numpy as np

from repnext_mm.compat import require_extra
from repnext_mm.runtime.pairs import UNKNOWN, WEIGHTS_KEY, check_weights, weights_of
from repnext_mm.runtime.session import Session, read_spec
from repnext_mm.runtime.source import ModelSource
from repnext_mm.runtime.spec import KEY, FileSpec

CONTRACT_LINE = f'<{KEY}>'
"""How the line with the contract begins."""


def contract_lines(spec: FileSpec) -> str:
    """The lines behind the layers of a ``.param``, with a place for the hash of its weights."""
    return f'<{WEIGHTS_KEY} value="{UNKNOWN}"/>\n{CONTRACT_LINE}{spec.to_text()}\n'


def _entries(path: Path) -> dict[str, str]:
    text = path.read_text(encoding='utf-8', errors='replace')
    _, found, contract = text.partition(f'\n{CONTRACT_LINE}')
    return {KEY: contract.strip()} if found else {}


class NcnnSession(Session):
    """A ``.param`` with its ``.bin`` in ncnn, on the CPU, in the precision of the file.

    Args:
        source: The ``.param``.
        num_threads: None for ncnn's own choice.
    """

    native = ('net',)

    def __init__(self, source: ModelSource | Path, *, num_threads: int | None = None):
        super().__init__(source, num_threads=num_threads)

    def open(self) -> None:
        ncnn = require_extra('ncnn', 'ncnn', f'running {self.source}')
        path = self.source.place
        check_weights(path)  # before ncnn reads weights of other layers
        self.spec = read_spec(_entries(path), self.source)
        self.net = ncnn.Net()
        self.set_options(self.options['num_threads'])
        # Each says by its status, and on the standard error, that it could not read.
        if self.net.load_param(str(path)) or self.net.load_model(str(weights_of(path))):
            raise ValueError(f'{self.source} cannot be opened by ncnn {ncnn.__version__}')
        self.output_names = self.spec.outputs
        self.matrix: Any = ncnn.Mat

    def set_options(self, num_threads: int | None) -> None:
        """Chooses how the net that is not loaded yet computes."""
        options, half = self.net.opt, self.spec.precision == 'float16'
        options.use_vulkan_compute = options.use_bf16_storage = False
        # On processors with such units it would round float32 files, too.
        options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = half
        if num_threads is not None:
            options.num_threads = num_threads

    def wake(self) -> None:
        """Goes on with one thread: OpenMP's others stay behind in a fork."""
        self.options = self.options | dict(num_threads=1)
        self.open()

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        found = {}
        with self.net.create_extractor() as extractor:
            # A Mat of an array does not keep it: `images` must outlive it.
            extractor.input('images', self.matrix(images[0]).clone())
            for name in self.output_names:
                status, output = extractor.extract(name)
                if status:
                    raise RuntimeError(f'ncnn could not compute {name} (status {status})')
                found[name] = np.array(output)[None]
        return found
