"""The float file that is quantized, what it takes, and the metadata of the 8-bit file."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from repnext_mm.compat import require_extra
from repnext_mm.files import check_place
from repnext_mm.quantization.simplification import PURPOSE
from repnext_mm.runtime.sessions import read_spec
from repnext_mm.runtime.spec import FileSpec


class SourceFile:
    """A float ONNX file of ``tools/export.py``; it is only read.

    Args:
        path: The file.

    Attributes:
        path: The file.
        spec: The contract that the exporter wrote into the file.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If onnx is missing.
        ValueError: If it is not a float32 ONNX file of this exporter.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.spec = read_spec(_metadata_entries(self.path), self.path)
        precision = self.spec.precision
        if precision == 'int8':
            raise ValueError(f'{path} is quantized already: start from the float file')
        if precision != 'float32':
            raise ValueError(f'{path} is in {precision}: export the model in float32 (half=False)')
        if self.spec.input.float_input:
            raise ValueError(f'{path} takes float images: export the model with float_input=False')

    def check_images(self, images: Iterable[np.ndarray]) -> None:
        """Makes sure that images are what the file takes.

        Raises:
            ValueError: The message names type and shape of the first that is not, and those that
                the file takes.
        """
        static = self.spec.input.static_shape
        for image in images:
            shape, dtype = np.shape(image), getattr(image, 'dtype', None)
            if dtype != np.uint8 or len(shape) != 3 or shape[2] != 3:
                raise ValueError(
                    'calibration takes RGB images of shape (H, W, 3) in uint8, got '
                    f'{dtype} of shape {shape}'
                )
            if static is not None and shape[:2] != static:
                raise ValueError(
                    f'{self.path} takes only images of {static[0]} x {static[1]} pixels (height x '
                    f'width), got {shape[0]} x {shape[1]}: prepare them with its reader'
                )

    def quantized_spec(self, quantization: dict[str, Any]) -> FileSpec:
        """The contract of an 8-bit version of the file.

        Args:
            quantization: How it was quantized, plain values.
        """
        return replace(self.spec, precision='int8', quantization=quantization)


def _metadata_entries(path: Path) -> dict[str, str]:
    """The entries that an ONNX file carries as metadata."""
    if path.suffix != '.onnx':
        raise ValueError(f'only ONNX files are quantized, got {path}: export to model.onnx')
    if not path.is_file():
        raise FileNotFoundError(f'there is no exported file {path}: tools/export.py writes them')
    onnx = require_extra('onnx', 'onnx', PURPOSE)
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(str(path), load_external_data=False)
    except DecodeError as error:
        raise ValueError(f'{path} cannot be opened: {error}') from error
    return {entry.key: entry.value for entry in model.metadata_props}


def check_quantized_path(source: str | Path, target: str | Path) -> None:
    """Makes sure that an 8-bit version of a file may be written there.

    Args:
        source: The float file.
        target: The file to write.

    Raises:
        OSError: If the place is taken (:func:`~repnext_mm.files.check_place`).
        ValueError: If the target is the source, or no ``.onnx``.
    """
    check_place(target)
    if Path(target).suffix != '.onnx' or Path(target).resolve() == Path(source).resolve():
        raise ValueError(f'the quantized file must be another .onnx file, got {target}')
