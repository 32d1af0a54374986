"""From a trained model to a file that another runtime reads, and the proof that it is the same."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import Runner
from torch import nn

from repnext_mm.export.comparison import Comparison
from repnext_mm.export.data import TestData, read_test_data
from repnext_mm.export.formats import FORMATS, Job, format_of
from repnext_mm.export.image_input import image_input
from repnext_mm.export.options import ExportOptions
from repnext_mm.export.proof import prove
from repnext_mm.export.size_free import make_size_free
from repnext_mm.export.tasks import ExportGraph, Task, task_of
from repnext_mm.files import check_place, replaced_together
from repnext_mm.models import RepNeXt
from repnext_mm.reparam import TRAINING
from repnext_mm.runtime import FileSpec
from repnext_mm.trained import merged_copy, plain_copy
from repnext_mm.version import __version__

SAMPLES = 3
"""Images of the config's data that a file is proved with."""


@dataclass(frozen=True)
class Report:
    """The result of an export."""

    path: Path
    spec: FileSpec
    comparisons: list[Comparison]

    @property
    def metadata(self) -> dict[str, Any]:
        """The contract as the plain values that stand in the file."""
        return self.spec.to_json()


def export_model(
    model: Runner | nn.Module,
    path: str | Path,
    cfg: Config | None = None,
    options: ExportOptions | None = None,
    dataset_meta: Mapping[str, Any] | None = None,
    **metadata: Any,
) -> Report:
    """Writes a model to a file, and makes sure that the file computes the same.

    The model is copied and merged; it stays as it is, whatever mode it is in and whatever
    wraps it (see :func:`repnext_mm.trained.merged_copy`). The file appears under its name only
    after its outputs have been compared with the merged model's own predictions, at three sizes
    and on an image of one colour.

    Args:
        model: A detector of mmdet, a segmentor of mmseg, a classifier of mmpretrain, or, with a
            ``data_preprocessor``, anything with a backbone; or a Runner with such a model.
        path: File to write. Its ending says the format: ``.onnx``, ``.xml`` (OpenVINO) or
            ``.pt2`` (``torch.export``).
        cfg: The model's config: for the size rules of its test pipeline, for class names and
            for images of its test data to compare with.
        options: What to export.
        dataset_meta: Classes and palette of the data that the model was trained on, as its
            checkpoint has them; they take the place of the config's.
        metadata: More entries for the file's metadata, such as ``source_sha256``.

    Raises:
        ImportError: If a package is missing; the message names the extra that brings it.
        OSError: If the place of the file is taken (:func:`~repnext_mm.files.check_place`).
        ValueError: If the model cannot be exported so, or the file computes something else; the
            message says where. No file is left then.
    """
    path = Path(path)
    options = options or ExportOptions()
    options = replace(options, format=format_of(path, options.format))
    check_place(path)
    model = _copied(model, options.form)
    check_finite(model)
    task = task_of(model, options.part)
    task.check_options(options)
    data = read_test_data(cfg, task.keeps_positions, SAMPLES).with_classes(dataset_meta or {})
    shape = trace_shape(model, task, data, options)
    graph = build_graph(model, task, options)
    spec = describe(model, graph, task, data, options, shape)
    spec = FileSpec.from_json(spec.to_json() | metadata)
    images = data.sample(shapes_to_compare(shape, options.static))
    traced = torch.from_numpy(images[0][None])
    job = Job(graph, traced, not options.static, options.opset, options.half, spec)
    with replaced_together(path) as draft:
        FORMATS[str(options.format)].write(job, draft)
        comparisons = prove(task, model, graph, draft, images)
        check_equal(comparisons, options)
    return Report(path, spec, comparisons)


def _copied(model: Runner | nn.Module, form: str) -> nn.Module:
    copied = plain_copy(model) if form == TRAINING else merged_copy(model, form)
    return copied.cpu()


def check_finite(model: nn.Module) -> None:
    """Makes sure that there is something to export: a detector of NaNs just finds nothing.

    Raises:
        ValueError: If a weight is not finite.
    """
    for name, value in model.state_dict().items():
        if value.is_floating_point() and not value.isfinite().all():
            raise ValueError(
                f'{name} has values that are not finite, as after a training that diverged: '
                'export an earlier checkpoint'
            )


def trace_shape(
    model: nn.Module, task: Task, data: TestData, options: ExportOptions
) -> tuple[int, int]:
    """Height and width to trace with.

    Raises:
        ValueError: If the file is to take one size, but is to look at windows of another.
    """
    fixed = task.fixed_shape(model) if options.static else None
    if fixed is None:
        return options.shape or data.usual_shape()
    if options.shape not in (None, fixed):
        raise ValueError(
            f'this model is tested in windows of {fixed[0]} x {fixed[1]} (height x width), so a '
            f'static file takes those: leave shape={options.shape} out, or static=True'
        )
    return fixed


def build_graph(model: nn.Module, task: Task, options: ExportOptions) -> ExportGraph:
    """The traceable module for a model in evaluation mode; changes no model.

    Raises:
        ValueError: If the model cannot be exported so.
    """
    dtype = torch.float16 if options.half else torch.float32
    image = image_input(getattr(model, 'data_preprocessor', None), dtype)
    model = copy.deepcopy(model)
    model.to(dtype)
    make_size_free(model)
    graph: Any = task.graph(model, image, options)
    graph.eval().requires_grad_(False)
    return graph


def describe(
    model: nn.Module,
    graph: ExportGraph,
    task: Task,
    data: TestData,
    options: ExportOptions,
    shape: tuple[int, int],
) -> FileSpec:
    """The contract of the file."""
    batch = None if graph.dynamic_batch and not options.static else 1
    return FileSpec(
        task=task.name,
        part=options.part,
        form=options.form,
        precision='float16' if options.half else 'float32',
        outputs=tuple(graph.output_names),
        input=graph.image.describe(shape if options.static else None, batch),
        arch=next((m.arch for m in model.modules() if isinstance(m, RepNeXt)), None),
        classes=data.classes,
        palette=data.palette,
        resize=data.rules,
        opset=options.opset,
        details=dict(
            repnext_mm=__version__,
            torch=torch.__version__,
            **task.details(model, graph, options),
        ),
    )


def shapes_to_compare(shape: tuple[int, int], static: bool) -> list[tuple[int, int]]:
    """The traced size and two more, which are odd and of another aspect."""
    if static:
        return [shape]
    height, width = shape
    return [shape, (height * 3 // 4 | 1, width * 9 // 8 | 1), (height * 9 // 8 | 1, width // 2 | 1)]


def check_equal(comparisons: Sequence[Comparison], options: ExportOptions) -> None:
    """Makes sure that a file computes what the model does.

    Args:
        comparisons: The first is at the traced size.
        options: What was exported.

    Raises:
        ValueError: If not; the message says where.
    """
    failures = [text for row in comparisons for text in row.failures()]
    if failures:
        elsewhere = not options.static and not comparisons[0].failures()
        advice = '; static=True fixes the traced size, at which it is right' if elsewhere else ''
        raise ValueError(
            f'the {options.format} file computes something else than the model in torch, so it '
            f'was not kept: {"; ".join(failures)}{advice}'
        )
