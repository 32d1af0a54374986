"""Core ML's packages: on a Mac in Core ML, elsewhere their ML program in torch."""

import threading
from pathlib import Path
from typing import Any

import numpy as np

from repnext_mm.compat import require_coremltools
from repnext_mm.runtime.session import Session, named_errors, read_spec


class PackageSession(Session):
    """A ``.mlpackage``, whose contract stands among the entries that its author may add."""

    def open(self) -> None:
        coremltools = require_coremltools(f'running {self.source}')
        with named_errors(self.source):
            self.description = coremltools.utils.load_spec(str(self.source.place))
        entries = self.description.description.metadata.userDefined
        self.spec = read_spec(entries, self.source)
        self.output_names = self.spec.outputs
        with named_errors(self.source):
            self.load(coremltools, self.source.place)

    def load(self, coremltools: Any, path: Path) -> None:
        """Makes ready to run."""
        raise NotImplementedError


class CoreMlSession(PackageSession):
    """A package in Core ML, which only macOS has, by default on the processor alone.

    Runs wait for each other. The input is a picture, as an app gives it.

    Args:
        source: The package.
        **options: Of coremltools' ``MLModel``, such as ``compute_units``.
    """

    def load(self, coremltools: Any, path: Path) -> None:
        chosen = dict(compute_units=coremltools.ComputeUnit.CPU_ONLY) | self.options
        self.model = coremltools.models.MLModel(str(path), **chosen)
        self.lock = threading.Lock()

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        from PIL import Image

        picture = Image.fromarray(images[0].transpose(1, 2, 0).astype(np.uint8))
        with self.lock:
            found = self.model.predict({'images': picture})
        return {name: np.asarray(found[name]) for name in self.output_names}


class MlProgramSession(PackageSession):
    """The ML program of a package, operator by operator in torch, on any system.

    It reads the operators and the weights that stand in the package, and computes them in the types
    that stand there. It is a reference for what the package says, not for how Apple's
    runtime computes it. It needs coremltools, which reads the package, and torch.
    """

    def load(self, coremltools: Any, path: Path) -> None:
        from coremltools.converters.mil.frontend.milproto.load import load

        from repnext_mm.runtime.ml_program import check_operators

        weights = path / 'Data' / 'com.apple.CoreML' / 'weights'
        version = self.description.specificationVersion
        program = load(self.description, version, file_weights_dir=str(weights))
        (self.function,) = program.functions.values()
        check_operators(self.function)

    def wake(self) -> None:
        """Goes on with one thread of torch: the others stay behind in a fork."""
        import torch

        torch.set_num_threads(1)

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        from repnext_mm.runtime.ml_program import run_function

        outputs = run_function(self.function, images)
        return {name: outputs[name] for name in self.output_names}
