"""The classification head of RepNeXt-M for mmpretrain."""

from typing import Any

import torch
import torch.nn.functional as F
from mmpretrain.models.heads import ClsHead
from torch import Tensor

from repnext_mm.deprecation import renamed_argument
from repnext_mm.networks.heads import TwoClassifiers, with_both_classifiers
from repnext_mm.registry import MODELS, register
from repnext_mm.reparam import INFERENCE_FORMS, TRAINING, FormAware, reparameterize_model
from repnext_mm.reparam.forms import form_name


@register(MODELS)
class RepNeXtClsHead(FormAware, TwoClassifiers, ClsHead):
    """:class:`repnext_mm.networks.heads.TwoClassifiers` as a head of mmpretrain.

    With distillation ``head`` learns from the labels and ``head_dist`` from a
    :class:`DistilledClassifier`'s teacher (hard distillation, DeiT, arXiv 2012.12877,
    section 3).

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the features.
        distillation_weight: Share of the teacher in the loss, in [0, 1); 0 trains the
            mean of both classifiers without a teacher. Published: 0.5.
        deploy: None for the training form; ``'fused'`` or ``'plain'``, which are the same
            here, builds the merged one.
        finetune_deployed: Let a merged head be trained, instead of an error.
        kwargs: Arguments of mmpretrain's ``ClsHead``, such as ``loss`` and ``topk``.

    Raises:
        ValueError: If a value is not among the allowed ones.
    """

    complete_only = False  # heads are trained anew for other classes

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        distillation_weight: float = 0.0,
        deploy: str | None = None,
        finetune_deployed: bool = False,
        **kwargs: Any,
    ):
        if not 0 <= distillation_weight < 1:
            raise ValueError(f'distillation_weight must lie in [0, 1), got {distillation_weight!r}')
        if deploy not in (None, *INFERENCE_FORMS):
            raise ValueError(f'unknown deploy {deploy!r}: choose None or one of {INFERENCE_FORMS}')
        super().__init__(in_channels, num_classes, form=deploy or TRAINING, **kwargs)
        self.distillation_weight = distillation_weight
        self.finetune_deployed = finetune_deployed

    # The property of a single block, not that of a network made of blocks.
    form = TwoClassifiers.form

    def forward(  # type: ignore[override]
        self, feats: tuple[Tensor, ...]
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Classifies.

        Args:
            feats: Pooled features; the last of them, ``(N, C)``, counts.

        Returns:
            Scores before the softmax, ``(N, num_classes)``; in training with
            distillation those of both classifiers.

        Raises:
            ValueError: If a merged head is trained; see :meth:`check_training`.
        """
        self.check_training()
        x = feats[-1]
        if self.form == TRAINING and self.training and self.distillation_weight:
            return self.head(x), self.head_dist(x)
        return TwoClassifiers.forward(self, x)

    def loss(
        self,
        feats: tuple[Tensor, ...],
        data_samples: list,
        teacher_labels: Tensor | None = None,
        **kwargs: Any,
    ) -> dict[str, Tensor]:
        """Computes the losses.

        Args:
            feats: As in :meth:`forward`.
            data_samples: mmpretrain's, with labels or mixed scores.
            teacher_labels: What the teacher says, ``(N,)`` int64; needed with
                distillation.
            kwargs: For the loss module.

        Returns:
            ``loss``, and with distillation ``loss_distill``.

        Raises:
            ValueError: If teacher and ``distillation_weight`` do not come together.
        """
        if (teacher_labels is not None) != bool(self.distillation_weight):
            raise ValueError(
                'a teacher and a distillation_weight above 0 belong together: use the model '
                "'repnext_mm.DistilledClassifier' and head=dict(distillation_weight=0.5), or neither"
            )
        if teacher_labels is None or self.form != TRAINING or not self.training:
            return super().loss(feats, data_samples, **kwargs)
        scores, scores_dist = self(feats)
        losses = ClsHead._get_loss(self, scores, data_samples, **kwargs)
        losses['loss'] = losses['loss'] * (1 - self.distillation_weight)
        distill = F.cross_entropy(scores_dist, teacher_labels)
        losses['loss_distill'] = distill * self.distillation_weight
        return losses

    @renamed_argument('mode', 'form')
    def switch_to_deploy(self, form: str = 'fused') -> None:
        """Merges this head in place."""
        merged = reparameterize_model(self, form)
        self.__dict__.clear()
        self.__dict__.update(merged.__dict__)

    @renamed_argument('deploy', 'form')
    def another_form(self, form: str) -> 'RepNeXtClsHead':
        """This head in another form, without values: its parameters are on 'meta'."""
        deploy = None if form_name(form) == TRAINING else form
        with torch.device('meta'):
            return RepNeXtClsHead(self.num_classes, self.in_channels, deploy=deploy)

    def argument_for(self, form: str) -> str:
        """The argument that builds this head in a form, also as a config has it."""
        deploy = None if form == TRAINING else form
        return f'deploy={deploy!r} (in a config: model.head.deploy={deploy})'

    def own_part(self, state: dict[str, Any]) -> dict[str, Tensor]:
        """The entries; where a network was trained without distillation, one classifier is both."""
        return with_both_classifiers(state)
