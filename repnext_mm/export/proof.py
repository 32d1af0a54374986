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

TOGETHER = (1, 2, 3)
"""How many images a file is proved with that takes any number."""


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
            size, and batches where the file takes several, are compared as well.
        runtime: That reads the file; None for the first of those that do.
    """
    session = open_session(path, runtime, trust=True)  # this process has just written it
    reader = task.open(session)
    subject = task.subject(model, graph)
    flat = np.full_like(images[0], FLAT)
    comparisons = []
    for image, suffix in [*((image, '') for image in images), (flat, ', flat')]:
        place = f'{image.shape[0]}x{image.shape[1]}{suffix}'
        with running(place):
            found = task.read(reader, image)
        comparisons.append(_compare(task, subject, image, found, place, session.spec.precision))
    if session.spec.input.batch != 1:
        comparisons += _compare_batches(task, subject, reader, session, images[0])
    return comparisons


def check_prediction(task: Task, model: nn.Module, graph: ExportGraph, image: np.ndarray) -> None:
    """Makes sure that there will be something to compare with, before a file is written.

    Args:
        task: Of the file.
        model: As for :func:`prove`.
        graph: The module to trace.
        image: ``(H, W, 3)`` uint8.

    Raises:
        ValueError: If the model's own code cannot predict.
    """
    _expected(task, task.subject(model, graph), image)


@contextmanager
def running(place: str, remedy: str = 'static=True') -> Iterator[None]:
    """Says where a file does not run, and the option that asks less of it.

    Raises:
        ValueError: If what is inside raises anything.
    """
    try:
        yield
    except Exception as error:  # each runtime has errors of its own
        raise ValueError(
            f'the file does not run at {place}, so it was not kept; {remedy} asks for less: {error}'
        ) from error


def _compare(
    task: Task, subject: Any, image: np.ndarray, found: Any, place: str, precision: str
) -> Comparison:
    expected = _expected(task, subject, image)
    differences, count = task.compare(expected, found), task.count(expected, found)
    comparison = Comparison(place, differences, task.allowed(precision, count, {}), count)
    if not task.roundings or not comparison.failures():
        return comparison
    instability = _instability(task, subject, expected, image, ROUNDING[precision])
    limits = task.allowed(precision, count, instability)
    return Comparison(place, differences, limits, count, instability)


def _expected(task: Task, subject: Any, image: np.ndarray) -> Any:
    """What the model predicts.

    Raises:
        ValueError: If its own code raises anything.
    """
    try:
        return task.predict(subject, image)
    except Exception as error:  # of any package
        raise ValueError(
            f'the {type(subject).__name__} itself cannot predict in torch, so that no file can be '
            f'compared with it ({type(error).__name__}: {error}): export its backbone and neck with '
            'part="backbone-neck"'
        ) from error


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


def _compare_batches(
    task: Task, subject: Any, reader: Any, session: Session, image: np.ndarray
) -> Iterator[Comparison]:
    """Images beside others must give what the model finds in them alone."""
    if not task.counts_rows:
        with running('a batch of two', 'batch=1'):
            yield _compare_pair(session, image)
        return
    others = [np.ascontiguousarray(other) for other in (image[::-1], image[:, ::-1])]
    for number in [session.spec.input.batch] if session.spec.input.batch else TOGETHER:
        images = [image, *others, *[image] * number][:number]
        with running(f'{number} images'):
            answers = task.read_together(reader, images)
        for place, found in enumerate(answers):
            where = f'{place + 1} of {number} images'
            yield _compare(task, subject, images[place], found, where, session.spec.precision)


def _compare_pair(session: Session, image: np.ndarray) -> Comparison:
    pair = np.stack([image[::-1], image])
    together = [torch.as_tensor(output[1:]).float() for output in session(pair).values()]
    differences = compare_arrays(together, session(image[None]).values())
    return Comparison('a batch of two', differences, ARRAY_LIMITS[session.spec.precision])
