"""Initial weights that several families share: functions of one layer, for ``module.apply``."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def initialize_norm(layer: nn.Module) -> None:
    """Makes a batch norm the identity of normalized features: scale 1, shift 0."""
    if isinstance(layer, _BatchNorm) and layer.affine:
        nn.init.ones_(layer.weight)
        nn.init.zeros_(layer.bias)


def zero_bias(layer: nn.Conv2d) -> None:
    """Sets the bias of a convolution to zero, if it has one."""
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
