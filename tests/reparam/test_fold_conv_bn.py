"""Batch norms of necks and heads, and blocks of other packages."""

import pytest
import torch
from helpers import assert_close, assert_same_state, randomize, state_of
from mmcv.cnn import ConvModule
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from repnext_mm import reparameterize_model

BN = dict(type='BN')


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, _BatchNorm) for module in model.modules())


def check(model: nn.Module, image: torch.Tensor, left: int = 0, **options) -> nn.Module:
    """Merges, compares in float64, and counts the batch norms that are left."""
    model = randomize(model).eval().double()
    state = state_of(model)
    with torch.no_grad():
        expected = model(image.double())
        merged = reparameterize_model(model, **options)
        assert_close(merged(image.double()), expected)
        assert_close(reparameterize_model(merged, **options)(image.double()), expected)
    assert_same_state(model, state)
    assert norms(merged) == left
    return merged


@pytest.mark.parametrize('options', [{}, {'bias': True}, {'padding_mode': 'reflect'}], ids=str)
@pytest.mark.filterwarnings('ignore:Unnecessary conv bias')
def test_conv_module_is_folded(options):
    check(ConvModule(3, 8, 3, padding=1, norm_cfg=BN, **options), torch.randn(2, 3, 7, 9))


def test_conv_module_with_other_order_is_folded_only_where_the_norm_follows():
    image = torch.randn(2, 4, 7, 9)
    check(ConvModule(4, 4, 3, norm_cfg=BN, order=('act', 'conv', 'norm')), image)
    check(ConvModule(4, 4, 3, norm_cfg=BN, order=('norm', 'act', 'conv')), image, left=1)
    check(ConvModule(4, 4, 3, norm_cfg=BN, order=('conv', 'act', 'norm')), image, left=1)


def test_conv_module_in_efficient_evaluation_mode_is_folded():
    check(ConvModule(3, 8, 3, norm_cfg=BN, efficient_conv_bn_eval=True), torch.randn(2, 3, 7, 9))


def test_conv_module_with_weight_tricks_is_left_alone():
    image = torch.randn(2, 4, 7, 9)
    check(ConvModule(4, 4, 3, norm_cfg=BN, conv_cfg=dict(type='ConvWS')), image, left=1)


def test_sequential_is_folded_in_its_order_of_execution():
    layers = [nn.BatchNorm2d(3), nn.Conv2d(3, 6, 3, groups=3), nn.BatchNorm2d(6), nn.ReLU()]
    check(nn.Sequential(*layers, nn.Conv2d(6, 6, 1), nn.ReLU()), torch.randn(2, 3, 7, 9), left=1)


def test_layers_used_in_two_places_are_left_alone():
    conv = nn.Conv2d(3, 3, 3, padding=1)
    branches = [nn.Sequential(conv, nn.BatchNorm2d(3)) for _ in range(2)]
    check(nn.Sequential(*branches), torch.randn(2, 3, 7, 9), left=2)


def test_registration_order_alone_is_no_reason_to_fold():
    class Twisted(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
            self.norm = nn.BatchNorm2d(3)  # registered behind `second`, run behind `first`

        def forward(self, x):
            return self.second(self.norm(self.first(x)))

    check(Twisted(), torch.randn(2, 3, 7, 9), left=1)


def test_folding_can_be_told_not_to():
    module = ConvModule(3, 8, 3, norm_cfg=BN)
    check(module, torch.randn(2, 3, 7, 9), left=1, fold_conv_bn=False)


@pytest.mark.parametrize('norm', ['BN', 'SyncBN'])
def test_neck_of_mmdet_is_folded(norm):
    from mmdet.models.necks import FPN

    class Neck(nn.Module):
        def __init__(self):
            super().__init__()
            self.fpn = FPN([4, 8], 6, 3, norm_cfg=dict(type=norm))

        def forward(self, image):
            return self.fpn((image.repeat(1, 2, 1, 1), image[..., ::2, ::2].repeat(1, 4, 1, 1)))

    check(Neck(), torch.randn(1, 2, 16, 24))


@pytest.mark.parametrize(
    'config',
    [
        dict(type='mmpretrain.RepVGG', arch='A0', out_indices=(0, 1, 2, 3)),
        dict(type='mmpretrain.MobileOne', arch='s0', out_indices=(0, 1, 2, 3)),
        dict(
            type='mmpretrain.RepLKNet',
            arch=dict(
                large_kernel_sizes=[7, 7, 7, 7],
                layers=[1, 1, 1, 1],
                channels=[8, 8, 16, 16],
                small_kernel=3,
                dw_ratio=1,
            ),
            out_indices=(0, 1, 2, 3),
        ),
    ],
    ids=lambda config: config['type'],
)
def test_blocks_of_mmpretrain_are_merged_by_the_same_call(config):
    from mmengine.registry import MODELS

    model = randomize(MODELS.build(config)).double()
    model.eval()  # mmpretrain's train() does not return the model
    image = torch.randn(1, 3, 64, 96, dtype=torch.float64)
    state = state_of(model)
    with torch.no_grad():
        expected = model(image)
        merged = reparameterize_model(model)
        assert_close(merged(image), expected)
        assert_close(reparameterize_model(merged)(image), expected)
    assert_same_state(model, state)
    assert sum(p.numel() for p in merged.parameters()) < sum(p.numel() for p in model.parameters())


def test_norms_that_do_more_or_have_hooks_are_left():
    from timm.layers import BatchNormAct2d

    image = torch.randn(2, 3, 7, 9)
    check(nn.Sequential(nn.Conv2d(3, 8, 3), BatchNormAct2d(8)), image, left=1)
    hooked = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
    hooked[1].register_forward_hook(lambda module, args, output: output.relu())
    check(hooked, image, left=1)
