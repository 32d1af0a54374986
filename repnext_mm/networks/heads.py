"""Classification heads: pooled features ``(N, C)`` to scores ``(N, num_classes)``."""

import copy
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from repnext_mm.deprecation import renamed_argument
from repnext_mm.reparam import TRAINING, Reparameterizable, kernels, layers


class NormLinear(nn.Sequential):
    """Batch norm, then a linear layer."""

    norm: nn.BatchNorm1d
    linear: nn.Linear

    def __init__(self, in_channels: int, num_classes: int):
        norm, linear = nn.BatchNorm1d(in_channels), nn.Linear(in_channels, num_classes)
        initialize_linear(linear)
        super().__init__(OrderedDict(norm=norm, linear=linear))

    def kernel(self) -> tuple[Tensor, Tensor]:
        """Both as one linear layer in float64: weight and bias."""
        return layers.norm_linear_weights(self.norm, self.linear)


class LinearHead(nn.Sequential):
    """One linear layer, RepNeXt-T's head; named as in mmpretrain's ``LinearClsHead``."""

    fc: nn.Linear

    def __init__(self, in_channels: int, num_classes: int):
        linear = nn.Linear(in_channels, num_classes)
        initialize_linear(linear)
        super().__init__(OrderedDict(fc=linear))


class TwoClassifiers(Reparameterizable):
    """RepNeXt-M's head: two classifiers, each a batch norm and a linear layer, and their mean.

    With distillation they learn from different teachers: ``head`` from the labels,
    ``head_dist`` from another network (DeiT, arXiv 2012.12877, section 3). Merged, they are
    one linear layer. The names are those of the official RepNeXt-M.

    Args:
        in_channels: Channels of the features.
        num_classes: Number of classes.
        form: ``'training'``; ``'fused'`` or ``'plain'``, which are the same here, builds the
            merged head.
        kwargs: Arguments of the next class, where this one is mixed into another package's.
    """

    head: NormLinear
    head_dist: NormLinear
    linear: nn.Linear

    def __init__(self, in_channels: int, num_classes: int, form: str = TRAINING, **kwargs: Any):
        super().__init__(**kwargs)
        self.in_channels = in_channels
        self.num_classes = num_classes
        self._form = form
        if form == TRAINING:
            self.head = NormLinear(in_channels, num_classes)
            self.head_dist = NormLinear(in_channels, num_classes)
        else:
            self.linear = nn.Linear(in_channels, num_classes)

    @property
    def form(self) -> str:
        return self._form

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(N, C)`` to scores before the softmax, ``(N, num_classes)``."""
        if self._form != TRAINING:
            return self.linear(x)
        return (self.head(x) + self.head_dist(x)) / 2

    @renamed_argument('mode', 'form')
    def merged(self, form: str) -> nn.Module:
        head = copy.deepcopy(self)
        head._form = form
        if self._form == TRAINING:
            weight, bias = kernels.merge_mean([self.head.kernel(), self.head_dist.kernel()])
            del head.head, head.head_dist
            head.linear = layers.build_linear(weight, bias, self.head.linear, sources=[self])
        return head.eval()


def initialize_linear(linear: nn.Linear) -> None:
    """Draws the weights from a normal distribution of deviation 0.02; the bias is zero."""
    nn.init.trunc_normal_(linear.weight, std=0.02)
    nn.init.zeros_(linear.bias)


def with_both_classifiers(state: Mapping[str, Tensor], prefix: str = '') -> dict[str, Tensor]:
    """The state dict of :class:`TwoClassifiers` where a network was trained without distillation.

    Such a network has one classifier, which then stands for both: their mean is the same.

    Args:
        state: Of a head, or of a network that contains one.
        prefix: What precedes the names of the head, such as ``'head.'``.
    """
    one, other = f'{prefix}head.', f'{prefix}head_dist.'
    if any(name.startswith(other) for name in state):
        return dict(state)
    copies = {n.replace(one, other, 1): v for n, v in state.items() if n.startswith(one)}
    return dict(state) | copies
