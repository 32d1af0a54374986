"""Writing a traced graph in each of the formats."""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from repnext_mm.compat import require_extra, require_openvino
from repnext_mm.export.size_free import SubsamplingBySlicing
from repnext_mm.export.tasks import ExportGraph
from repnext_mm.runtime.pairs import UNKNOWN, WEIGHTS_KEY, bind_weights
from repnext_mm.runtime.spec import KEY, FileSpec

INPUT = 'images'


class Job(NamedTuple):
    """A file to be written."""

    graph: ExportGraph
    """The module to trace."""

    images: Tensor
    """``(N, H, W, 3)`` uint8; the graph is traced with them."""

    dynamic: bool
    """Whether height and width, and the batch where the graph allows it, stay open."""

    opset: int
    """ONNX opset version."""

    half: bool
    """Whether weights are float16."""

    spec: FileSpec
    """The contract to write into the file."""

    @property
    def module(self) -> nn.Module:
        """The graph as torch's exporters want it."""
        return cast(nn.Module, self.graph)


class Format(NamedTuple):
    """A kind of file."""

    suffix: str
    write: Callable[[Job, Path], None]


def write_onnx(job: Job, path: Path) -> None:
    """Writes ONNX with standard operators only."""
    onnx = require_extra('onnx', 'onnx', 'exporting to ONNX')
    axes: dict[str, Mapping[int, str]] = {}
    if job.dynamic:
        open_axes = {1: 'height', 2: 'width'}
        axes[INPUT] = ({0: 'batch'} if job.graph.dynamic_batch else {}) | open_axes
    axes |= job.graph.dynamic_axes if job.dynamic else job.graph.static_axes
    with warnings.catch_warnings(), torch.no_grad():
        # The tracer warns of every comparison in Python; what it got is run and compared.
        warnings.simplefilter('ignore')
        torch.onnx.export(
            job.module,
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
    entry.key, entry.value = KEY, job.spec.to_text()
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def write_openvino(job: Job, path: Path) -> None:
    """Writes OpenVINO's IR, an ``.xml`` and a ``.bin``, by way of ONNX."""
    openvino = require_openvino('exporting to OpenVINO')
    source = path.with_suffix('.onnx')
    try:
        write_onnx(job, source)
        model = openvino.convert_model(str(source))
        model.set_rt_info(job.spec.to_text(), [KEY])
        model.set_rt_info(UNKNOWN, [WEIGHTS_KEY])
        openvino.save_model(model, str(path), compress_to_fp16=job.half)
        bind_weights(path)
    finally:
        source.unlink(missing_ok=True)


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
        program = torch.export.export(job.module, (images,), dynamic_shapes=(shapes,), strict=False)
        torch.export.save(program, str(path), extra_files={KEY: job.spec.to_text()})


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
