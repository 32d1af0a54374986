"""Class activation maps, by grad-cam: where in the image a score comes from."""

from typing import Any

import numpy as np
from torch import nn

from repnext_mm.compat import require_extra
from repnext_mm.feature_maps.layers import check_layers
from repnext_mm.feature_maps.network_image import NetworkImage
from repnext_mm.feature_maps.targets import CamTarget, Scores

CAM_METHODS = {
    'gradcam': 'GradCAM',
    'gradcam++': 'GradCAMPlusPlus',
    'hirescam': 'HiResCAM',
    'layercam': 'LayerCAM',
    'eigencam': 'EigenCAM',
}
"""grad-cam's classes by the names of the option."""

WITHOUT_TARGET = ('eigencam',)
"""Methods that explain no score, but show what a layer puts out most of all."""

USUAL_METHODS = {'detection': 'hirescam'}
"""By task, where it is not ``'gradcam'``, which weighs whole channels: that loses where objects are."""


def usual_method(task: str) -> str:
    """The method for a task where none is chosen."""
    return USUAL_METHODS.get(task, 'gradcam')


class Activation:
    """Class activation maps of a model's layers on one image.

    Args:
        model: In evaluation mode, in any form. Its parameters must not be trained meanwhile.
        scores: Of this model on an image.
        method: One of :data:`CAM_METHODS`.

    Raises:
        ImportError: If grad-cam is not installed.
        ValueError: If the method is unknown.
    """

    def __init__(self, model: nn.Module, scores: Scores, method: str):
        if method not in CAM_METHODS:
            raise ValueError(f'unknown method {method!r}: choose from {", ".join(CAM_METHODS)}')
        package: Any = require_extra('pytorch_grad_cam', 'cam', 'class activation')
        self.kind = getattr(package, CAM_METHODS[method])
        self.method = method
        self.model, self.scores = model, scores

    @property
    def image(self) -> NetworkImage:
        """The image."""
        return self.scores.image

    def map_of(self, layer: str, target: CamTarget | None) -> np.ndarray:
        """Where a score comes from, as a layer sees it.

        Args:
            layer: Name of a module of the model.
            target: What is explained; None for a method :data:`WITHOUT_TARGET`.

        Returns:
            ``(H, W)`` float32 over the image, from 0 to 1, where 1 is its largest value.

        Raises:
            ValueError: If there is no such layer, it puts out no feature map, or the score does
                not depend on it.
        """
        check_layers(self.model, [layer])
        targets = [] if target is None else [target.score]
        # With a gradient on the image every layer has one, whatever is frozen.
        inputs = self.image.inputs.clone().requires_grad_()
        with self.kind(self.scores, [self.model.get_submodule(layer)]) as cam:
            try:
                found = cam(inputs, targets)
            except (AttributeError, TypeError, RuntimeError) as error:
                if target is None or cam.activations_and_grads.gradients:
                    raise
                raise ValueError(
                    f'the score of {target.title!r} does not depend on a feature map of the layer '
                    f'{layer!r}: name another one'
                ) from error
        return self.image.on_image(found[0])
