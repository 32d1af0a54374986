"""How fast a network is in torch and in other runtimes, side by side in one run."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from torch import nn

from repnext_mm.evaluation.forms_speed import synchronize
from repnext_mm.export.data import draw_shapes
from repnext_mm.export.exporter import ExportOptions, export_model
from repnext_mm.export.image_input import image_input
from repnext_mm.export.prediction import fill_sample, new_sample, predict_with_torch, task_of
from repnext_mm.quantization import quantize_file
from repnext_mm.runtime import READERS, open_reader, open_session
from repnext_mm.trained import merged_copy, plain_copy

TRAINING = 'training'
CALIBRATION_IMAGES = 4
"""Enough for speed, which does not depend on the ranges."""

PAUSE = 0.05
"""Seconds in which the threads of the runtime that was measured before go to sleep."""

Run = Callable[[np.ndarray], Any]


class Settings(NamedTuple):
    """What torch runs with; the other runtimes take float32 and INT8 on the CPU."""

    device: str = 'cpu'
    dtype: torch.dtype = torch.float32
    compile_mode: str | None = None
    """Of ``torch.compile``; ``'reduce-overhead'`` uses CUDA graphs."""


def compare_runtimes(
    model: nn.Module,
    cfg: Config,
    folder: Path,
    part: str,
    shape: tuple[int, int],
    batch: int = 1,
    rounds: int = 5,
    settings: Settings | None = None,
    modes: Sequence[str] = ('fused', 'plain'),
) -> dict[str, dict[str, float]]:
    """Times a network in each form and runtime, all in turn.

    A machine that is busy for a while slows all of them, and the median round counts.
    Compare numbers of one run only.

    Args:
        model: Of the training form.
        cfg: Its config.
        folder: For the exported files.
        part: ``'backbone'`` or ``'model'``.
        shape: Height and width of the images.
        batch: Images at a time; 1 for detectors.
        rounds: How often to time each.
        settings: For torch. On another device than the CPU torch alone is measured.
        modes: Inference forms to measure.

    Returns:
        For each form and runtime ``milliseconds`` per batch and ``ratio`` to the training
        form in torch: above 1 is faster.

    Raises:
        ValueError: If a number is not positive.
    """
    if min(*shape, batch, rounds) < 1:
        raise ValueError(f'shape, batch and rounds must be positive: {shape}, {batch}, {rounds}')
    settings = settings or Settings()
    images = np.stack([draw_shapes(*shape, seed=number) for number in range(batch)])
    runs = dict(_torch_runs(model, part, modes, settings))
    if settings.device == 'cpu':
        runs |= _runtime_runs(model, cfg, folder, part, shape, modes)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        _seconds(run, images)  # warm-up
        _seconds(run, images)
    for _ in range(rounds):
        for name, run in runs.items():
            times[name].append(_seconds(run, images))
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {
        name: dict(milliseconds=1000 * seconds, ratio=medians[TRAINING] / seconds)
        for name, seconds in medians.items()
    }


def _torch_runs(
    model: Any, part: str, modes: Sequence[str], settings: Settings
) -> Iterator[tuple[str, Run]]:
    forms = {TRAINING: plain_copy(model)} | {mode: merged_copy(model, mode) for mode in modes}
    for name, form in forms.items():
        form.to(settings.device).requires_grad_(False)
        if part == 'model':
            yield name, _predicts(form)
        else:
            yield name, _extracts(form, settings)


def _predicts(model: Any) -> Run:
    task = task_of(model)
    return lambda images: [predict_with_torch(model, task, image) for image in images]


def _extracts(model: Any, settings: Settings) -> Run:
    """The backbone, with what comes before it."""
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


def _runtime_runs(
    model: nn.Module,
    cfg: Config,
    folder: Path,
    part: str,
    shape: tuple[int, int],
    modes: Sequence[str],
) -> dict[str, Run]:
    """Exported files in ONNX Runtime and OpenVINO, in float32 and INT8."""
    runs: dict[str, Run] = {}
    for mode in modes:
        path = folder / f'{part}_{mode}.onnx'
        options = ExportOptions(mode=mode, part=part, shape=shape, static=part == 'model')
        export_model(model, path, cfg, options)
        quantized = folder / f'{part}_{mode}_int8.onnx'
        images = (draw_shapes(*shape, seed=number) for number in range(CALIBRATION_IMAGES))
        quantize_file(path, quantized, images)
        for kind, file in (('', path), (' INT8', quantized)):
            for runtime, title in (('onnxruntime', 'ONNX Runtime'), ('openvino', 'OpenVINO')):
                runs[f'{mode}{kind}, {title}'] = _reads(file, runtime)
    return runs


def _reads(path: Path, runtime: str) -> Run:
    """What :func:`_predicts` does, with masks pasted and labels of pixels, from a file."""
    session = open_session(path, runtime)
    if session.metadata['task'] not in READERS:
        return session
    reader = open_reader(session)
    task = reader.task
    return lambda images: [
        fill_sample(reader, image, new_sample(task, image.shape[:2])) for image in images
    ]


def _seconds(run: Run, images: np.ndarray) -> float:
    time.sleep(PAUSE)
    synchronize()
    start = time.perf_counter()
    run(images)
    synchronize()
    return time.perf_counter() - start
