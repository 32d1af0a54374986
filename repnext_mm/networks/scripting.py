"""``torch.jit.script`` of merged networks: it gets their trace, which no size of image is baked into."""

from typing import Any

import torch
from torch import Tensor, nn

from repnext_mm.reparam import TRAINING

TRACED_SIDE = 64
"""Of the image that the trace is made with, in pixels."""


class Traced(nn.Module):
    """A network as ``torch.jit.trace`` records it, in a module that ``torch.jit.script`` compiles.

    Args:
        network: In evaluation mode.
        image: What it is traced with.
    """

    def __init__(self, network: nn.Module, image: Tensor):
        super().__init__()
        with torch.no_grad():
            self.network = torch.jit.trace(network, image, check_trace=False)

    def forward(self, x: Tensor):
        """The network's outputs for images of any size."""
        return self.network(x)


def scriptable(network: Any) -> Traced:
    """What ``torch.jit.script`` compiles in the place of a RepNeXt.

    Args:
        network: A :class:`repnext_mm.networks.RepNeXt`.

    Raises:
        TypeError: If it is not merged, or in training mode: a trace would be wrong in the other.
    """
    if network.form == TRAINING or network.training:
        raise TypeError(
            'torch.jit.script takes a RepNeXt that is merged and in evaluation mode, this one is in '
            f'the form {network.form!r} and in {"training" if network.training else "evaluation"} '
            'mode: script repnext_mm.reparameterize_model(network.eval()). For training use '
            'torch.compile'
        )
    like = next(network.parameters())
    shape = (1, network.in_channels, TRACED_SIDE, TRACED_SIDE)
    return Traced(network, torch.zeros(shape, dtype=like.dtype, device=like.device))
