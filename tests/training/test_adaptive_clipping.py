"""Adaptive gradient clipping."""

import pytest
import torch
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

pytestmark = pytest.mark.distribution


def build(**clip_grad):
    torch.manual_seed(0)
    layer = nn.Linear(6, 4)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    cfg = dict(type='repnext_mm.AdaptiveClipOptimWrapper', clip_grad=clip_grad)
    return layer, OPTIM_WRAPPERS.build(dict(cfg, optimizer=optimizer))


def test_gradients_are_clipped_by_the_norm_of_their_rows():
    layer, wrapper = build(clip_factor=0.02)
    before = layer.weight.detach().clone()
    rows = torch.tensor([[1000.0], [1.0], [1e-3], [0.0]])
    wrapper.update_params((layer.weight * rows).sum())
    step = (before - layer.weight).norm(dim=1)
    limit = 0.02 * before.norm(dim=1)
    gradient = (rows * torch.ones(4, 6)).norm(dim=1)
    torch.testing.assert_close(step, torch.minimum(gradient, limit), rtol=1e-3, atol=1e-6)
    assert (gradient > limit).tolist() == [True, True, False, False]


@pytest.mark.parametrize('options', [dict(), dict(clip_factor=0), dict(max_norm=1.0)], ids=str)
def test_other_options_are_refused(options):
    with pytest.raises(ValueError, match=r'clip_factor=0\.02'):
        build(**options)


def test_amp_variant_clips_the_same_way():
    from repnext_mm import training

    mro = training.AdaptiveClipAmpOptimWrapper.__mro__
    assert [cls.__name__ for cls in mro[1:3]] == ['_AdaptiveClipping', 'AmpOptimWrapper']
