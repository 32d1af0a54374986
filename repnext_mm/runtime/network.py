"""The base of all readers of exported networks."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from repnext_mm.runtime.sessions import Session, open_session
from repnext_mm.runtime.size_rules import Prepared, apply_rules, fit_static
from repnext_mm.runtime.spec import FileSpec
from repnext_mm.visualization.colours import class_colours

Image = str | Path | np.ndarray


class ExportedNetwork:
    """An exported network, opened; the base of the readers.

    Args:
        source: File of ``tools/export.py``, or one that is open already.
        runtime: ``'onnxruntime'`` or ``'openvino'`` for ONNX; None for the first of them.
        **options: ``trust=True`` for a file that can run code, and those of the runtime; see
            :func:`repnext_mm.export.open_session`.

    Attributes:
        spec: The contract that the exporter wrote into the file.
        classes: Names of the classes; empty where they are unknown.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If the runtime is not installed.
        ValueError: If the file is of another task, not of this exporter, or not trusted.
    """

    task: ClassVar[str]
    """The task of the files that this class reads."""

    def __init__(self, source: str | Path | Session, runtime: str | None = None, **options: Any):
        self.session = (
            source if isinstance(source, Session) else open_session(source, runtime, **options)
        )
        self.spec: FileSpec = self.session.spec
        if self.spec.task != self.task:
            raise ValueError(
                f'{self.session.path} is for {self.spec.task}, not {self.task}: open it '
                'with repnext_mm.export.open_reader, or open_session if it puts out features'
            )
        self.classes = list(self.spec.classes or [])

    @property
    def metadata(self) -> dict[str, Any]:
        """The contract as the plain values that stand in the file."""
        return self.spec.to_json()

    def prepare(self, image: np.ndarray) -> Prepared:
        """Resizes an image ``(H, W, 3)`` as the test pipeline of the exported config does."""
        return apply_rules(image, self.spec.resize or ())

    def fit(self, resized: np.ndarray) -> Prepared:
        """Scales a resized image down and pads it, if the file takes one size only."""
        static = self.spec.input.static_shape
        if static is None:
            return Prepared(resized, (1.0, 1.0))
        return fit_static(resized, static, self.spec.input.padding_colour)

    def colours(self, count: int) -> list[tuple[int, int, int]]:
        """One for each class: the dataset's, or others that can be told apart."""
        palette = self.spec.palette or ()
        return list(palette if len(palette) >= count else class_colours(count))
