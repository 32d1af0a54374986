"""How large a backbone is, as the metafiles state it."""

import torch
from helpers import without_values
from mmengine.registry import MODELS
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from repnext_mm import reparameterize_model


def size_of(backbone: dict, deploy: str | None = None) -> tuple[int, int]:
    """Parameters, and multiply-adds of convolutions and matrix products at 224x224.

    Args:
        backbone: The config of a backbone in its training form.
        deploy: The form to merge it to, if it merges.
    """
    options = {key: value for key, value in backbone.items() if key != 'init_cfg'}
    with without_values():
        network: nn.Module = MODELS.build(options)
        network.eval()  # mmpretrain's does not return the model
        if deploy:
            network = reparameterize_model(network, deploy)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, 3, 224, 224, device='meta'))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return parameters, counter.get_total_flops() // 2
