"""Training a classifier with a teacher: its most likely classes, or its soft labels."""

from typing import Any

import torch
from mmengine.registry import MODELS as ROOT_MODELS
from mmpretrain.models.classifiers import ImageClassifier
from mmpretrain.models.utils import ClsDataPreprocessor
from mmpretrain.structures import DataSample
from torch import Tensor

from repnext_mm.classification.head import RepNeXtClsHead
from repnext_mm.distillation import Teacher
from repnext_mm.registry import MODELS, register


class ClassifierTeacher(Teacher):
    """A :class:`repnext_mm.distillation.Teacher` that is a classifier of mmpretrain.

    Args:
        config: Config of the classifier.
    """

    def __init__(self, config: dict):
        super().__init__(config, scope='mmpretrain')

    @torch.no_grad()
    def scores(self, inputs: Tensor) -> Tensor:
        """Scores before the softmax of images ``(N, 3, H, W)``, normalized as for the student.

        Returns:
            ``(N, num_classes)``.
        """
        return self.ready_for(inputs)(inputs)

    def labels(self, inputs: Tensor) -> Tensor:
        """The most likely classes of images ``(N, 3, H, W)``: ``(N,)`` int64."""
        return self.scores(inputs).argmax(1)


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
        self.teacher = ClassifierTeacher(teacher)

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Computes the losses of a batch ``(N, 3, H, W)`` against its labels and the teacher's."""
        teacher_labels = self.teacher.labels(inputs)
        return self.head.loss(self.extract_feat(inputs), data_samples, teacher_labels)


@register(MODELS)
class SoftDistilledClassifier(ImageClassifier):
    """mmpretrain's ``ImageClassifier`` that learns a teacher's soft labels and no others.

    As SSLD does (arXiv 2103.05959): the loss is a divergence of what student and teacher say of
    an image, so images need no ground truth, and data without labels may be added. The
    teacher sees the images that the student sees, mixed ones too, and is needed for training only.

    Args:
        args: Arguments of ``ImageClassifier``.
        teacher: Config of a classifier of mmpretrain (``TimmClassifier`` for those of timm) of
            the same classes, whose images are normalized as the student's.
        distill_loss: Config of a loss of the scores ``(student, teacher)``, both
            ``(N, num_classes)``.
        data_preprocessor: As for ``ImageClassifier``. Its type defaults to
            :class:`LabelFreeDataPreprocessor`.
        kwargs: More arguments of ``ImageClassifier``.

    Raises:
        ValueError: If the head has a part of the loss for a teacher's hard labels.
    """

    def __init__(
        self,
        *args: Any,
        teacher: dict,
        distill_loss: dict = {'type': 'repnext_mm.JensenShannonDivergence'},  # noqa: B006 (read only)
        data_preprocessor: Any = None,
        **kwargs: Any,
    ):
        if not data_preprocessor or isinstance(data_preprocessor, dict):
            kind = f'repnext_mm.{LabelFreeDataPreprocessor.__name__}'
            data_preprocessor = {'type': kind, **(data_preprocessor or {})}
        super().__init__(*args, data_preprocessor=data_preprocessor, **kwargs)
        if isinstance(self.head, RepNeXtClsHead) and self.head.distillation_weight:
            raise ValueError(
                'distillation_weight is for the hard labels of DistilledClassifier: leave it out '
                'of the head, all of whose loss comes from soft labels'
            )
        self.teacher = ClassifierTeacher(teacher)
        self.distill_loss = ROOT_MODELS.build(dict(distill_loss))

    def loss(self, inputs: Tensor, data_samples: list | None = None) -> dict[str, Tensor]:
        """Computes the loss of a batch ``(N, 3, H, W)``; ``data_samples`` do not count.

        Raises:
            ValueError: If student and teacher have different numbers of classes.
        """
        wanted = self.teacher.scores(inputs)
        scores = self.head(self.extract_feat(inputs))
        if scores.shape != wanted.shape:
            raise ValueError(
                f'the student knows {scores.shape[1]} classes, its teacher {wanted.shape[1]}: set '
                'num_classes of one of the heads'
            )
        return dict(loss_distill=self.distill_loss(scores, wanted))


@register(MODELS)
class LabelFreeDataPreprocessor(ClsDataPreprocessor):
    """mmpretrain's ``ClsDataPreprocessor``, in whose training batches images have no labels.

    ``ClsDataPreprocessor`` wants labels for all images of a batch or for none, and mixes
    images (Mixup, CutMix) that have some. Here labels are dropped in training, and images
    with and without are mixed alike; in tests labels stay.
    """

    def forward(self, data: dict, training: bool = False) -> dict:
        """Prepares a batch as ``ClsDataPreprocessor``."""
        if training:
            # A score, since that is what is mixed along with the images; nobody reads it.
            samples = [DataSample().set_gt_score(torch.zeros(1)) for _ in data['data_samples']]
            data = {**data, 'data_samples': samples}
        return super().forward(data, training)
