"""Counts of whole models against published ones, and against mmengine's."""

import pytest
import torch
import torchvision
from helpers import slim
from mmengine.analysis import get_model_complexity_info
from small_configs import CONFIGS, read, shrink

from repnext_mm.checkpoints.loading import build_model
from repnext_mm.evaluation.complexity import complexity_of
from repnext_mm.models import RepNeXt


def test_winograd_multiplications_are_those_of_the_repvgg_paper():
    """Its table 1: VGG-16 has 15.5 and 6.9 billion, and 138.35 million parameters."""
    with torch.device('meta'):
        network = torchvision.models.vgg16()
    found = complexity_of(network, (224, 224))
    assert found.parameters == 138_357_544
    assert found.multiply_adds / 1e9 == pytest.approx(15.5, abs=0.05)
    assert found.winograd_multiplications / 1e9 == pytest.approx(6.9, abs=0.05)


def test_strided_and_pointwise_convolutions_gain_nothing():
    for layer in (
        torch.nn.Conv2d(3, 4, 3, stride=2),
        torch.nn.Conv2d(3, 4, 1),
        torch.nn.Conv2d(3, 4, 3, dilation=2),
        torch.nn.ConvTranspose2d(3, 4, 3),
    ):
        found = complexity_of(layer, (32, 32))
        assert found.winograd_multiplications == found.multiply_adds > 0


def test_counts_are_mmengines_but_for_norms_and_activations():
    network = RepNeXt(slim(), deploy='fused').eval()
    found = complexity_of(network, (64, 96))
    theirs = get_model_complexity_info(network, (3, 64, 96), show_table=False, show_arch=False)
    assert found.parameters == theirs['params']
    assert found.multiply_adds == pytest.approx(theirs['flops'], rel=0.02)


@pytest.mark.parametrize(
    'name',
    ['mask_rcnn_repnext_tiny_coco', 'cascade_mask_rcnn_repnext_m3_coco',
     'upernet_repnext_tiny_ade20k', 'fpn_repnext_m0_ade20k', 'repnext_m0_distill_imagenet'],
)  # fmt: skip
def test_whole_models_are_counted_with_their_heads(name):
    from mmengine.registry import init_default_scope

    cfg = shrink(read(CONFIGS / f'{name}.py'))
    init_default_scope(cfg.default_scope)
    model = build_model(cfg)
    whole, backbone = (complexity_of(model, (64, 64), part) for part in ('model', 'backbone'))
    assert whole.parameters == sum(p.numel() for p in model.parameters())
    assert whole.multiply_adds > backbone.multiply_adds
    if 'cascade' in name:
        model.roi_head.bbox_head = model.roi_head.bbox_head[:2]
        assert complexity_of(model, (64, 64)).multiply_adds < whole.multiply_adds
    with pytest.raises(ValueError, match='unknown part'):
        complexity_of(model, (64, 64), 'neck')
