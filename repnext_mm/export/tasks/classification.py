"""Classifiers of mmpretrain."""

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from repnext_mm.export.image_input import ImageInput
from repnext_mm.export.options import ExportOptions
from repnext_mm.export.tasks.base import ExportGraph, Task, to_bgr
from repnext_mm.runtime import Classifier


class ClassificationTask(Task[Classifier, np.ndarray]):
    """The probability of each class; differences are absolute."""

    name = 'classification'
    package = 'mmpretrain'
    sample_class = 'DataSample'
    parts = ('backbone', 'neck', 'head')
    limits: ClassVar = {'float32': {'probability': 1e-4}, 'float16': {'probability': 0.02}}
    metrics = ('accuracy/top1',)
    metric_scale = 0.01

    def accepts(self, model: nn.Module) -> bool:
        """Classifiers, but no networks that tell persons apart, whose heads put out features."""
        classifies = not any(kind.__name__ == 'BaseReID' for kind in type(model).__mro__)
        return classifies and hasattr(model, 'backbone') and hasattr(model, 'head')

    def graph(self, model: nn.Module, image: ImageInput, options: ExportOptions) -> ExportGraph:
        return ClassifierGraph(model, image)

    def predict(self, model: Any, image: np.ndarray) -> np.ndarray:
        found = self.run_package(model, to_bgr(image)[None], image.shape[:2])
        return found.pred_score.cpu().numpy()

    def read(self, reader: Classifier, image: np.ndarray) -> np.ndarray:
        return reader.classify(image)

    def compare(self, expected: np.ndarray, found: np.ndarray) -> dict[str, float]:
        return {'probability': float(np.abs(expected - found).max())}

    def fill(self, reader: Classifier, image: np.ndarray, sample: Any) -> Any:
        scores = torch.from_numpy(reader.classify(image))
        return sample.set_pred_score(scores).set_pred_label(scores.argmax())


class ClassifierGraph(nn.Module):
    """Images in, the probability of every class out.

    Args:
        model: mmpretrain's ``ImageClassifier``, in evaluation mode.
        image: The first step.

    Raises:
        ValueError: If its head gives several labels to an image.
    """

    dynamic_batch = True
    output_names = ('scores',)
    dynamic_axes: ClassVar[dict] = {'scores': {0: 'batch'}}
    static_axes: ClassVar[dict] = {}

    def __init__(self, model: Any, image: ImageInput):
        super().__init__()
        head = type(model.head)
        if any(parent.__name__.startswith('MultiLabel') for parent in head.__mro__):
            raise ValueError(
                f'classifiers with several labels for an image ({head.__name__}) cannot be exported '
                'whole: export their backbone and neck with part="backbone-neck"'
            )
        self.image = image
        self.backbone = model.backbone
        self.neck = model.neck if model.with_neck else nn.Identity()
        self.head = model.head

    def forward(self, images: Tensor) -> Tensor:
        """Images ``(N, H, W, 3)`` uint8 to probabilities ``(N, classes)``."""
        features = self.neck(self.backbone(self.image(images)))
        return self.head(features).float().softmax(1)
