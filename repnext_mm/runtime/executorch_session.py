"""ExecuTorch's programs in ExecuTorch."""

import threading
import warnings

import numpy as np

from repnext_mm.compat import require_extra
from repnext_mm.runtime.session import Session, named_errors, read_spec
from repnext_mm.runtime.spec import KEY

INSTALL_EXECUTORCH = 'requirements/executorch.txt of a clone says how to install it'
"""Its versions each belong to one of torch, and its own requirements would change others."""


class ExecuTorchSession(Session):
    """A ``.pte`` in ExecuTorch, on the CPU. Threads that share it wait for each other."""

    native = ('method',)

    def open(self) -> None:
        require_extra('executorch', 'executorch', f'running {self.source}', INSTALL_EXECUTORCH)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # it says of itself that it may change
            from executorch.runtime import Runtime
        with named_errors(self.source):
            program = Runtime.get().load_program(str(self.source.place))
            entries = program.load_method(KEY).execute([]) if KEY in program.method_names else ['']
        self.spec = read_spec({KEY: entries[0]}, self.source)
        with named_errors(self.source):
            self.method = program.load_method('forward')
        self.lock = threading.Lock()
        self.output_names = self.spec.outputs

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        import torch

        # In order of the axes, also where one has a length of one.
        given = torch.from_numpy(images).clone(memory_format=torch.contiguous_format)
        with self.lock:  # the outputs are in memory of the method
            outputs = [value.numpy().copy() for value in self.method.execute([given])]
        return dict(zip(self.output_names, outputs, strict=True))
