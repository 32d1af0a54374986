"""Several scales from a network that has one, for detectors on a plain Vision Transformer.

Source: "Exploring Plain Vision Transformer Backbones for Object Detection" (ViTDet,
arXiv 2203.16527), section 3 and appendix A.2.
"""

from collections.abc import Sequence
from typing import Any

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from repnext_mm.registry import MODELS, register


@register(MODELS)
class SimpleFeaturePyramid(BaseModule):
    """ViTDet's simple feature pyramid, a neck.

    Makes strides 4, 8, 16 and 32 from the last feature map, of stride 16, by transposed
    convolution and pooling, and brings each to ``out_channels`` by a 1x1 and a 3x3
    convolution. There are no connections between scales.

    Args:
        in_channels: Channels of the backbone's last feature map.
        out_channels: Channels of every output.
        num_outs: Number of outputs; those after the fourth are subsampled from it.
        norm_cfg: mmcv's norm config. ViTDet normalizes the channels of each position:
            ``dict(type='mmpretrain.LN2d')``.
        init_cfg: mmengine's initialization config.

    Raises:
        ValueError: If ``num_outs`` is less than 4.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 256,
        num_outs: int = 5,
        norm_cfg: dict[str, Any] = {'type': 'mmpretrain.LN2d'},  # noqa: B006 (read only)
        init_cfg: dict | list | None = None,
    ):
        super().__init__(init_cfg)
        if num_outs < 4:
            raise ValueError(f'the pyramid has at least 4 outputs, got num_outs={num_outs!r}')
        self.extra_outs = num_outs - 4
        half, quarter = in_channels // 2, in_channels // 4
        upsample = dict(conv_cfg=dict(type='deconv'), kernel_size=2, stride=2)
        first = ConvModule(
            in_channels, half, norm_cfg=norm_cfg, act_cfg=dict(type='GELU'), **upsample
        )
        self.scales = nn.ModuleList(
            [
                nn.Sequential(first, ConvModule(half, quarter, act_cfg=None, **upsample)),
                ConvModule(in_channels, half, act_cfg=None, **upsample),
                nn.Identity(),
                nn.MaxPool2d(2),
            ]
        )
        self.outputs = nn.ModuleList(
            nn.Sequential(
                ConvModule(width, out_channels, 1, norm_cfg=norm_cfg, act_cfg=None),
                ConvModule(
                    out_channels, out_channels, 3, padding=1, norm_cfg=norm_cfg, act_cfg=None
                ),
            )
            for width in (quarter, half, in_channels, in_channels)
        )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Makes the pyramid.

        Args:
            inputs: Feature maps of which the last counts, ``(N, in_channels, H, W)``.

        Returns:
            ``(N, out_channels, 4H, 4W)``, then each of half the height and width of the one
            before, rounded down.
        """
        levels = zip(self.scales, self.outputs, strict=True)
        outputs = [output(scale(inputs[-1])) for scale, output in levels]
        for _ in range(self.extra_outs):
            outputs.append(F.max_pool2d(outputs[-1], 1, stride=2))
        return tuple(outputs)
