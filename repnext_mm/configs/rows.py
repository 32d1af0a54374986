"""The backbones that recipes are compared with, by name: one row of data for each."""

from typing import Any, NamedTuple


class Rates(NamedTuple):
    """Stochastic depth, by task."""

    detector: float = 0.0
    cascade: float = 0.0
    segmentor: float = 0.0
    classifier: float = 0.0


class Decay(NamedTuple):
    """Learning rates by layer: ``paramwise_cfg`` of LayerDecayOptimWrapperConstructor, by task."""

    detector: dict[str, Any]
    cascade: dict[str, Any]
    segmentor: dict[str, Any]


class BackboneRow(NamedTuple):
    """A backbone."""

    title: str
    """As papers write it."""

    timm: str | None = None
    """Network and weights, ``NAME.TAG`` of timm; None for one that timm does not have."""

    arch: str | None = None
    """Of ``repnext_mm.RepNeXt``."""

    backbone: dict[str, Any] | None = None
    """Config of a backbone of another package."""

    channels: tuple[int, ...] = ()
    """Of the feature maps of :attr:`backbone`; other networks tell theirs."""

    rates: Rates = Rates()
    decay: Decay | None = None
    """None for the same learning rate in all layers."""

    out_norm: bool = False
    """Whether published detectors normalize the outputs by layer norms."""


def layers(rate: float) -> dict[str, Any]:
    """Layer-wise decay at a rate."""
    return dict(decay_rate=rate, decay_type='layer_wise')


def stages(number: int) -> dict[str, Any]:
    """Stage-wise decay as in ConvNeXt's UperNet recipes."""
    return dict(decay_rate=0.9, decay_type='stage_wise', num_layers=number)


# ConvNeXt's published recipes; those of Mask R-CNN are of T alone, and S and B have here the
# stochastic depth of their Cascade Mask R-CNN.
CONVNEXT_TINY: dict[str, Any] = dict(
    rates=Rates(0.4, 0.4, 0.4, 0.1), decay=Decay(layers(0.95), layers(0.7), stages(6))
)
CONVNEXT_SMALL: dict[str, Any] = dict(
    rates=Rates(0.6, 0.6, 0.3, 0.4), decay=Decay(layers(0.95), layers(0.7), stages(12))
)
CONVNEXT_BASE: dict[str, Any] = dict(
    rates=Rates(0.7, 0.7, 0.4, 0.5), decay=Decay(layers(0.95), layers(0.8), stages(12))
)
PLAIN_TRANSFORMER: dict[str, Any] = dict(
    rates=Rates(0.1, 0.1, 0.1, 0.1), decay=Decay(layers(0.95), layers(0.7), layers(0.9))
)
CLASSIFIER_DROP = Rates(classifier=0.2)


def replknet(small_kernel: int | None) -> dict[str, Any]:
    """RepLKNet in the depths and channels of ConvNeXt-T, with the kernel sizes of SLaK-T.

    The authors' "RepLKNet_tiny" is known by its 44.0 M parameters alone. This has 44,004,616
    with 1000 classes and 5x5 kernels beside the large ones.
    """
    return dict(
        type='mmpretrain.RepLKNet',
        arch=dict(
            large_kernel_sizes=[51, 49, 47, 13],
            layers=[3, 3, 9, 3],
            channels=[96, 192, 384, 768],
            small_kernel=small_kernel,
            dw_ratio=1,
        ),
        out_indices=(0, 1, 2, 3),
    )


LARGE_KERNELS: dict[str, Any] = dict(channels=(96, 192, 384, 768), rates=CONVNEXT_TINY['rates'])
REPVGG = ('A0', 'A1', 'A2', 'B0', 'B1', 'B1g4', 'B2', 'B2g4', 'B3', 'B3g4')

ROWS: dict[str, BackboneRow] = {
    'repnext_tiny': BackboneRow('RepNeXt-T', arch='tiny', **CONVNEXT_TINY),
    'repnext_tiny_v2': BackboneRow('RepNeXt-T V2', arch='tiny_v2', **CONVNEXT_TINY),
    'repnext_tiny_v3': BackboneRow('RepNeXt-T V3', arch='tiny_v3', **CONVNEXT_TINY),
    'repnext_convnext_er_tiny': BackboneRow('ConvNeXtER-T', arch='convnext_er_tiny', **CONVNEXT_TINY),
    'repnext_small': BackboneRow('RepNeXt-S', arch='small', **CONVNEXT_SMALL),
    'repnext_base': BackboneRow('RepNeXt-B', arch='base', **CONVNEXT_BASE),
    **{f'repnext_m{i}': BackboneRow(f'RepNeXt-M{i}', arch=f'm{i}') for i in range(6)},
    **{f'resnet{depth}': BackboneRow(f'ResNet-{depth}', f'resnet{depth}.a1_in1k') for depth in (18, 34, 50, 101)},
    'mobilenet_v2': BackboneRow('MobileNetV2', 'mobilenetv2_100.ra_in1k'),
    'mobilenet_v3_small': BackboneRow('MobileNetV3-S', 'mobilenetv3_small_100.lamb_in1k'),
    'mobilenet_v3_large': BackboneRow('MobileNetV3-L', 'mobilenetv3_large_100.ra_in1k'),
    'efficientnet_b0': BackboneRow('EfficientNet-B0', 'efficientnet_b0.ra_in1k', rates=CLASSIFIER_DROP),
    'efficientnet_b1': BackboneRow('EfficientNet-B1', 'efficientnet_b1.ft_in1k', rates=CLASSIFIER_DROP),
    'efficientnet_b2': BackboneRow('EfficientNet-B2', 'efficientnet_b2.ra_in1k', rates=CLASSIFIER_DROP),
    'efficientnet_b3': BackboneRow('EfficientNet-B3', 'efficientnet_b3.ra2_in1k', rates=CLASSIFIER_DROP),
    'efficientnet_v2_s': BackboneRow(
        'EfficientNetV2-S', 'tf_efficientnetv2_s.in1k', rates=CLASSIFIER_DROP
    ),
    'vit_small': BackboneRow('ViT-S/16', 'deit_small_patch16_224.fb_in1k', **PLAIN_TRANSFORMER),
    'vit_base': BackboneRow('ViT-B/16', 'deit_base_patch16_224.fb_in1k', **PLAIN_TRANSFORMER),
    'swin_tiny': BackboneRow(
        'Swin-T', 'swin_tiny_patch4_window7_224.ms_in1k', out_norm=True, rates=Rates(0.2, 0.2, 0.3, 0.2)
    ),
    'swin_small': BackboneRow(
        'Swin-S', 'swin_small_patch4_window7_224.ms_in1k', out_norm=True, rates=Rates(0.2, 0.2, 0.3, 0.3)
    ),
    'swin_base': BackboneRow(
        'Swin-B', 'swin_base_patch4_window7_224.ms_in1k', out_norm=True, rates=Rates(0.3, 0.3, 0.3, 0.5)
    ),
    'convnext_tiny': BackboneRow('ConvNeXt-T', 'convnext_tiny.fb_in1k', out_norm=True, **CONVNEXT_TINY),
    'convnext_small': BackboneRow('ConvNeXt-S', 'convnext_small.fb_in1k', out_norm=True, **CONVNEXT_SMALL),
    'convnext_base': BackboneRow('ConvNeXt-B', 'convnext_base.fb_in1k', out_norm=True, **CONVNEXT_BASE),
    **{
        f'repvgg_{name.lower()}': BackboneRow(f'RepVGG-{name}', f'repvgg_{name.lower()}.rvgg_in1k')
        for name in REPVGG
    },
    'replknet_tiny': BackboneRow('RepLKNet-T', backbone=replknet(5), **LARGE_KERNELS),
    'replknet_tiny_without_rep': BackboneRow(
        'RepLKNet-T without small kernels', backbone=replknet(None), **LARGE_KERNELS
    ),
    'repvit_m1_1': BackboneRow('RepViT-M1.1', 'repvit_m1_1.dist_300e_in1k'),
    'repvit_m1_5': BackboneRow('RepViT-M1.5', 'repvit_m1_5.dist_300e_in1k'),
}  # fmt: skip
"""By the names that :func:`repnext_mm.configs.with_backbone` takes, and so the tools."""


def row_of(name: str) -> BackboneRow:
    """The row of a name; of another network of timm, one without rates of its own.

    Args:
        name: Of :data:`ROWS`, or of a network of timm, with its weights as ``NAME.TAG``.
    """
    return ROWS.get(name) or BackboneRow(name, timm=name)
