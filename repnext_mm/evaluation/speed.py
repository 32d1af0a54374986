"""The speed of a model's forms on test data, and of its exported files on generated images."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.runner import Runner, load_checkpoint
from torch import nn

from repnext_mm.checkpoints.loading import build_model
from repnext_mm.export.data import draw_shapes
from repnext_mm.export.exporter import export_model
from repnext_mm.export.image_input import image_input
from repnext_mm.export.options import ExportOptions
from repnext_mm.export.tasks import task_named, task_of
from repnext_mm.quantization import quantize_file
from repnext_mm.reparam import INFERENCE_FORMS, inference_forms
from repnext_mm.reparam.forms import TRAINING
from repnext_mm.runtime import READERS, open_reader, open_session
from repnext_mm.timing import take_turns
from repnext_mm.trained import merged_copy, plain_copy

CALIBRATION_IMAGES = 4
"""Images for INT8: enough for speed, which does not depend on the ranges."""

RUNTIMES = {'onnxruntime': 'ONNX Runtime', 'openvino': 'OpenVINO'}

Run = Callable[[np.ndarray], object]
"""Takes a batch of images ``(N, H, W, 3)``, uint8, RGB."""


def measure_forms(
    cfg: Config,
    checkpoint: str | None = None,
    images: int = 32,
    rounds: int = 5,
    others: Mapping[str, nn.Module] | None = None,
) -> dict[str, dict[str, Any]]:
    """Times predictions of whole models on test images, without loading and copying of data.

    Args:
        cfg: A config with a model and a test dataloader.
        checkpoint: Weights of the training form. They matter for detectors, whose time depends
            on how much they find.
        images: How many test images to use, at least; a batch is never cut.
        rounds: How often to time each form.
        others: More models to time in the same turns, by name, such as exported files.

    Returns:
        For ``'training'``, for each form that the network offers, and for the others:
        ``images_per_second`` and its ``spread`` (5th and 95th percentile), ``ratio`` to the
        training form (above 1 is faster), and ``parameters``.

    Raises:
        ValueError: If ``images`` or ``rounds`` is not positive.
    """
    if min(images, rounds) < 1:
        raise ValueError(f'images and rounds must be positive, got {images} and {rounds}')
    model = build_model(cfg)
    if checkpoint:
        load_checkpoint(model, checkpoint, map_location='cpu')
    model.to(get_device()).eval()
    models = {TRAINING: model} | {form: merged_copy(model, form) for form in inference_forms(model)}
    models |= others or {}
    batches, count = _first_batches(cfg, images)
    runs = {name: _tests(network) for name, network in models.items()}
    timings = take_turns(runs, rounds, lambda: (deepcopy(batches),))
    return {
        name: dict(
            images_per_second=timing.per_second(count),
            spread=timing.spread_per_second(count),
            ratio=timing.ratio,
            parameters=sum(p.numel() for p in models[name].parameters()),
        )
        for name, timing in timings.items()
    }


@dataclass(frozen=True)
class TorchSettings:
    """How torch runs; the other runtimes run in float32 and INT8 on the CPU."""

    device: str = 'cpu'
    dtype: torch.dtype = torch.float32
    compile_mode: str | None = None
    """Mode of ``torch.compile``; None does not compile, ``'reduce-overhead'`` uses CUDA graphs."""


@dataclass(frozen=True)
class Measurement:
    """One table of :func:`measure_runtimes`: the part of the model, and the images it gets.

    Raises:
        ValueError: If a number is not positive.
    """

    part: str
    """``'backbone'`` or ``'model'``."""

    shape: tuple[int, int]
    """Height and width of the images, in pixels."""

    batch: int = 1
    """Images at a time; 1 for detectors."""

    rounds: int = 5
    """How often to time each form and runtime."""

    forms: Sequence[str] = INFERENCE_FORMS
    """Inference forms to measure beside the training form."""

    def __post_init__(self) -> None:
        if min(*self.shape, self.batch, self.rounds) < 1:
            raise ValueError(
                f'shape, batch and rounds must be positive: {self.shape}, {self.batch}, '
                f'{self.rounds}'
            )


def measure_runtimes(
    model: nn.Module,
    cfg: Config,
    folder: Path,
    what: Measurement,
    settings: TorchSettings | None = None,
) -> dict[str, dict[str, Any]]:
    """Times a network in each form, in torch, ONNX Runtime and OpenVINO, on generated images.

    Args:
        model: A detector, segmentor or classifier in the training form.
        cfg: Its config.
        folder: Where the exported files are written.
        what: The part, the images and the number of rounds.
        settings: For torch. On another device than the CPU torch alone is measured.

    Returns:
        For each form and runtime ``milliseconds`` per batch and their ``spread`` (5th and 95th
        percentile), and ``ratio`` to the training form in torch: above 1 is faster.
    """
    settings = settings or TorchSettings()
    images = np.stack([draw_shapes(*what.shape, seed=number) for number in range(what.batch)])
    runs = dict(_torch_runs(model, what, settings))
    if settings.device == 'cpu':
        runs |= _file_runs(model, cfg, folder, what)
    return {
        name: dict(
            milliseconds=1000 * timing.median,
            spread=(1000 * timing.fast, 1000 * timing.slow),
            ratio=timing.ratio,
        )
        for name, timing in take_turns(runs, what.rounds, lambda: (images,)).items()
    }


def _first_batches(cfg: Config, images: int) -> tuple[list[dict], int]:
    """Batches of the test data with at least so many images if there are, and their number."""
    batches, count = [], 0
    for batch in Runner.build_dataloader(cfg.test_dataloader, seed=0):
        batches.append(batch)
        count += len(batch['inputs'])
        if count >= images:
            break
    return batches, count


def _tests(model: Any) -> Callable[[list[dict]], None]:
    """A run of a whole model on batches of the test data."""

    @torch.inference_mode()
    def run(batches: list[dict]) -> None:
        for batch in batches:
            model.test_step(batch)

    return run


def _torch_runs(
    model: nn.Module, what: Measurement, settings: TorchSettings
) -> Iterator[tuple[str, Run]]:
    """The forms in torch, the training form first, by name."""
    forms = {TRAINING: plain_copy(model)} | {form: merged_copy(model, form) for form in what.forms}
    for form, network in forms.items():
        network.to(settings.device).requires_grad_(False)
        yield form, _predicts(network) if what.part == 'model' else _extracts(network, settings)


def _predicts(model: nn.Module) -> Run:
    """A run of a whole model, image by image."""
    task = task_of(model)
    return lambda images: [task.predict(model, image) for image in images]


def _extracts(model: Any, settings: TorchSettings) -> Run:
    """A run of the backbone behind its data preprocessor."""
    layers = nn.Sequential(image_input(model.data_preprocessor, settings.dtype), model.backbone)
    layers.to(settings.device)
    layers[1].to(settings.dtype)
    network: Any = layers
    if settings.compile_mode:
        network = torch.compile(layers, mode=settings.compile_mode)

    @torch.inference_mode()
    def run(images: np.ndarray) -> None:
        network(torch.from_numpy(images).to(settings.device))

    return run


def _file_runs(model: nn.Module, cfg: Config, folder: Path, what: Measurement) -> dict[str, Run]:
    """Exported files in ONNX Runtime and OpenVINO, in float32 and INT8."""
    runs: dict[str, Run] = {}
    for form in what.forms:
        path = folder / f'{what.part}_{form}.onnx'
        options = ExportOptions(form, part=what.part, shape=what.shape, static=what.part == 'model')
        export_model(model, path, cfg, options)
        quantized = folder / f'{what.part}_{form}_int8.onnx'
        images = (draw_shapes(*what.shape, seed=number) for number in range(CALIBRATION_IMAGES))
        quantize_file(path, quantized, images)
        for kind, file in (('', path), (' INT8', quantized)):
            for runtime, title in RUNTIMES.items():
                runs[f'{form}{kind}, {title}'] = _reads(file, runtime)
    return runs


def _reads(path: Path, runtime: str) -> Run:
    """A run of an exported file; of a whole model with masks pasted and pixels labelled."""
    session = open_session(path, runtime)
    if session.spec.task not in READERS:
        return session
    reader, task = open_reader(session), task_named(session.spec.task)
    return lambda images: [
        task.fill(reader, image, task.new_sample(image.shape[:2])) for image in images
    ]
