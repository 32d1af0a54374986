"""The classification head of RepNeXt-M: two classifiers, merged to one linear layer."""

import copy
from collections import OrderedDict
from typing import Any

import torch
import torch.nn.functional as F
from mmpretrain.models.heads import ClsHead
from torch import Tensor, nn

from repnext_mm.registry import MODELS, register
from repnext_mm.reparam import (
    INFERENCE_FORMS,
    FormAware,
    Reparameterizable,
    kernels,
    layers,
    reparameterize_model,
)


class NormLinear(nn.Sequential):
    """Batch norm, then a linear layer."""

    norm: nn.BatchNorm1d
    linear: nn.Linear

    def __init__(self, in_channels: int, num_classes: int):
        norm, linear = nn.BatchNorm1d(in_channels), nn.Linear(in_channels, num_classes)
        nn.init.trunc_normal_(linear.weight, std=0.02)
        nn.init.zeros_(linear.bias)
        super().__init__(OrderedDict(norm=norm, linear=linear))

    def kernel(self) -> tuple[Tensor, Tensor]:
        """Both as one linear layer in float64: weight and bias."""
        return layers.norm_linear_weights(self.norm, self.linear)


@register(MODELS)
class RepNeXtClsHead(FormAware, Reparameterizable, ClsHead):
    """Two classifiers, each a batch norm and a linear layer, and the mean of their scores.

    With distillation they learn from different teachers: ``head`` from the labels,
    ``head_dist`` from a :class:`DistilledClassifier`'s teacher (hard distillation, DeiT,
    arXiv 2012.12877, section 3). Merged, they are one linear layer. The names are those
    of the official RepNeXt-M.

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

    head: NormLinear
    head_dist: NormLinear
    linear: nn.Linear
    part = 'head'
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
        super().__init__(**kwargs)
        if not 0 <= distillation_weight < 1:
            raise ValueError(f'distillation_weight must lie in [0, 1), got {distillation_weight!r}')
        if deploy not in (None, *INFERENCE_FORMS):
            raise ValueError(f'unknown deploy {deploy!r}: choose None or one of {INFERENCE_FORMS}')
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.distillation_weight = distillation_weight
        self.finetune_deployed = finetune_deployed
        self._form = deploy
        if deploy:
            self.linear = nn.Linear(in_channels, num_classes)
        else:
            self.head = NormLinear(in_channels, num_classes)
            self.head_dist = NormLinear(in_channels, num_classes)

    @property
    def form(self) -> str | None:
        return self._form

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor | tuple[Tensor, Tensor]:
        """Classifies.

        Args:
            feats: Pooled features; the last of them, ``(N, C)``, counts.

        Returns:
            Scores before the softmax, ``(N, num_classes)``; in training with
            distillation those of both classifiers.
        """
        x = feats[-1]
        if self._form:
            return self.linear(x)
        scores, scores_dist = self.head(x), self.head_dist(x)
        if self.training and self.distillation_weight:
            return scores, scores_dist
        return (scores + scores_dist) / 2

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
        if teacher_labels is None or self._form or not self.training:
            return super().loss(feats, data_samples, **kwargs)
        scores, scores_dist = self(feats)
        losses = ClsHead._get_loss(self, scores, data_samples, **kwargs)
        losses['loss'] = losses['loss'] * (1 - self.distillation_weight)
        distill = F.cross_entropy(scores_dist, teacher_labels)
        losses['loss_distill'] = distill * self.distillation_weight
        return losses

    def merged(self, mode: str) -> nn.Module:
        head = copy.deepcopy(self)
        head._form = mode
        if not self._form:
            weight, bias = kernels.merge_mean([self.head.kernel(), self.head_dist.kernel()])
            del head.head, head.head_dist
            like = self.head.linear
            head.linear = layers.build_linear(weight, bias, like, sources=[self])
        return head.eval()

    def switch_to_deploy(self, mode: str = 'fused') -> None:
        """Merges this head in place."""
        merged = reparameterize_model(self, mode)
        self.__dict__.clear()
        self.__dict__.update(merged.__dict__)

    def another_form(self, deploy: str | None) -> 'RepNeXtClsHead':
        """This head in another form, without values: its parameters are on 'meta'."""
        with torch.device('meta'):
            return RepNeXtClsHead(self.num_classes, self.in_channels, deploy=deploy)

    def own_part(self, state: dict[str, Any]) -> dict[str, Tensor]:
        """The entries; where a network was trained without distillation, one classifier is both."""
        if any(name.startswith('head_dist.') for name in state):
            return state
        copies = {n.replace('head.', 'head_dist.', 1): v for n, v in state.items()}
        return state | {n: v for n, v in copies.items() if n.startswith('head_dist.')}
