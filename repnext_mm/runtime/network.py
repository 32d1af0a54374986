"""What all exported networks share."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchvision.io import write_png

from repnext_mm.files import replaced
from repnext_mm.runtime.sessions import Session, open_session
from repnext_mm.runtime.size_rules import Prepared, apply_rules, fit_static
from repnext_mm.visualization.instances import class_colours

Image = str | Path | np.ndarray


class ExportedNetwork:
    """What all kinds of exported networks share.

    Args:
        source: File of ``tools/export.py``, or one that is open already.
        runtime: ``'onnxruntime'`` or ``'openvino'`` for ONNX; None for the first of them.
        **options: Of the runtime; see :func:`repnext_mm.export.open_session`.

    Attributes:
        metadata: What the exporter wrote into the file.
        classes: Names of the classes; empty where they are unknown.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If the runtime is not installed.
        ValueError: If the file is of another task or not of this exporter.
    """

    task: str

    def __init__(self, source: str | Path | Session, runtime: str | None = None, **options: Any):
        if not isinstance(source, Session):
            source = open_session(source, runtime, **options)
        self.session = source
        self.metadata = self.session.metadata
        if self.metadata['task'] != self.task:
            raise ValueError(
                f'{self.session.path} is for {self.metadata["task"]}, not {self.task}: open it '
                'with repnext_mm.export.open_reader, or open_session if it puts out features'
            )
        self.classes: list[str] = self.metadata['classes'] or []

    def prepare(self, image: np.ndarray) -> Prepared:
        """Resizes an image ``(H, W, 3)`` as the test pipeline of the exported config does."""
        return apply_rules(image, self.metadata['resize'] or [])

    def fit(self, resized: np.ndarray) -> Prepared:
        """Scales a resized image down and pads it, if the file takes one size only."""
        static = self.metadata['input']['static_shape']
        if static is None:
            return Prepared(resized, (1.0, 1.0))
        return fit_static(resized, static, self.padding)

    @property
    def padding(self) -> list[float]:
        """The colour that normalization turns into zero."""
        mean = self.metadata['input']['mean']
        mean = mean if len(mean) == 3 else [mean[0]] * 3
        reverse = self.metadata['input']['network_channel_order'] == 'BGR'
        return mean[::-1] if reverse else mean

    def colours(self, count: int) -> list[tuple[int, int, int]]:
        """One for each class: the dataset's, or others that can be told apart."""
        palette = self.metadata['palette'] or []
        if len(palette) >= count:
            return [(int(red), int(green), int(blue)) for red, green, blue in palette]
        return list(class_colours(count))


def save_picture(picture: np.ndarray, path: str | Path) -> None:
    """Writes ``(H, W, 3)`` uint8 as PNG."""
    tensor = torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()
    with replaced(path) as draft:
        write_png(tensor, str(draft))
