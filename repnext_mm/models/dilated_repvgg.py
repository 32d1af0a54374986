"""RepVGG at output stride 8, as its paper segments with it (arXiv 2101.03697, section 4.3)."""

from typing import Any

from mmengine.registry import MODELS as MMENGINE_MODELS
from torch import nn

from repnext_mm.compat import require
from repnext_mm.registry import MODELS, register

STRIDES, DILATIONS = (2, 2, 1, 1), (1, 1, 2, 4)


@register(MODELS)
def dilated_repvgg(dilated_layers: int | None = None, **options: Any) -> nn.Module:
    """Builds mmpretrain's RepVGG with stride 8 in its last two stages.

    Args:
        dilated_layers: How many of the last layers are dilated; None for the whole of these two
            stages. The paper calls its networks with 5 "fast".
        options: Of mmpretrain's ``RepVGG``, but for ``strides`` and ``dilations``.

    Returns:
        A backbone whose feature maps have strides 4, 8, 8, 8.

    Raises:
        ImportError: If mmpretrain is not installed.
        ValueError: If these stages have not so many layers.
    """
    require('mmpretrain.models', 'RepVGG')
    network = MMENGINE_MODELS.build(
        dict(type='mmpretrain.RepVGG', strides=STRIDES, dilations=DILATIONS, **options)
    )
    stages = [getattr(network, name) for name in network.stages]
    for block in (network.stem, *(block for stage in stages for block in stage)):
        # mmpretrain merges by the name 'BN' alone; a synchronized one is the same when merged.
        block.norm_cfg = dict(block.norm_cfg, type=block.norm_cfg['type'].replace('Sync', ''))
    blocks = [block for stage in stages for block in stage if block.dilation > 1]
    count = len(blocks) if dilated_layers is None else dilated_layers
    if not isinstance(count, int) or not 0 <= count <= len(blocks):
        raise ValueError(
            f'dilated_layers must be None or a number from 0 to {len(blocks)}, the layers of the '
            f'last two stages, got {dilated_layers!r}'
        )
    for block in blocks[: len(blocks) - count]:
        _take_dilation_away(block)
    return network


def _take_dilation_away(block: Any) -> None:
    """Makes the 3x3 convolution of a RepVGG block a plain one, also when it is merged later."""
    block.dilation = block.padding = 1
    for layer in block.modules():
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
            layer.dilation = layer.padding = (1, 1)
