"""The proof that an exported file computes what the model in torch does, on the same images."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from repnext_mm.export.comparison import ARRAY_LIMITS, Comparison, compare_arrays
from repnext_mm.export.tasks import ExportGraph, Task
from repnext_mm.runtime import Session, open_session

FLAT = 114
"""The grey of the image without content, on which anchors tie."""

ROUNDING = {'float32': 1e-5, 'float16': 1e-3}
"""The noise that stands for another rounding, relative to the largest output of a layer. In float32
1e-6 did not break the ties of a flat image as often as ONNX Runtime did; 1e-5 does."""


def prove(
    task: Task,
    model: nn.Module,
    graph: ExportGraph,
    path: Path,
    images: Sequence[np.ndarray],
    runtime: str | None = None,
) -> list[Comparison]:
    """Compares an exported file with the model, and measures how far they are apart.

    Args:
        task: Of the file.
        model: The merged model, in float32; it predicts with its own package's code.
        graph: The traced module.
        path: The file.
        images: ``(H, W, 3)`` uint8 each. The first has the traced size; a flat image of that
            size, and a batch of two where the file takes any, are compared as well.
        runtime: That reads the file; None for the first of those that do.
    """
    session = open_session(path, runtime, trust=True)  # this process has just written it
    reader = task.open(session)
    subject = task.subject(model, graph)
    flat = np.full_like(images[0], FLAT)
    comparisons = []
    for image, suffix in [*((image, '') for image in images), (flat, ', flat')]:
        place = f'{image.shape[0]}x{image.shape[1]}{suffix}'
        comparisons.append(_compare(task, subject, reader, image, place, session.spec.precision))
    if session.spec.input.batch is None:
        comparisons.append(_compare_batch(session, images[0]))
    return comparisons


def _compare(
    task: Task, subject: Any, reader: Any, image: np.ndarray, place: str, precision: str
) -> Comparison:
    expected, found = task.predict(subject, image), task.read(reader, image)
    differences, count = task.compare(expected, found), task.count(expected, found)
    comparison = Comparison(place, differences, task.allowed(precision, count, {}), count)
    if not task.roundings or not comparison.failures():
        return comparison
    instability = _instability(task, subject, expected, image, ROUNDING[precision])
    limits = task.allowed(precision, count, instability)
    return Comparison(place, differences, limits, count, instability)


def _instability(
    task: Task, model: nn.Module, expected: Any, image: np.ndarray, precision: float
) -> dict[str, float]:
    """The largest differences between the predictions of torch in this and in other roundings."""
    largest: dict[str, float] = {}
    for seed in range(task.roundings):
        with _other_rounding(model, precision, seed):
            again = task.predict(model, image)
        for name, value in task.compare(expected, again).items():
            largest[name] = max(largest.get(name, 0.0), value)
    return largest


@contextmanager
def _other_rounding(model: nn.Module, precision: float, seed: int) -> Iterator[None]:
    """Changes the outputs of convolutions and linear layers as another rounding would."""
    generator = torch.Generator().manual_seed(seed)

    def change(module: nn.Module, args: tuple, output: torch.Tensor) -> torch.Tensor:
        noise = torch.randn(output.shape, generator=generator)
        return output + precision * output.abs().max() * noise

    layers = (m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear))
    handles = [layer.register_forward_hook(change) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _compare_batch(session: Session, image: np.ndarray) -> Comparison:
    """An image beside another one must give what it gives alone."""
    pair = np.stack([image[::-1], image])
    together = [torch.as_tensor(output[1:]).float() for output in session(pair).values()]
    differences = compare_arrays(together, session(image[None]).values())
    return Comparison('a batch of two', differences, ARRAY_LIMITS[session.spec.precision])
