"""Networks of timm as backbones: the same numbers as timm's, by the same names."""

import pytest
import timm
import torch
from helpers import randomize
from mmengine.model import revert_sync_batchnorm
from mmengine.runner.checkpoint import load_state_dict
from torch import nn

from repnext_mm.models import TimmFeatures
from repnext_mm.models.timm_features import SIZE_FREE, feature_layout, network_kinds
from repnext_mm.trained import merged_copy

SHORT = dict(
    resnet18={},
    mobilenetv2_100={},
    mobilenetv3_small_100={},
    efficientnet_b0={},
    deit_small_patch16_224=dict(depth=2),
    swin_tiny_patch4_window7_224=dict(depths=(1, 1, 2, 1)),
    repvgg_a0={},
    convnext_tiny=dict(depths=(1, 1, 2, 1)),
    repvit_m1_1={},
)
OUTSIDE = ('fc.', 'head.', 'classifier.', 'conv_head.', 'bn2.', 'norm.', 'norm_head.')
"""Of timm's networks: what follows the feature maps."""


def of_timm(name: str) -> nn.Module:
    """timm's own network with random weights and statistics."""
    options = {k: v for kind in network_kinds(name) for k, v in SIZE_FREE.get(kind, {}).items()}
    torch.manual_seed(0)
    return randomize(timm.create_model(name, **options, **SHORT[name])).eval()


def built(name: str, **options) -> TimmFeatures:
    depth = SHORT[name].get('depth')
    out_indices = None if depth is None else range(depth)
    return TimmFeatures(name, out_indices=out_indices, options=SHORT[name], **options).eval()


@pytest.mark.parametrize('name', SHORT)
@torch.no_grad()
def test_checkpoints_of_timm_load_and_give_the_same_features(name):
    reference, backbone = of_timm(name), built(name)
    keys = backbone.load_state_dict(reference.state_dict(), strict=False)
    assert not keys.missing_keys
    assert all(key.startswith(OUTSIDE) for key in keys.unexpected_keys)
    image = torch.randn(1, 3, 96, 160)
    expected = reference.forward_intermediates(
        image, indices=backbone.out_indices, intermediates_only=True
    )
    found = backbone(image)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours, theirs)
    merged = merged_copy(backbone.double(), 'fused')
    for ours, theirs in zip(merged(image.double()), backbone(image.double()), strict=True):
        assert (ours - theirs).abs().max() <= 1e-6 * theirs.abs().max()  # timm merges in float32
    assert not [m for m in merged.modules() if isinstance(m, nn.BatchNorm2d)]
    convs = [sum(isinstance(m, nn.Conv2d) for m in net.modules()) for net in (merged, backbone)]
    assert (convs[0] < convs[1]) == name.startswith('rep')


def test_mmengine_loads_checkpoints_of_timm_and_ours():
    reference, backbone = of_timm('repvgg_a0'), built('repvgg_a0')
    load_state_dict(backbone, reference.state_dict())
    again = built('repvgg_a0')
    load_state_dict(again, backbone.state_dict(), strict=True)
    for name, tensor in again.state_dict().items():
        assert torch.equal(tensor, backbone.state_dict()[name]), name


def test_an_incomplete_checkpoint_is_refused():
    state = of_timm('resnet18').state_dict()
    del state['layer3.0.conv1.weight']
    with pytest.raises(ValueError, match=r"lacks 1 of \d+.*'resnet18'.*layer3\.0\.conv1"):
        built('resnet18').load_state_dict(state, strict=False)
    built('resnet18').load_state_dict({}, strict=False)  # nothing of it: mmengine reports


@torch.no_grad()
def test_activations_survive_synchronized_batch_norms():
    """timm's layers of batch norm and activation lose the latter in torch's and mmengine's hands."""
    backbone = randomize(built('mobilenetv3_small_100'))
    image = torch.randn(1, 3, 64, 64)
    expected = backbone(image)
    found = revert_sync_batchnorm(nn.SyncBatchNorm.convert_sync_batchnorm(backbone))(image)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_outputs_are_normalized_where_asked_for():
    backbone = built('convnext_tiny', out_norm=True)
    for features in backbone(torch.randn(1, 3, 64, 64)):
        assert features.mean(1).abs().max() < 1e-4
    names = [name for name, _ in backbone.named_parameters() if name.startswith('norm')]
    assert len(names) == 8


@pytest.mark.parametrize(
    ('name', 'deepest', 'depths'),
    [
        ('convnext_tiny', 'network.stages.3.blocks.0.mlp.fc1.weight', 6),
        ('deit_small_patch16_224', 'network.blocks.1.mlp.fc1.weight', 4),
    ],
)
def test_layers_are_numbered(name, deepest, depths):
    backbone = built(name)
    assert backbone.get_layer_depth(f'backbone.{deepest}', 'backbone.') == (depths - 2, depths)
    assert backbone.get_layer_depth('neck.x', 'backbone.') == (depths - 1, depths)
    found = [backbone.get_layer_depth(key)[0] for key, _ in backbone.named_parameters()]
    assert found[0] == 0 and set(found) == set(range(depths - 1))


def test_networks_without_stages_of_blocks_number_nothing():
    with pytest.raises(NotImplementedError, match=r"'resnet18' numbers no layers"):
        built('resnet18').get_layer_depth('network.conv1.weight')


def test_unknown_names_and_unfit_networks_are_refused():
    with pytest.raises(ValueError, match=r"no network 'resnet19'.*resnet18.*list_models"):
        TimmFeatures('resnet19')
    with pytest.raises(ValueError, match=r"'levit_128' of timm has feature maps of the strides"):
        feature_layout('levit_128')
