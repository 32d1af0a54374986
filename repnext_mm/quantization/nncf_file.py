"""Exported files in 8 bits by NNCF, the tool of OpenVINO: an ``.xml`` with its ``.bin``."""

import contextlib
import io
import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from repnext_mm.compat import require_extra, require_openvino
from repnext_mm.files import check_place, replaced
from repnext_mm.runtime import FileSpec, open_session
from repnext_mm.runtime.openvino_session import openvino_core
from repnext_mm.runtime.pairs import UNKNOWN, WEIGHTS_KEY, bind_weights
from repnext_mm.runtime.spec import KEY

METHOD = 'nncf'
"""Its name among the methods of ``tools/quantize.py``."""

SOURCES = ('.onnx', '.xml')


def quantize_with_nncf(
    source: str | Path, target: str | Path, images: Iterable[np.ndarray]
) -> FileSpec:
    """Writes a version of an exported file whose layers NNCF has put in 8 bits, for OpenVINO.

    NNCF chooses the layers by its rules for OpenVINO's processors, and corrects biases by what
    rounding moved.

    Args:
        source: Float ``.onnx`` or ``.xml`` file of ``tools/export.py``; it is only read.
        target: File to write, an ``.xml``.
        images: ``(H, W, 3)`` uint8, RGB, of the network's size, for calibration.

    Returns:
        The contract of the new file.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If openvino or nncf is missing.
        OSError: If the place of the target is taken.
        ValueError: If the file cannot be quantized, or there is no image.
    """
    openvino = require_openvino('quantizing for OpenVINO')
    nncf = require_extra('nncf', 'nncf', 'quantizing with NNCF')
    spec = nncf_source(source, target)
    samples = list(images)
    if not samples:
        raise ValueError('calibration needs at least one image')
    with _in_silence(nncf):
        model = nncf.quantize(
            openvino_core(openvino).read_model(str(source)),
            nncf.Dataset(samples, lambda image: image[None]),
            subset_size=len(samples),
        )
    details = dict(method=METHOD, images=len(samples), nncf=nncf.__version__)
    spec = replace(spec, precision='int8', quantization=details)
    with replaced(target) as draft:
        model.set_rt_info(spec.to_text(), [KEY])
        model.set_rt_info(UNKNOWN, [WEIGHTS_KEY])
        openvino.save_model(model, str(draft), compress_to_fp16=False)
        bind_weights(draft)
        open_session(draft)  # a file that does not open is not kept
    return spec


def nncf_source(source: str | Path, target: str | Path) -> FileSpec:
    """The contract of a float file that NNCF can make a file in 8 bits of.

    Args:
        source: The float file.
        target: The file to write.

    Raises:
        FileNotFoundError: If there is no such file.
        OSError: If the place of the target is taken.
        ValueError: If one of them is no such file, or the source is not in float32.
    """
    check_place(target)
    if Path(source).suffix not in SOURCES:
        raise ValueError(f'NNCF quantizes {" and ".join(SOURCES)} files, got {source}')
    if Path(target).suffix != '.xml' or Path(target).resolve() == Path(source).resolve():
        raise ValueError(f'NNCF writes another .xml file for OpenVINO, got {target}')
    spec = open_session(source, 'openvino').spec
    if spec.precision != 'float32':
        raise ValueError(f'{source} is in {spec.precision}: export the model in float32')
    return spec


@contextlib.contextmanager
def _in_silence(nncf: Any) -> Any:
    """NNCF prints what it does, and bars."""
    logger = nncf.common.logging.logger.nncf_logger if hasattr(nncf, 'common') else None
    level = logger.level if logger else None
    try:
        if logger:
            logger.setLevel(logging.ERROR)
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        if logger:
            logger.setLevel(level)
