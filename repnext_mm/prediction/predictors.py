"""Checkpoints and exported files behind one face: images in, predictions out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from repnext_mm.runtime import SESSIONS, Detections, ExportedNetwork, open_reader
from repnext_mm.runtime.size_rules import Prepared, apply_rules
from repnext_mm.visualization.colours import Colour, class_colours

Predicted = Detections | np.ndarray
"""Objects, or labels ``(H, W)`` of a segmentor, or probabilities ``(classes,)`` of a classifier."""


class Predictor(Protocol):
    """A network in use."""

    task: str
    """``'detection'``, ``'segmentation'`` or ``'classification'``."""

    classes: list[str]
    colours: list[Colour]
    """One for each class."""

    def __call__(self, images: Sequence[np.ndarray]) -> list[Predicted]:
        """The predictions for images ``(H, W, 3)`` uint8, RGB, of any sizes."""


def open_predictor(
    model: str, checkpoint: str | None = None, runtime: str | None = None, **options: Any
) -> Predictor:
    """Opens an exported file, or a checkpoint with its config.

    Args:
        model: The exported file, or the config.
        checkpoint: For a config.
        runtime: For an exported file; see :func:`repnext_mm.runtime.open_session`.
        **options: For a config; see :class:`repnext_mm.prediction.checkpoint.CheckpointPredictor`.

    Raises:
        ValueError: If only one of config and checkpoint is named, or the file does not fit.
        FileNotFoundError: If a file is not there.
    """
    if Path(model).suffix in SESSIONS:
        if checkpoint is not None:
            raise ValueError(f'{model} needs no checkpoint, got {checkpoint!r}: leave it out')
        return ExportedPredictor(open_reader(model, runtime))
    if checkpoint is None:
        raise ValueError(
            f'{model!r} is no exported file ({", ".join(SESSIONS)}): name one, or a config and its '
            'checkpoint'
        )
    from repnext_mm.prediction.checkpoint import CheckpointPredictor

    return CheckpointPredictor(model, checkpoint, **options)


class ExportedPredictor:
    """A file of ``tools/export.py``, as many images at a time as it takes."""

    def __init__(self, reader: ExportedNetwork):
        self.reader: Any = reader
        self.task = reader.task
        self.classes = reader.classes
        self.colours = reader.colours(len(reader.classes))

    def __call__(self, images: Sequence[np.ndarray]) -> list[Predicted]:
        """As :class:`Predictor`."""
        return self.reader(list(images))


def enough_colours(colours: Sequence[Colour], count: int) -> list[Colour]:
    """Colours for so many classes; others than the given ones if those do not suffice."""
    return list(colours if len(colours) >= count else class_colours(count))


def same_sizes(prepared: Sequence[Prepared]) -> list[list[int]]:
    """The numbers of images in groups of one size, which can be one batch."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for number, image in enumerate(prepared):
        groups.setdefault(image.image.shape, []).append(number)
    return list(groups.values())


def resized(image: np.ndarray, rules: Any) -> Prepared:
    """An image as a test pipeline resizes it."""
    return apply_rules(image, rules or ())


def as_arrays(task: str, sample: Any) -> Predicted:
    """The prediction in a data sample of mmdet, mmseg or mmpretrain."""
    if task == 'segmentation':
        return sample.pred_sem_seg.data[0].cpu().numpy()
    if task == 'classification':
        return sample.pred_score.cpu().numpy()
    found = {
        name: torch.as_tensor(value).cpu().numpy() for name, value in sample.pred_instances.items()
    }
    masks = found.get('masks')
    return Detections(found['bboxes'], found['scores'], found['labels'], masks)
