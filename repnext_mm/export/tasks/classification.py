"""Classifiers of mmpretrain."""

from typing import Any, ClassVar

from torch import Tensor, nn

from repnext_mm.export.image_input import ImageInput


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
