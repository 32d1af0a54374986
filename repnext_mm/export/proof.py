"""Running an exported file and the model in torch on the same images."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from repnext_mm.export.comparison import (
    ROUNDING,
    Comparison,
    compare_arrays,
    compare_detections,
    compare_logits,
)
from repnext_mm.export.prediction import predict_with_torch
from repnext_mm.runtime import (
    READERS,
    Classifier,
    Detections,
    Detector,
    ExportedNetwork,
    Segmentor,
    Session,
    open_reader,
    open_session,
)

ROUNDINGS = 8
FLAT = 114
"""The grey of the image without content, on which anchors tie."""


def prove(reference: Any, graph: Any, path: Path, images: Sequence[np.ndarray]) -> list[Comparison]:
    """Compares an exported file with the model, and measures how far they are apart.

    Args:
        reference: The merged model, in float32; it predicts with its own package's code.
        graph: What was traced; the reference for features.
        path: The file.
        images: ``(H, W, 3)`` uint8 each. The first has the traced size; a flat image of that
            size, and a batch of two where the file takes any, are compared as well.
    """
    return list(_comparisons(reference, graph, path, images))


def _comparisons(
    reference: Any, graph: Any, path: Path, images: Sequence[np.ndarray]
) -> Iterator[Comparison]:
    session = open_session(path)
    task = session.metadata['task']
    reader = open_reader(session) if task in READERS else None
    flat = np.full_like(images[0], FLAT)
    for image, suffix in [*((image, '') for image in images), (flat, ', flat')]:
        place = f'{image.shape[0]}x{image.shape[1]}{suffix}'
        if reader is None:
            yield Comparison(place, _compare_features(graph, session, image))
        else:
            yield _compare_predictions(reference, reader, image, place)
    if session.metadata['input']['batch'] is None:
        yield Comparison('a batch of two', _compare_batch(session, images[0]))


def _compare_features(graph: Any, session: Session, image: np.ndarray) -> dict[str, float]:
    with torch.no_grad():
        expected = graph(torch.from_numpy(image[None]))
    return compare_arrays(expected, session(image[None]).values())


def _compare_predictions(
    reference: Any, reader: ExportedNetwork, image: np.ndarray, place: str
) -> Comparison:
    expected = predict_with_torch(reference, reader.task, image)
    if isinstance(reader, Detector):
        found = reader.detect(image, (1.0, 1.0), image.shape[:2])
        count = len(expected.scores) + len(found.scores)
        comparison = Comparison(place, compare_detections(expected, found), count)
        precision = reader.metadata['precision']
        if comparison.failures(precision):
            comparison = comparison._replace(
                instability=_instability(reference, expected, image, ROUNDING[precision])
            )
        return comparison
    if isinstance(reader, Segmentor):
        return Comparison(place, compare_logits(expected, reader.segment(image)))
    if isinstance(reader, Classifier):
        difference = np.abs(expected.numpy() - reader.classify(image)).max()
        return Comparison(place, {'probability': float(difference)})
    raise TypeError(f'nothing to compare the predictions of a {type(reader).__name__} with')


def _instability(
    model: Any, expected: Detections, image: np.ndarray, precision: float
) -> dict[str, float]:
    """The largest differences between what torch finds in this and in a few other roundings."""
    largest: dict[str, float] = {}
    for seed in range(ROUNDINGS):
        with _other_rounding(model, precision, seed):
            again = predict_with_torch(model, 'detection', image)
        for name, value in compare_detections(expected, again).items():
            largest[name] = max(largest.get(name, 0.0), value)
    return largest


@contextmanager
def _other_rounding(model: Any, precision: float, seed: int) -> Iterator[None]:
    """Makes what convolutions and linear layers put out differ as by another rounding."""
    generator = torch.Generator().manual_seed(seed)

    def change(module: Any, args: Any, output: torch.Tensor) -> torch.Tensor:
        noise = torch.randn(output.shape, generator=generator)
        return output + precision * output.abs().max() * noise

    layers = (m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear))
    handles = [layer.register_forward_hook(change) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _compare_batch(session: Session, image: np.ndarray) -> dict[str, float]:
    """An image beside another one must give what it gives alone."""
    pair = np.stack([image[::-1], image])
    together = [torch.as_tensor(output[1:]).float() for output in session(pair).values()]
    return compare_arrays(together, session(image[None]).values())
