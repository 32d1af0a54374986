"""Layer-wise learning rates: every parameter once, falling from head to stem."""

import math
from itertools import pairwise

import pytest
from helpers import ARCHS, slim, without_values
from mmengine.optim import build_optim_wrapper
from torch import nn

from repnext_mm.models import RepNeXt

pytestmark = pytest.mark.distribution

LR, DECAY = 1e-3, 0.05


class Model(nn.Module):
    def __init__(self, backbone: nn.Module):
        super().__init__()
        self.backbone = backbone
        self.neck = nn.Sequential(nn.Conv2d(24, 8, 1), nn.BatchNorm2d(8))
        self.head = nn.Linear(8, 3)


def param_groups(model: nn.Module, **paramwise) -> list[dict]:
    wrapper = build_optim_wrapper(
        model,
        dict(
            constructor='repnext_mm.LayerDecayOptimWrapperConstructor',
            paramwise_cfg=paramwise,
            optimizer=dict(type='AdamW', lr=LR, weight_decay=DECAY),
        ),
    )
    return wrapper.optimizer.param_groups


@pytest.mark.parametrize('arch', ARCHS)
def test_every_parameter_is_in_one_group_and_rates_fall_towards_the_stem(arch):
    with without_values():
        model = Model(RepNeXt(arch))
    groups = param_groups(model, decay_rate=0.9, decay_type='layer_wise')
    names = [name for group in groups for name in group['param_names']]
    assert sorted(names) == sorted(name for name, _ in model.named_parameters())
    rates = [group['lr'] for group in groups]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == pytest.approx(LR)
    # Every stage is a layer, but the third has one for each three of its blocks.
    layers = 3 + math.ceil(RepNeXt.arch_settings[arch].depths[2] / 3)
    assert rates[-1] == pytest.approx(LR * 0.9 ** (layers + 1))
    by_name = {name: group['lr'] for group in groups for name in group['param_names']}
    assert by_name['head.weight'] == by_name['neck.1.weight'] == LR
    order = ['stem', 'stages.0.blocks.0', 'stages.1.downsample']
    order += [f'stages.2.blocks.{3 * i}' for i in range(model.backbone.depths[2] // 3)]
    order += ['stages.3.downsample']
    stepwise = [
        by_name[next(name for name in names if name.startswith(f'backbone.{part}.'))]
        for part in order
    ]
    assert all(earlier < later for earlier, later in pairwise(stepwise))


@pytest.mark.parametrize('num_layers', [None, 6])
@pytest.mark.parametrize('arch', ARCHS)
def test_stage_wise_rates_fall_from_stage_to_stage(arch, num_layers):
    with without_values():
        model = Model(RepNeXt(arch))
    options = dict(num_layers=num_layers) if num_layers else {}
    groups = param_groups(model, decay_rate=0.9, decay_type='stage_wise', **options)
    by_name = {name: group['lr'] for group in groups for name in group['param_names']}
    assert sorted(by_name) == sorted(name for name, _ in model.named_parameters())
    rates = [group['lr'] for group in groups]
    assert rates == sorted(rates, reverse=True) and rates[0] == LR
    head = (num_layers or 4) + 1
    expected = {'stem.': 0, **{f'stages.{i}.': i + 1 for i in range(4)}}
    for part, depth in expected.items():
        found = {lr for name, lr in by_name.items() if name.startswith(f'backbone.{part}')}
        assert list(found) == [pytest.approx(LR * 0.9 ** (head - depth))]
    assert by_name['head.weight'] == by_name['neck.0.weight'] == LR


BASELINES = dict(
    convnext=dict(
        type='mmpretrain.ConvNeXt',
        arch='atto',
        out_indices=(0, 1, 2, 3),
        gap_before_final_norm=False,
    ),
    swin=dict(type='mmpretrain.SwinTransformer', arch='tiny', out_indices=(0, 1, 2, 3)),
    vit=dict(type='mmpretrain.VisionTransformer', arch='deit-tiny', out_type='featmap'),
)


@pytest.mark.parametrize('kind', ['layer_wise', 'stage_wise'])
@pytest.mark.parametrize('name', BASELINES)
def test_other_networks_of_mmpretrain_are_numbered_too(name, kind):
    from mmpretrain.registry import MODELS

    model = Model(MODELS.build(BASELINES[name]))
    if (name, kind) == ('vit', 'stage_wise'):
        with pytest.raises(TypeError, match=r'VisionTransformer.*layer_wise'):
            param_groups(model, decay_rate=0.9, decay_type=kind)
        return
    groups = param_groups(model, decay_rate=0.9, decay_type=kind)
    by_name = {n: group['lr'] for group in groups for n in group['param_names']}
    assert sorted(by_name) == sorted(n for n, _ in model.named_parameters())
    assert by_name['head.weight'] == LR
    assert min(by_name.values()) == by_name['backbone.' + stem_of(model.backbone)]
    assert len(set(by_name.values())) > 4
    for group in groups:
        for param_name in group['param_names']:
            matrix = model.get_parameter(param_name).ndim > 1
            special = any(part in param_name for part in ('pos_embed', 'token', 'bias'))
            assert group['weight_decay'] == (DECAY if matrix and not special else 0), param_name


def stem_of(backbone: nn.Module) -> str:
    """The name of the convolution that sees the image."""
    return next(name for name, p in backbone.named_parameters() if p.ndim == 4)


def test_number_of_layers_of_other_constructors_is_taken_if_it_is_right():
    model = Model(RepNeXt('tiny'))
    given, own = (
        param_groups(model, decay_rate=0.7, **options) for options in (dict(num_layers=6), {})
    )
    assert [group['lr'] for group in given] == [group['lr'] for group in own]
    for kind, number in (('layer_wise', 12), ('stage_wise', 3)):
        with pytest.raises(ValueError, match=f'num_layers={number}'):
            param_groups(model, decay_rate=0.7, decay_type=kind, num_layers=number)


def test_rate_of_one_takes_any_model():
    model = Model(nn.Linear(1, 1))
    groups = param_groups(model, decay_rate=1.0, decay_type='stage_wise')
    assert {group['lr'] for group in groups} == {LR}
    assert {group['weight_decay'] for group in groups} == {0, DECAY}


def test_depths_are_those_of_convnext():
    from mmpretrain.models import ConvNeXt

    ours, theirs = RepNeXt('tiny'), ConvNeXt('tiny', out_indices=[3])
    pairs = {'stem.conv.weight': 'downsample_layers.0.0.weight'}
    for stage, depth in enumerate(ours.depths):
        if stage:
            pairs[f'stages.{stage}.downsample.conv.weight'] = f'downsample_layers.{stage}.1.weight'
        for block in range(depth):
            name = f'stages.{stage}.{block}.depthwise_conv.weight'
            pairs[f'stages.{stage}.blocks.{block}.expand.weight'] = name
    for our_name, their_name in pairs.items():
        assert ours.get_layer_depth(our_name) == theirs.get_layer_depth(their_name), our_name
    prefixed = ours.get_layer_depth('neck.conv.weight', 'backbone.')
    assert prefixed == theirs.get_layer_depth('neck.conv.weight', 'backbone.')


def test_biases_and_norms_have_no_weight_decay():
    model = Model(RepNeXt(slim()))
    parameters = dict(model.named_parameters())
    for group in param_groups(model, decay_rate=0.9):
        for name in group['param_names']:
            assert group['weight_decay'] == (DECAY if parameters[name].ndim > 1 else 0), name


def test_optimizers_without_weight_decay_work():
    wrapper = build_optim_wrapper(
        Model(RepNeXt(slim())),
        dict(
            constructor='repnext_mm.LayerDecayOptimWrapperConstructor',
            paramwise_cfg=dict(decay_rate=0.5),
            optimizer=dict(type='SGD', lr=LR),
        ),
    )
    assert {group['weight_decay'] for group in wrapper.optimizer.param_groups} == {0}


def test_frozen_parameters_are_left_out():
    model = Model(RepNeXt(slim(), frozen_stages=2))
    names = [n for group in param_groups(model, decay_rate=0.9) for n in group['param_names']]
    assert names and not [
        name for name in names if name.startswith(('backbone.stem', 'backbone.stages.1'))
    ]


@pytest.mark.parametrize(
    'options',
    [{}, dict(decay_rate=1.5), dict(decay_rate=0.9, layers=6), dict(decay_rate='0.9')],
    ids=str,
)
def test_bad_options_are_named(options):
    with pytest.raises(ValueError, match='decay_rate, in'):
        param_groups(Model(RepNeXt(slim())), **options)


def test_other_decay_types_are_refused():
    with pytest.raises(ValueError, match=r"'stage_wise'\), got 'stagewise'"):
        param_groups(Model(RepNeXt(slim())), decay_rate=0.9, decay_type='stagewise')


def test_stub_of_mmpretrain_is_no_numbering():
    from mmpretrain.models import ResNet

    for kind in ('layer_wise', 'stage_wise'):
        with pytest.raises(TypeError, match=r'ResNet.*decay_rate=1\.0'):
            param_groups(Model(ResNet(18)), decay_rate=0.9, decay_type=kind)


def test_backbone_without_depths_is_refused():
    with pytest.raises(TypeError, match=r'get_layer_depth.*Linear'):
        param_groups(Model(nn.Linear(1, 1)), decay_rate=0.9)
