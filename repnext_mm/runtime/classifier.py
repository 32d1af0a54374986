"""Exported classifiers."""

import numpy as np

from repnext_mm.runtime.images import read_image
from repnext_mm.runtime.network import ExportedNetwork, Image


class Classifier(ExportedNetwork):
    """An exported classifier: ``Classifier('model.onnx')('image.jpg')``."""

    task = 'classification'

    def __call__(self, image: Image) -> np.ndarray:
        """The probability of each class, ``(classes,)`` float32.

        Args:
            image: ``(H, W, 3)`` uint8, RGB, or the path of a picture.
        """
        return self.classify(self.prepare(read_image(image)).image)

    def classify(self, resized: np.ndarray) -> np.ndarray:
        """The same for an image ``(H', W', 3)`` that has the network's size already."""
        return self.session(self.fit(resized).image[None])['scores'][0]
