"""Writing a traced graph in each of the formats."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from repnext_mm.compat import require_extra, require_openvino
from repnext_mm.export.job import INPUT, Job, quiet
from repnext_mm.export.onnx_graph import without_choices_of_rank
from repnext_mm.export.options import ExportOptions
from repnext_mm.export.size_free import SubsamplingBySlicing
from repnext_mm.export.tasks import Task
from repnext_mm.export.untraceable import check_standard, writing
from repnext_mm.export.writers import coreml, executorch, litert, ncnn
from repnext_mm.runtime.pairs import UNKNOWN, WEIGHTS_KEY, bind_weights
from repnext_mm.runtime.spec import KEY


class Format(NamedTuple):
    """A kind of file."""

    suffix: str
    write: Callable[[Job, Path], None]

    require: Callable[[], object] = lambda: None
    """Imports the packages that writing and comparing take, where these are not at hand anyway; raises
    an ImportError that says what to install."""

    fixed: Mapping[str, Any] = {}
    """Options that all files of this kind have, whatever is asked for."""

    refused: Mapping[str, str] = {}
    """What files of this kind cannot hold, and why: keys of :func:`asked_of`."""

    casts: bool = False
    """Whether the writer makes float16 of a graph in float32 itself."""

    folder: bool = False
    """Whether such a file is a folder."""


def write_onnx(job: Job, path: Path) -> None:
    """Writes ONNX with standard operators only."""
    onnx = require_extra('onnx', 'onnx', 'exporting to ONNX')
    axes: dict[str, Mapping[int, str]] = {}
    if job.dynamic:
        open_axes = dict(zip(job.spec.input.side_axes, ('height', 'width'), strict=True))
        axes[INPUT] = ({0: 'batch'} if job.dynamic_batch else {}) | open_axes
    axes |= job.graph.dynamic_axes if job.dynamic else job.graph.static_axes
    # The tracer warns of every comparison in Python; what it got is run and compared.
    with quiet(), torch.no_grad(), writing(job.spec.part, job.dynamic):
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
    check_standard(model, job.spec.part, job.dynamic)
    without_choices_of_rank(model)
    model.producer_name = 'repnext_mm'
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, job.spec.to_text()
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def write_openvino(job: Job, path: Path) -> None:
    """Writes OpenVINO's IR, an ``.xml`` and a ``.bin``, by way of ONNX."""
    openvino = require_openvino('exporting to OpenVINO')
    source = path.with_name(f'{path.stem}-source.onnx')
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
        shapes = dict.fromkeys(job.spec.input.side_axes, torch.export.Dim.DYNAMIC)
        if job.dynamic_batch:
            shapes[0] = torch.export.Dim.DYNAMIC
            if len(images) == 1:
                images = torch.cat([images, images])  # a batch of one would stay one
    with quiet('torch.export'), torch.no_grad(), SubsamplingBySlicing():
        program = torch.export.export(job.module, (images,), dynamic_shapes=(shapes,), strict=False)
        torch.export.save(program, str(path), extra_files={KEY: job.spec.to_text()})


NO_DETECTORS = {
    'detection': 'it has no operators for a number of objects that depends on the image, as after '
    'non-maximum suppression'
}
NO_HALF = {'half': 'its files are written in float32 alone'}
FORMATS = {
    'onnx': Format('.onnx', write_onnx),
    'openvino': Format('.xml', write_openvino),
    'torch-export': Format('.pt2', write_torch_export),
    'coreml': Format(
        '.mlpackage',
        coreml.write_coreml,
        coreml.require_coreml_converter,
        fixed=dict(static=True, float_input=True),
        refused=NO_DETECTORS,
        casts=True,
        folder=True,
    ),
    'litert': Format(
        '.tflite',
        litert.write_litert,
        litert.require_litert_converter,
        fixed=dict(static=True),
        refused=NO_DETECTORS | NO_HALF,
    ),
    'executorch': Format(
        '.pte',
        executorch.write_executorch,
        executorch.require_executorch,
        fixed=dict(static=True),
        refused=NO_DETECTORS | NO_HALF,
    ),
    'ncnn': Format(
        '.param',
        ncnn.write_ncnn,
        ncnn.require_pnnx,
        fixed=dict(static=True, float_input=True),
        refused=NO_DETECTORS | {'argmax': 'ncnn has no operator for the class of a pixel'},
        casts=True,
    ),
}
"""By name."""


def settled(options: ExportOptions) -> ExportOptions:
    """The options with those that every file of the format has."""
    return replace(options, **FORMATS[str(options.format)].fixed)


def casts_itself(name: str | None) -> bool:
    """Whether files of a format, or of none yet, get float16 from a graph in float32."""
    return name is not None and FORMATS[name].casts


def asked_of(task: Task[Any, Any], options: ExportOptions) -> dict[str, bool]:
    """What an export asks a format for, of what some formats cannot hold."""
    return {
        'detection': task.name == 'detection',
        'half': options.half,
        'argmax': options.argmax,
    }


def check_format(task: Task[Any, Any], options: ExportOptions) -> None:
    """Makes sure that a format can hold what is to be exported.

    Args:
        task: What the model does.
        options: With or without a format.

    Raises:
        ValueError: If it cannot; the message says why, and what to do.
    """
    if options.format is None:
        return
    asked = asked_of(task, options)
    for what, reason in FORMATS[options.format].refused.items():
        if asked[what]:
            name, advice = REFUSALS[what]
            raise ValueError(f'{name} cannot be exported to {options.format}: {reason}. {advice}')


REFUSALS = {
    'detection': (
        'a whole detector',
        'Export its backbone and neck (part="backbone-neck"), or the whole to ONNX',
    ),
    'half': ('float16', 'Leave half out'),
    'argmax': ('argmax', 'Leave it out, and take the largest of the logits'),
}
"""Names of what is refused, and what to do instead."""


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
