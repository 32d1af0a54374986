"""From a trained model to a file that another runtime reads, and the proof that it is the same."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from torch import nn

from repnext_mm.evaluation.exported_model import window_of
from repnext_mm.export.comparison import Comparison
from repnext_mm.export.data import describe_data, sample_images, usual_shape
from repnext_mm.export.formats import FORMATS, Job, check_opset, format_of
from repnext_mm.export.image_input import ImageInput, image_input
from repnext_mm.export.prediction import task_of
from repnext_mm.export.proof import prove
from repnext_mm.export.size_free import make_size_free
from repnext_mm.export.tasks.classification import ClassifierGraph
from repnext_mm.export.tasks.detection import DetectorGraph
from repnext_mm.export.tasks.features import FeatureGraph
from repnext_mm.export.tasks.segmentation import SegmentorGraph
from repnext_mm.files import check_place, replaced_together
from repnext_mm.models import RepNeXt
from repnext_mm.reparam import INFERENCE_FORMS
from repnext_mm.trained import merged_copy, plain_copy
from repnext_mm.version import __version__

PARTS = {
    'model': ('backbone', 'neck', 'rpn_head', 'roi_head', 'decode_head', 'head'),
    'backbone': ('backbone',),
    'backbone-neck': ('backbone', 'neck'),
}
"""The attributes of a model that each consists of."""

MODES = (*INFERENCE_FORMS, 'none')


class ExportOptions(NamedTuple):
    """What to export, and how."""

    mode: str = 'fused'
    """``'fused'``, ``'plain'``, or ``'none'`` for the training form."""

    part: str = 'model'
    """``'model'``, ``'backbone'`` or ``'backbone-neck'``."""

    format: str | None = None
    """A key of :data:`FORMATS`; None for what the file's ending says."""

    shape: tuple[int, int] | None = None
    """Height and width to trace with; None for those of a 4:3 image in the config's pipeline."""

    static: bool = False
    """Take only this shape, and only batches of one."""

    opset: int = 17
    """Of ONNX."""

    half: bool = False
    """Convolutions and linear layers in float16; boxes are still computed in float32."""

    argmax: bool = False
    """Segmentors put out classes instead of logits."""


class Report(NamedTuple):
    """What became of an export."""

    path: Path
    metadata: dict[str, Any]
    comparisons: list[Comparison]


def export_model(
    model: nn.Module,
    path: str | Path,
    cfg: Config | None = None,
    options: ExportOptions | None = None,
    **metadata: Any,
) -> Report:
    """Writes a model to a file, and makes sure that the file computes the same.

    The model is copied and merged; it stays as it is, whatever mode it is in and whatever
    wraps it (see :func:`merged_copy`). The file appears under its name only after its
    outputs have been compared with the merged model's own predictions, at three sizes and
    on an image of one colour.

    Args:
        model: A two-stage detector of mmdet, a segmentor of mmseg, a classifier of
            mmpretrain, or, with a ``data_preprocessor``, anything with a backbone; or a
            Runner with such a model.
        path: File to write. Its ending says the format: ``.onnx``, ``.xml`` (OpenVINO),
            ``.torchscript`` or ``.pt2`` (``torch.export``).
        cfg: The model's config: for the size rules of its test pipeline, for class names and
            for images of its test data to compare with.
        options: What to export.
        metadata: More entries for the file's metadata, such as ``source_sha256``.

    Raises:
        ImportError: If a package is missing; the message names the extra that brings it.
        OSError: If the place of the file is taken (:func:`~repnext_mm.files.check_place`).
        ValueError: If an option is unknown or the model cannot be exported so, or the file
            computes something else; the message says where. No file is left then.
    """
    path = Path(path)
    options = (options or ExportOptions())._replace(
        format=format_of(path, options.format if options else None)
    )
    check_options(options)
    check_place(path)
    reference = (
        plain_copy(model) if options.mode == 'none' else merged_copy(model, options.mode)
    ).cpu()
    check_weights(reference)
    shape = choose_shape(reference, cfg, options)
    images = sample_images(cfg, shapes_to_compare(shape, options.static))
    graph = build_graph(reference, options)
    described = describe(reference, graph, cfg, options, shape) | metadata
    traced = torch.from_numpy(images[0][None])
    job = Job(graph, traced, not options.static, options.opset, options.half, described)
    with replaced_together(path) as draft:
        FORMATS[str(options.format)].write(job, draft)
        comparisons = prove(reference, graph, draft, images)
        failures = [text for row in comparisons for text in row.failures(described['precision'])]
        if failures:
            elsewhere = not options.static and not comparisons[0].failures(described['precision'])
            advice = '; --static fixes the traced size, at which it is right' if elsewhere else ''
            raise ValueError(
                f'the {options.format} file computes something else than the model in torch, so it '
                f'was not kept: {"; ".join(failures)}{advice}'
            )
    return Report(path, described, comparisons)


def check_options(options: ExportOptions) -> None:
    """Makes sure that the options exist.

    Raises:
        ValueError: The message names the value and those that do.
    """
    for name, value, known in (('mode', options.mode, MODES), ('part', options.part, tuple(PARTS))):
        if value not in known:
            raise ValueError(f'unknown {name} {value!r}: choose from {known}')
    if options.shape is not None and min(options.shape) < 1:
        raise ValueError(f'the shape must be a positive height and width, got {options.shape}')
    check_opset(options.opset)


def check_weights(model: nn.Module) -> None:
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


def choose_shape(model: Any, cfg: Config | None, options: ExportOptions) -> tuple[int, int]:
    """Height and width to trace with.

    Raises:
        ValueError: If the file is to take one size, but is to look at windows of another.
    """
    task = chosen_task(model, options)
    window = window_of(model.test_cfg) if task == 'segmentation' and options.static else None
    if window is None:
        return options.shape or usual_shape(cfg, task)
    height, width = window['crop_size']
    if options.shape not in (None, (height, width)):
        raise ValueError(
            f'this segmentor is tested in windows of {height} x {width} (height x width), so a '
            f'static file takes those: leave --shape {options.shape} out, or --static'
        )
    return height, width


def chosen_task(model: Any, options: ExportOptions) -> str:
    """What the exported part is for."""
    return task_of(model) if options.part == 'model' else 'features'


def build_graph(model: Any, options: ExportOptions) -> Any:
    """The traceable module for a model in evaluation mode; changes no model.

    Raises:
        ValueError: If the model cannot be exported so.
    """
    dtype = torch.float16 if options.half else torch.float32
    image = image_input(getattr(model, 'data_preprocessor', None), dtype)
    model = copy.deepcopy(model)
    model.to(dtype)
    make_size_free(model)
    task = chosen_task(model, options)
    if options.argmax and task != 'segmentation':
        raise ValueError(f'argmax is for segmentors, this model is for {task}: leave it out')
    if task == 'detection':
        graph: nn.Module = DetectorGraph(model, image)
    elif task == 'segmentation':
        graph = SegmentorGraph(model, image, options.argmax)
    elif task == 'classification':
        graph = ClassifierGraph(model, image)
    else:
        graph = _feature_graph(model, image, options.part)
    return graph.eval().requires_grad_(False)


def _feature_graph(model: Any, image: ImageInput, part: str) -> FeatureGraph:
    layers = [getattr(model, 'backbone', model)]
    if part == 'backbone-neck':
        if getattr(model, 'neck', None) is None:
            raise ValueError(f'{type(model).__name__} has no neck: export part="backbone"')
        layers.append(model.neck)
    network = nn.Sequential(*layers)
    with torch.no_grad():
        maps = network(image(torch.zeros((1, 64, 64, 3), dtype=torch.uint8)))
    maps = maps if isinstance(maps, tuple | list) else (maps,)
    return FeatureGraph(network, image, len(maps), pooled=maps[-1].dim() < 4)


def describe(
    model: Any, graph: Any, cfg: Config | None, options: ExportOptions, shape: Sequence[int]
) -> dict[str, Any]:
    """The metadata of the file, JSON-able."""
    task = chosen_task(model, options)
    described = dict(
        task=task,
        part=options.part,
        arch=next((m.arch for m in model.modules() if isinstance(m, RepNeXt)), None),
        form=None if options.mode == 'none' else options.mode,
        precision='float16' if options.half else 'float32',
        outputs=list(graph.output_names),
        input=graph.image.describe()
        | dict(
            static_shape=list(shape) if options.static else None,
            batch=None if graph.dynamic_batch and not options.static else 1,
        ),
        opset=options.opset,
        repnext_mm=__version__,
        torch=torch.__version__,
        **describe_data(cfg, task),
    )
    if task == 'detection':
        described['score_threshold'] = graph.score_threshold
        described['mask_threshold'] = model.roi_head.test_cfg.get('mask_thr_binary')
    if task == 'segmentation':
        described['align_corners'] = graph.align_corners
        described['argmax'] = options.argmax
        described['window'] = window_of(model.test_cfg)
    return described


def shapes_to_compare(shape: tuple[int, int], static: bool) -> list[tuple[int, int]]:
    """The traced size and two more, which are odd and of another aspect."""
    if static:
        return [shape]
    height, width = shape
    return [shape, (height * 3 // 4 | 1, width * 9 // 8 | 1), (height * 9 // 8 | 1, width // 2 | 1)]
