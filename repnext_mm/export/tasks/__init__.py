"""The kinds of models that can be exported; each is one object in a file of its own.

A new kind is a new file with a :class:`Task`, and a row in :data:`TASKS`.
"""

from typing import Any

from torch import nn

from repnext_mm.export.options import WHOLE
from repnext_mm.export.tasks.base import ExportGraph, Task
from repnext_mm.export.tasks.classification import ClassificationTask
from repnext_mm.export.tasks.dense import DenseTask
from repnext_mm.export.tasks.features import FeaturesTask
from repnext_mm.export.tasks.predicted import PredictedTask
from repnext_mm.export.tasks.segmentation import SegmentationTask
from repnext_mm.export.tasks.two_stage import TwoStageTask

__all__ = ['FEATURES', 'TASKS', 'ExportGraph', 'Task', 'task_named', 'task_of']

TASKS: tuple[Task, ...] = (
    TwoStageTask(),
    DenseTask(),
    PredictedTask(),
    SegmentationTask(),
    ClassificationTask(),
)
"""Of whole models, in the order in which they are asked whether they accept one."""

FEATURES = FeaturesTask()
"""Of parts of any model."""


def task_of(model: nn.Module, part: str = WHOLE) -> Task:
    """The task of a model of the mm packages, or of a part of one.

    Args:
        model: A bare backbone, too.
        part: Of :data:`repnext_mm.export.options.PARTS`.

    Raises:
        ValueError: If the model is of none; the message says what can be exported of it.
    """
    if part != WHOLE or not hasattr(model, 'backbone'):
        return FEATURES
    for task in TASKS:
        if task.accepts(model):
            return task
    raise ValueError(
        f'a {type(model).__name__} cannot be exported whole: detectors, segmentors and classifiers '
        'can; export its backbone with part="backbone", or "backbone-neck"'
    )


def task_named(name: str) -> Task[Any, Any]:
    """The task by the name in a file's metadata.

    Raises:
        ValueError: If there is none.
    """
    for task in (*TASKS, FEATURES):
        if task.name == name:
            return task
    raise ValueError(f'unknown task {name!r}: choose from {sorted({task.name for task in TASKS})}')
