"""Training a classifier with a teacher (hard distillation)."""

from typing import Any

import torch
from mmpretrain.models.classifiers import ImageClassifier
from mmpretrain.registry import MODELS as MMPRETRAIN_MODELS
from torch import Tensor

from repnext_mm.config_dicts import pretrained_files
from repnext_mm.registry import MODELS, register


class Teacher:
    """A frozen classifier, built when it is first asked.

    It is no module: so it is in no checkpoint, optimizer or average of weights, and
    copies of a student share it.
    """

    def __init__(self, cfg: dict):
        self.cfg = cfg
        self.model: Any = None

    def __deepcopy__(self, memo: dict) -> 'Teacher':
        return self

    @torch.no_grad()
    def labels(self, inputs: Tensor) -> Tensor:
        """The classes of images ``(N, 3, H, W)``, normalized as for the student: ``(N,)`` int64."""
        if self.model is None:
            # In its own scope: whoever builds the student may have set another one.
            self.model = MMPRETRAIN_MODELS.build({'_scope_': 'mmpretrain', **self.cfg})
            if any(pretrained_files(self.cfg)):  # else they are random, or timm has loaded them
                self.model.init_weights()
            self.model.requires_grad_(False).to(inputs.device).eval()
        return self.model(inputs).argmax(1)


@register(MODELS)
class DistilledClassifier(ImageClassifier):
    """mmpretrain's ``ImageClassifier`` with a teacher for :class:`RepNeXtClsHead`.

    The teacher sees the images that the student sees, mixed ones too, and its most
    likely class is the label of the head's second classifier (DeiT, arXiv 2012.12877).
    It is needed for training only.

    Args:
        args: Arguments of ``ImageClassifier``.
        teacher: Config of a classifier of mmpretrain whose images are normalized as
            the student's.
        kwargs: More arguments of ``ImageClassifier``.
    """

    def __init__(self, *args: Any, teacher: dict, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.teacher = Teacher(teacher)

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Computes the losses of a batch ``(N, 3, H, W)`` against its labels and the teacher's."""
        teacher_labels = self.teacher.labels(inputs)
        return self.head.loss(self.extract_feat(inputs), data_samples, teacher_labels)
