"""Writing a traced graph in each of the formats."""

import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from repnext_mm.compat import require_extra
from repnext_mm.export.size_free import SubsamplingBySlicing
from repnext_mm.runtime.sessions import METADATA

INPUT = 'images'
MINIMUM_OPSET = 16
MAXIMUM_OPSET = 20


class Job(NamedTuple):
    """What is to be written."""

    graph: Any
    """The module, with ``output_names``, ``dynamic_batch``, ``dynamic_axes`` of the outputs, and
    ``static_axes``: those that are open for images of one size too."""

    images: Tensor
    """``(N, H, W, 3)`` uint8; the graph is traced with them."""

    dynamic: bool
    """Whether height and width, and the batch where the graph allows it, stay open."""

    opset: int
    """Of ONNX."""

    half: bool
    metadata: dict[str, Any]


class Format(NamedTuple):
    """A kind of file."""

    suffix: str
    write: Callable[[Job, Path], None]


def check_opset(opset: int) -> None:
    """Makes sure that RoIAlign means in ONNX what it means in torch.

    Raises:
        ValueError: If the opset is unknown to the exporter, or too old: before 16 RoIAlign
            has no half-pixel shift, and what is exported is wrong without any notice.
    """
    if not MINIMUM_OPSET <= opset <= MAXIMUM_OPSET:
        raise ValueError(
            f'opset {opset} does not work: choose one from {MINIMUM_OPSET} (the first in which '
            f'RoIAlign samples as in torch) to {MAXIMUM_OPSET} (the last that torch traces to)'
        )


def write_onnx(job: Job, path: Path) -> None:
    """Writes ONNX with standard operators only."""
    onnx = require_extra('onnx', 'onnx', 'exporting to ONNX')
    axes = {}
    if job.dynamic:
        open_axes = {1: 'height', 2: 'width'}
        axes[INPUT] = ({0: 'batch'} if job.graph.dynamic_batch else {}) | open_axes
    axes |= job.graph.dynamic_axes if job.dynamic else job.graph.static_axes
    with warnings.catch_warnings(), torch.no_grad():
        # The tracer warns of every comparison in Python; what it got is run and compared.
        warnings.simplefilter('ignore')
        torch.onnx.export(
            job.graph,
            (job.images,),
            str(path),
            input_names=[INPUT],
            output_names=list(job.graph.output_names),
            dynamic_axes=axes,
            opset_version=job.opset,
            dynamo=False,
        )
    model = onnx.load(str(path))
    model.producer_name = 'repnext_mm'
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA, json.dumps(job.metadata)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def write_openvino(job: Job, path: Path) -> None:
    """Writes OpenVINO's IR, an ``.xml`` and a ``.bin``, by way of ONNX."""
    openvino = require_extra('openvino', 'openvino', 'exporting to OpenVINO')
    source = path.with_suffix('.onnx')
    try:
        write_onnx(job, source)
        model = openvino.convert_model(str(source))
        model.set_rt_info(json.dumps(job.metadata), [METADATA])
        openvino.save_model(model, str(path), compress_to_fp16=job.half)
    finally:
        source.unlink(missing_ok=True)


def write_torchscript(job: Job, path: Path) -> None:
    """Writes TorchScript, traced."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter('ignore')
        traced = torch.jit.trace(job.graph, job.images, check_trace=False)
        torch.jit.save(traced, str(path), _extra_files={METADATA: json.dumps(job.metadata)})


def write_torch_export(job: Job, path: Path) -> None:
    """Writes a program of ``torch.export``."""
    images = job.images
    shapes: dict[int, Any] = {}
    if job.dynamic:
        shapes = {1: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC}
        if job.graph.dynamic_batch:
            shapes[0] = torch.export.Dim.DYNAMIC
            images = torch.cat([images, images])  # a batch of one would stay one
    with quiet('torch.export'), torch.no_grad(), SubsamplingBySlicing():
        program = torch.export.export(job.graph, (images,), dynamic_shapes=(shapes,), strict=False)
        torch.export.save(program, str(path), extra_files={METADATA: json.dumps(job.metadata)})


@contextmanager
def quiet(name: str) -> Iterator[None]:
    """No warnings at all, and only errors of one logger."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)


FORMATS = {
    'onnx': Format('.onnx', write_onnx),
    'openvino': Format('.xml', write_openvino),
    'torchscript': Format('.torchscript', write_torchscript),
    'torch-export': Format('.pt2', write_torch_export),
}


def format_of(path: Path, name: str | None) -> str:
    """The format with this name, or the one whose files end like ``path``.

    Raises:
        ValueError: If there is none, or name and ending contradict each other.
    """
    endings = {row.suffix: key for key, row in FORMATS.items()}
    if name is None:
        if path.suffix not in endings:
            raise ValueError(
                f'the ending of {path} says no format: end it in one of {tuple(endings)}'
            )
        return endings[path.suffix]
    if name not in FORMATS:
        raise ValueError(f'unknown format {name!r}: choose from {tuple(FORMATS)}')
    if path.suffix != FORMATS[name].suffix:
        raise ValueError(
            f'files of the format {name!r} end in {FORMATS[name].suffix!r}, got {path.name!r}'
        )
    return name
