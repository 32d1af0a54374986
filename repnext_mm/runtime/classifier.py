"""Exported classifiers."""

from typing import Any, overload

import numpy as np

from repnext_mm.runtime.images import Image, is_many
from repnext_mm.runtime.network import ExportedNetwork, Outputs
from repnext_mm.runtime.size_rules import Prepared


class Classifier(ExportedNetwork):
    """An exported classifier: ``Classifier('model.onnx')('image.jpg')``."""

    task = 'classification'

    @overload
    def __call__(self, image: list[Any] | tuple[Any, ...]) -> list[np.ndarray]: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(self, image: Image) -> np.ndarray: ...

    def __call__(self, image: Image) -> np.ndarray | list[np.ndarray]:
        """The probability of each class, ``(classes,)`` float32.

        Args:
            image: What :func:`~repnext_mm.runtime.images.read_image` takes, or a list of them,
                for a list of answers.
        """
        many = is_many(image)
        found = [passed.outputs for passed in self.pass_all(image if many else [image])]
        return found if many else found[0]

    def classify(self, resized: np.ndarray) -> np.ndarray:
        """The same for an image ``(H', W', 3)`` that has the network's size already."""
        return self.run([resized])[0]

    def read_outputs(self, outputs: Outputs, fitted: Prepared, resized: np.ndarray) -> np.ndarray:
        return outputs['scores']
