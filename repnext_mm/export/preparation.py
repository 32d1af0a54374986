"""From a model and a config to all that is needed to write a file, the file's contract among it."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from torch import nn

from repnext_mm.export.data import TestData, read_test_data
from repnext_mm.export.formats import casts_itself
from repnext_mm.export.image_input import image_input
from repnext_mm.export.job import Job
from repnext_mm.export.options import DYNAMIC, ExportOptions
from repnext_mm.export.size_free import make_size_free
from repnext_mm.export.tasks import ExportGraph, Task, task_of
from repnext_mm.integrity import not_finite
from repnext_mm.models import RepNeXt
from repnext_mm.reparam import TRAINING
from repnext_mm.reparam.ranges import check_range
from repnext_mm.runtime import FileSpec
from repnext_mm.trained import merged_copy, plain_copy
from repnext_mm.version import __version__

SAMPLES = 3
"""Images of the config's data that a file is proved with."""


@dataclass(frozen=True)
class ReadyModel:
    """A model that is ready to be written."""

    model: nn.Module
    """In the form of the file, on the CPU, in float32."""

    task: Task
    """What the model does."""

    job: Job
    """The file to be written."""

    images: list[np.ndarray]
    """``(H, W, 3)`` uint8, RGB, to compare with: the first is the traced one."""

    @property
    def float_subject(self) -> nn.Module:
        """What the task asks for predictions, in float32 whatever the file is in."""
        if self.task.subject(self.model, self.job.graph) is self.model:
            return self.model
        options = ExportOptions(part=self.job.spec.part, static=not self.job.dynamic)
        return self.task.subject(self.model, build_graph(self.model, self.task, options))


def prepare(
    model: Runner | nn.Module,
    cfg: Config | None,
    options: ExportOptions,
    dataset_meta: Mapping[str, Any] | None = None,
    **metadata: Any,
) -> ReadyModel:
    """Copies a model, merges the copy, and describes the file that will be made of it.

    Args:
        model: As for :func:`repnext_mm.export.exporter.export_model`, and so the others.
        cfg: The model's config.
        options: What to export; the form is a known one.
        dataset_meta: Classes and palette.
        metadata: More entries for the file's metadata.

    Raises:
        ValueError: If the model cannot be exported so.
    """
    model = _copied(model, options.form)
    check_finite_weights(model)
    task = task_of(model, options.part)
    task.check_options(options)
    data = read_test_data(cfg, task.keeps_positions, SAMPLES).with_classes(dataset_meta or {})
    shape = trace_shape(model, task, data, options)
    graph = build_graph(model, task, options)
    spec = describe(model, graph, task, data, options, shape)
    spec = FileSpec.from_json(spec.to_json() | metadata)
    shapes = shapes_to_compare(shape, options.static, data.divisor)
    images = data.sample(shapes)
    # A batch of one would stay one, where rows are counted for each image.
    together = 2 if options.batch == DYNAMIC else options.batch or 1
    pixels = np.stack([images[0]] * int(together))  # a new axis alone would have a stride of zero
    traced = graph.image.arrange(torch.from_numpy(pixels))
    job = Job(graph, traced, not options.static, options.opset, options.half, spec)
    return ReadyModel(model, task, job, images)


def _copied(model: Runner | nn.Module, form: str) -> nn.Module:
    """The model in a form, on the CPU."""
    copied = plain_copy(model) if form == TRAINING else merged_copy(model, form)
    return copied.cpu()


def check_finite_weights(model: nn.Module) -> None:
    """Makes sure that there is something to export: a detector of NaNs just finds nothing.

    Raises:
        ValueError: If a weight is not finite.
    """
    if bad := not_finite(model.state_dict()):
        raise ValueError(
            f'{bad[0]} has values that are not finite, as after a training that diverged: '
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
    for name, value in model.state_dict().items():
        check_range(value, dtype, name, 'export the model in float32 (half=False)')
    if casts_itself(options.format):
        dtype = torch.float32
    preprocessor = getattr(model, 'data_preprocessor', None)
    image = image_input(preprocessor, dtype, options.float_input)
    model = copy.deepcopy(model)
    nn.Module.to(model, dtype)  # mmdet's own takes a device alone where there is a teacher
    make_size_free(model, options.static)
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
    batch = number_of_images(graph, options)
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


def number_of_images(graph: ExportGraph, options: ExportOptions) -> int | None:
    """How many images the file takes at a time; None for any number.

    Raises:
        ValueError: If the graph takes one image only, and more are asked for.
    """
    if isinstance(options.batch, int):
        return options.batch
    if options.batch == DYNAMIC and not graph.dynamic_batch:
        raise ValueError(
            'this model takes a number of images that is fixed in the file: give it as batch=4, '
            f'not {DYNAMIC!r}'
        )
    return None if graph.dynamic_batch and not options.static else 1


def shapes_to_compare(
    shape: tuple[int, int], static: bool, divisor: int = 1
) -> list[tuple[int, int]]:
    """The traced size and two more, which are odd and of another aspect.

    Args:
        shape: Height and width.
        static: There is no other size.
        divisor: The pipeline brings all sizes to multiples of it, and the network takes no others.
    """
    if static:
        return [shape]
    height, width = shape
    others = ((height * 3 // 4, width * 9 // 8), (height * 9 // 8, width // 2))
    if divisor == 1:
        return [shape, *((first | 1, second | 1) for first, second in others)]
    return [shape, *((_up(first, divisor), _up(second, divisor)) for first, second in others)]


def _up(side: int, divisor: int) -> int:
    return -(-side // divisor) * divisor
