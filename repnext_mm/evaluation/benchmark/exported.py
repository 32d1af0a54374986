"""Runs of exported files, which are written where they are needed and once for each case."""

from pathlib import Path

import numpy as np

from repnext_mm.evaluation.benchmark.cases import INT8, Case
from repnext_mm.evaluation.benchmark.inputs import images_of
from repnext_mm.evaluation.benchmark.networks import Networks, Run
from repnext_mm.export.data import draw_shapes
from repnext_mm.export.exporter import export_model
from repnext_mm.export.options import ExportOptions
from repnext_mm.export.tasks import task_named
from repnext_mm.quantization import quantize_file
from repnext_mm.runtime import READERS, open_reader, open_session

CALIBRATION_IMAGES = 4
"""Images for INT8: enough for speed, which does not depend on the ranges."""


def file_run(networks: Networks, case: Case, folder: Path) -> Run:
    """What is timed for a case in another runtime than torch.

    Args:
        networks: Where the model comes from.
        case: Of inference, with a shape.
        folder: For the file, which is written if it is not there yet.

    Raises:
        ValueError: If the case is of training, or on test data.
    """
    if case.step != 'inference' or case.shape is None:
        raise ValueError(f'exported files are for inference on generated images, got {case}')
    path = _exported(networks, case, folder)
    runtime = case.runtime.removesuffix(INT8)
    if case.runtime.endswith(INT8):
        path = _quantized(path, case.shape)
    return _reads(path, runtime, images_of(case))


def _exported(networks: Networks, case: Case, folder: Path) -> Path:
    assert case.shape is not None
    height, width = case.shape
    path = folder / f'{case.network}_{case.form}_{case.part}_{height}x{width}.onnx'
    if not path.exists():
        static = case.part == 'model'
        options = ExportOptions(case.form, part=case.part, shape=case.shape, static=static)
        model, cfg = networks.model(case.network, 'training'), networks.sources[case.network].cfg
        export_model(model, path, cfg, options)
    return path


def _quantized(path: Path, shape: tuple[int, int]) -> Path:
    target = path.with_name(f'{path.stem}_int8.onnx')
    if not target.exists():
        images = (draw_shapes(*shape, seed=number) for number in range(CALIBRATION_IMAGES))
        quantize_file(path, target, images)
    return target


def _reads(path: Path, runtime: str, images: np.ndarray) -> Run:
    """A run of a file; of a whole model with masks pasted and pixels labelled."""
    session = open_session(path, runtime)
    if session.spec.task not in READERS:
        return lambda *_: session(images)
    reader, task = open_reader(session), task_named(session.spec.task)
    return lambda *_: [
        task.fill(reader, image, task.new_sample(image.shape[:2])) for image in images
    ]
