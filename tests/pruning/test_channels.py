"""Channels that are removed are those that nothing would miss, and the arch dict rebuilds the rest."""

import copy

import pytest
import torch
from helpers import ARCHS, T_ARCHS, assert_close, backbone, slim
from torch import nn

from repnext_mm.models import RepNeXt
from repnext_mm.pruning.channels import check_ratio, prune_channels
from repnext_mm.pruning.targets import (
    arch_of,
    dense_convs,
    divide_blocks,
    targets_of,
    unite_blocks,
)
from repnext_mm.reparam import inference_forms, reparameterize_model

pytest.importorskip('torch_pruning', reason="pip install 'repnext-mm[pruning]'")

IMAGE = torch.randn(1, 3, 64, 61, generator=torch.Generator().manual_seed(0)).double()
FORMS = [(arch, 'training') for arch in ARCHS] + [(arch, 'plain') for arch in T_ARCHS]
DEPTHS = (1, 1, 2, 1)
CHANNELS = {False: (8, 12, 16, 24), True: (16, 32, 64, 128)}


def network(arch: str, form: str, **options) -> RepNeXt:
    """A random network in double precision, ready to be pruned."""
    net = backbone(slim(arch, CHANNELS[arch not in T_ARCHS], DEPTHS), **options).double()
    if form != 'training':
        net = reparameterize_model(net, form)
    divide_blocks(net)
    return net.requires_grad_(True)


def prune(net: RepNeXt, scope: str = 'all', ratio: float = 0.5, criterion: str = 'magnitude'):
    """Prunes a network in place; returns what was removed."""
    targets = list(targets_of(net, scope))
    removals = prune_channels(
        net, lambda model, images: list(model(images)), IMAGE, targets, ratio, criterion
    )
    unite_blocks(net)
    return removals


def ignore(net: nn.Module, removals) -> None:
    """Zeroes the weights with which the layers of a dense network read what was removed."""
    layers = dict(net.named_modules())
    for removal in removals:
        conv = layers[removal.layer]
        if removal.inputs and isinstance(conv, nn.Conv2d) and conv.groups == 1:
            conv.weight.detach()[:, list(removal.channels)] = 0


def kept_channels(net: RepNeXt, stage: int, removals) -> list[int]:
    """The channels of a stage's output that are left, by their numbers in the dense network."""
    last = dense_convs(net.stages[stage].blocks[-1])[-1]
    name = next(name for name, module in net.named_modules() if module is last)
    removed = {c for r in removals if r.layer == name and not r.inputs for c in r.channels}
    return [c for c in range(last.out_channels) if c not in removed]


@torch.no_grad()
def features(net: nn.Module) -> tuple[torch.Tensor, ...]:
    return net.eval()(IMAGE)


@pytest.mark.parametrize(('arch', 'form'), FORMS)
def test_pruned_network_is_the_dense_one_without_the_removed_channels(arch, form):
    dense, net = network(arch, form), network(arch, form)
    removals = prune(net)
    ignore(dense, removals)
    kept = [kept_channels(dense, stage, removals) for stage in range(4)]
    assert [len(channels) for channels in kept] == [c // 2 for c in dense.channels]
    expected = [x[:, channels] for x, channels in zip(features(dense), kept, strict=True)]
    assert_close(features(net), expected)


@pytest.mark.parametrize(('arch', 'form'), FORMS)
def test_arch_dict_rebuilds_the_network_in_all_its_forms(arch, form):
    net = network(arch, form)
    prune(net, ratio=0.4)
    rebuilt = RepNeXt(arch_of(net), deploy=None if form == 'training' else form).double()
    rebuilt.load_state_dict(net.state_dict(), strict=True)
    assert_close(features(rebuilt), features(net), 0)
    for merged_form in inference_forms(rebuilt) if form == 'training' else ():
        assert_close(features(reparameterize_model(rebuilt, merged_form)), features(net))
        merged = RepNeXt(arch_of(net), deploy=merged_form).double()
        merged.load_state_dict(rebuilt.state_dict(), strict=True)  # merged on its way in
        assert_close(features(merged), features(net))


@pytest.mark.parametrize(
    ('arch', 'form'), [('tiny_v3', 'training'), ('m0', 'training'), ('tiny', 'plain')]
)
def test_scope_hidden_leaves_the_widths_of_stages(arch, form):
    dense, net = network(arch, form), network(arch, form)
    removals = prune(net, 'hidden')
    ignore(dense, removals)
    assert_close(features(net), features(dense))
    arch_dict, old = arch_of(net), arch_of(_united(dense))
    assert arch_dict['channels'] == old['channels']
    for new_stage, stage in zip(arch_dict['hidden_channels'], old['hidden_channels'], strict=True):
        assert new_stage == [width // 2 for width in stage]
    if form == 'plain':
        assert arch_dict['input_channels'] == [[4], [6], [8, 8], [12]]


def _united(net: RepNeXt) -> RepNeXt:
    net = copy.deepcopy(net)
    unite_blocks(net)
    return net


def test_channels_that_are_small_go_first():
    net = network('tiny', 'training')
    conv, project = net.stages[0].blocks[0].expand, net.stages[0].blocks[0].project
    small = [1, 5, 30]
    conv.weight.detach()[small] *= 1e-3
    project.weight.detach()[:, small] *= 1e-3
    removals = prune(net, 'hidden', ratio=3 / 32)
    name = 'stages.0.blocks.0.expand'
    assert [r.channels for r in removals if r.layer == name and not r.inputs] == [tuple(small)]


@pytest.mark.parametrize(
    ('arch', 'form'), [('tiny_v2', 'training'), ('m1', 'training'), ('tiny', 'plain')]
)
def test_taylor_spares_what_the_loss_depends_on(arch, form):
    net = network(arch, form, out_indices=(0,))
    conv = dense_convs(net.stages[0].blocks[0])[0]
    width = conv.out_channels // 2
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    conv.weight.grad[width:] = 1
    name = next(name for name, module in net.named_modules() if module is conv)
    removals = prune(net, 'hidden', criterion='taylor')
    removed = next(r.channels for r in removals if r.layer == name and not r.inputs)
    assert removed == tuple(range(width))


def test_bn_scale_removes_channels_of_small_factors():
    net = network('m0', 'training', out_indices=(0,))
    expand = net.stages[0].blocks[0].channel_mixer[0]
    expand.norm.weight.detach()[::2] *= 1e-3
    removals = prune(net, 'hidden', criterion='bn-scale')
    removed = next(
        r.channels for r in removals if r.layer.endswith('blocks.0.channel_mixer.0.conv')
    )
    assert removed == tuple(range(0, 32, 2))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(arch='tiny', ratio=0.97), 'leaves none of the 8 channels of .stem.conv.'),
        (dict(arch='m0', ratio=0.9), 'leaves none of the 4 channels in each of 4 chunks'),
        (dict(arch='tiny', ratio=0.01, scope='hidden'), 'removes no channel'),
        (dict(arch='tiny', criterion='bn-scale', scope='hidden'), 'needs batch norms'),
        (dict(arch='tiny', criterion='size'), 'unknown criterion .size.'),
    ],
)
def test_what_cannot_be_pruned_is_refused_and_stays(options, message):
    net = network(options.pop('arch'), 'training', out_indices=(0,))
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(ValueError, match=message):
        prune(net, **options)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


@pytest.mark.parametrize('ratio', [0.0, 1.0, -0.1, 1.5, float('nan')])
def test_ratio_must_leave_something_and_remove_something(ratio):
    with pytest.raises(ValueError, match='between 0'):
        check_ratio(ratio)


@pytest.mark.parametrize(
    ('widths', 'message'),
    [
        (dict(hidden_channels=[[4], [4], [4], [4]]), r'needs \(1, 1, 2, 1\) positive ints'),
        (dict(hidden_channels=[[4], [4], [4, 0], [4]]), 'positive ints'),
        (dict(input_channels=[[4], [4], [4, 4], [4]]), "needs 'hidden_channels' too"),
        (dict(hidden_channels=[[4], [4], [4, 4], [4]], variant='m0'), r'needs \(2, 2, 3, 2\)'),
        (dict(widths=[4]), 'got keys'),
    ],
)
def test_widths_that_fit_no_architecture_are_refused(widths, message):
    with pytest.raises(ValueError, match=message):
        RepNeXt(slim() | widths)
