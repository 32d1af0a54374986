"""What class activation explains, for each task: scores that gradients reach, with a title.

The scores are those of the mm packages' own forward methods.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from repnext_mm.feature_maps.network_image import NetworkImage

SHOWN_CLASSES = 3
"""Classes of a label map that are explained where none is named, the most frequent ones."""


@dataclass(frozen=True)
class CamTarget:
    """A score to explain."""

    title: str
    score: Callable[[Tensor], Tensor]
    """From the output of :class:`Scores` for one image to a number."""

    boxes: np.ndarray = field(default_factory=lambda: np.zeros((0, 4)))
    """``(K, 4)``: x1, y1, x2, y2 of the objects that it is about, in pixels of the image."""


class Scores(nn.Module):
    """A model whose forward pass gives what its class activation starts from.

    That is for classifiers ``(1, classes)`` before the softmax, for segmentors ``(1, classes, h, w)``
    before the softmax, and for detectors ``(1, K)``, the scores of the objects that it finds.

    Args:
        model: In evaluation mode.
        task: Its task.
        image: That it is run on.
    """

    def __init__(self, model: Any, task: str, image: NetworkImage):
        super().__init__()
        self.model = model
        self.task = task
        self.image = image

    def forward(self, inputs: Tensor) -> Tensor:
        """Maps ``(1, 3, H, W)`` to scores."""
        if self.task == 'detection':
            return self.objects(inputs).scores[None]
        return self.model(inputs, mode='tensor')

    def objects(self, inputs: Tensor) -> Any:
        """The objects of a detector, in pixels of the image, the most certain first."""
        (sample,) = self.model(inputs, self.image.samples, mode='predict')
        found = sample.pred_instances
        return found[torch.argsort(found.scores.detach(), descending=True, stable=True)]


def find_targets(
    scores: Scores,
    classes: Sequence[str],
    named: Sequence[str] = (),
    number: int | None = None,
    threshold: float = 0.3,
) -> list[CamTarget]:
    """What to explain in an image.

    Args:
        scores: Of the model.
        classes: Their names.
        named: Classes, by name or number, each of which is explained. Without any, it is the
            class that a classifier predicts, the :data:`SHOWN_CLASSES` most frequent ones of a
            segmentor, and all objects of a detector together.
        number: Of an object of a detector, 0 for the most certain one, which alone is explained.
        threshold: Objects that are less certain do not count.

    Returns:
        None for a detector that finds no such object.

    Raises:
        ValueError: If there is no such class, or object.
    """
    chosen = [class_number(name, classes) for name in named]
    inputs = scores.image.inputs
    if number is not None and scores.task != 'detection':
        raise ValueError(
            f'objects are found in detection, not in {scores.task}: name classes instead'
        )
    with torch.no_grad():
        if scores.task == 'detection':
            return _object_targets(scores.objects(inputs), classes, chosen, number, threshold)
        output = scores(inputs)[0]
    if scores.task == 'classification':
        best = chosen or [int(output.argmax())]
        return [CamTarget(_name(label, classes), partial(_entry, label)) for label in best]
    return _region_targets(output, classes, chosen)


def class_number(name: str, classes: Sequence[str]) -> int:
    """The number of a class that is given by name or number.

    Raises:
        ValueError: If there is no such class.
    """
    if name in classes:
        return list(classes).index(name)
    if name.isdecimal() and (not classes or int(name) < len(classes)):
        return int(name)
    raise ValueError(f'there is no class {name!r}: choose from {list(classes)}, or their numbers')


def _region_targets(
    output: Tensor, classes: Sequence[str], chosen: Sequence[int]
) -> list[CamTarget]:
    """The mean score of each class where it is predicted; where it is nowhere, over all pixels."""
    labels = output.argmax(0)
    counts = torch.bincount(labels.flatten(), minlength=len(output))
    if not chosen:
        order = torch.argsort(counts, descending=True, stable=True)[:SHOWN_CLASSES].tolist()
        chosen = [label for label in order if counts[label]]
    targets = []
    for label in chosen:
        region = labels == label if counts[label] else torch.ones_like(labels, dtype=torch.bool)
        title = _name(label, classes) + ('' if counts[label] else ' (not found)')
        targets.append(CamTarget(title, partial(_mean, label, region)))
    return targets


def _object_targets(
    objects: Any,
    classes: Sequence[str],
    chosen: Sequence[int],
    number: int | None,
    threshold: float,
) -> list[CamTarget]:
    """The sum of the scores of objects: of one, of each class that is chosen, or of all."""
    certain = objects.scores >= threshold
    boxes = objects.bboxes.cpu().numpy()
    if number is not None:
        count = int(certain.sum())
        if not 0 <= number < count:
            raise ValueError(
                f'there is no object {number}: {count} have a score of at least {threshold}; they '
                'are counted from 0'
            )
        title = f'{_name(int(objects.labels[number]), classes)} {float(objects.scores[number]):.2f}'
        return [CamTarget(title, partial(_entry, number), boxes[number : number + 1])]
    groups = {_name(label, classes): certain & (objects.labels == label) for label in chosen}
    return [
        CamTarget(f'{title} ({int(group.sum())})', partial(_sum, group), boxes[group.cpu()])
        for title, group in (groups or {'all objects': certain}).items()
        if group.any()
    ]


def _entry(number: int, output: Tensor) -> Tensor:
    return output[number]


def _mean(label: int, region: Tensor, output: Tensor) -> Tensor:
    return output[label][region].mean()


def _sum(group: Tensor, output: Tensor) -> Tensor:
    return output[group].sum()


def _name(label: int, classes: Sequence[str]) -> str:
    return classes[label] if label < len(classes) else str(label)
