"""Merging is exact, and leaves its source alone."""

import copy

import pytest
import torch
from helpers import (
    ARCHS,
    FORMS,
    M_ARCHS,
    MODES,
    assert_close,
    assert_same_state,
    backbone,
    slim,
    state_of,
)
from torch import nn

from repnext_mm import reparameterize_model
from repnext_mm.models import RepNeXt
from repnext_mm.reparam import inference_forms, mergeable_modules

SIZES = [(1, 32, 32), (2, 33, 47), (1, 61, 39), (1, 64, 96)]
SMALLER = [(3, 7, 9), (1, 1, 5)]  # for the family that rounds sizes up
NORMS = ['BN', 'SyncBN']


def as_deep(arch: str) -> dict:
    """All blocks of an architecture, since errors grow from block to block, on fewer channels."""
    row = RepNeXt.arch_settings[arch]
    width = row.channels[0] // 16 * 4
    return slim(arch, [width << stage for stage in range(4)], row.depths)


@pytest.mark.parametrize(('arch', 'form'), FORMS)
def test_reparameterize_is_exact_for_every_arch_in_both_precisions(arch, form):
    model = backbone(as_deep(arch)).double()
    image = torch.randn(1, 3, 39, 61, dtype=torch.float64)
    with torch.no_grad():
        merged = reparameterize_model(model, form)
        assert_close(merged(image), model(image))
        model.float()
        assert_close(reparameterize_model(model, form)(image.float()), model(image.float()))
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in merged.modules())


@pytest.mark.parametrize(
    ('variant', 'form', 'size'),
    [(*form, size) for form in FORMS for size in SIZES]
    + [(arch, 'fused', size) for arch in M_ARCHS for size in SMALLER],
    ids=str,
)
def test_reparameterize_is_exact_at_odd_sizes_and_borders(variant, form, size):
    model = backbone(slim(variant), seed=sum(size)).double()
    batch, height, width = size
    image = torch.randn(batch, 3, height, width, dtype=torch.float64)
    with torch.no_grad():
        assert_close(reparameterize_model(model, form)(image), model(image))


@pytest.mark.parametrize('form', MODES)
@pytest.mark.parametrize('norm', NORMS)
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64, torch.float16])
def test_merged_keeps_dtype_and_treats_every_batch_norm_alike(norm, form, dtype):
    model = backbone(slim(), norm_cfg=dict(type=norm)).to(dtype)
    merged = reparameterize_model(model, form)
    assert {p.dtype for p in merged.parameters()} == {dtype}
    if dtype is torch.float64:
        image = torch.randn(1, 3, 32, 32, dtype=dtype)
        with torch.no_grad():
            assert_close(merged(image), model(image))


def test_reverted_sync_batch_norm_is_merged():
    from mmengine.model import revert_sync_batchnorm

    model = revert_sync_batchnorm(backbone(slim(), norm_cfg=dict(type='SyncBN'))).double()
    assert not any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    image = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        assert_close(reparameterize_model(model)(image), model(image))


@pytest.mark.parametrize('form', MODES)
def test_reparameterize_leaves_its_source_and_the_random_state_alone(form):
    model = backbone(slim())
    state, random_state = state_of(model), torch.get_rng_state()
    structure = [(name, id(module)) for name, module in model.named_modules()]
    merged = reparameterize_model(model, form)
    assert_same_state(model, state)
    assert structure == [(name, id(module)) for name, module in model.named_modules()]
    assert torch.equal(random_state, torch.get_rng_state())
    with torch.no_grad():
        for parameter in merged.parameters():
            parameter.zero_()
    assert_same_state(model, state)


@pytest.mark.parametrize('form', MODES)
def test_reparameterize_twice_changes_nothing(form):
    merged = reparameterize_model(backbone(slim()), form)
    again = reparameterize_model(merged, form)
    assert_same_state(again, state_of(merged))


def test_fused_can_still_become_plain_but_not_back():
    model = backbone(slim()).double()
    plain = reparameterize_model(reparameterize_model(model, 'fused'), 'plain')
    image = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        assert_close(plain(image), model(image))
    assert plain.deploy == 'plain'
    with pytest.raises(ValueError, match='start from the training form'):
        reparameterize_model(plain, 'fused')


def test_refused_conversion_leaves_the_model_whole():
    model = nn.Sequential(backbone(slim()), reparameterize_model(backbone(slim()), 'plain')).eval()
    structure = [(name, id(module)) for name, module in model.named_modules()]
    with pytest.raises(ValueError):
        reparameterize_model(model, 'fused', inplace=True)
    assert structure == [(name, id(module)) for name, module in model.named_modules()]


@pytest.mark.parametrize('form', MODES)
def test_inplace_rewrites_the_model_itself(form):
    model = nn.ModuleDict(dict(backbone=backbone(slim()))).eval()
    expected = reparameterize_model(model, form)
    assert reparameterize_model(model, form, inplace=True) is model
    assert model['backbone'].deploy == form
    assert_same_state(model, state_of(expected))


def test_switch_to_deploy_merges_in_place_and_returns_nothing():
    model = backbone(slim())
    assert model.deploy is None
    assert model.switch_to_deploy() is None
    assert model.deploy == 'fused'


@pytest.mark.parametrize('arch', ARCHS)
def test_forms_are_those_that_the_arch_offers(arch):
    offered = tuple(form for variant, form in FORMS if variant == arch)
    assert inference_forms(backbone(slim(arch))) == offered
    assert inference_forms(nn.Conv2d(1, 1, 1)) == MODES


@pytest.mark.parametrize('arch', ['m0', 'm5'])
def test_mobile_family_has_no_plain_form(arch):
    model = backbone(slim(arch))
    for refused in (
        lambda: reparameterize_model(model, 'plain'),
        lambda: reparameterize_model(reparameterize_model(model), 'plain'),
        lambda: RepNeXt(arch, deploy='plain'),
        lambda: model.switch_to_deploy('plain'),
    ):
        with pytest.raises(ValueError, match=r"repnext_m cannot .*'plain', only .*'fused'"):
            refused()
    assert model.deploy is None


def test_a_bare_block_is_returned_merged():
    block = backbone(slim()).double().stages[0].blocks[0]
    x = torch.rand(1, 8, 9, 11, dtype=torch.float64)
    with torch.no_grad():
        for form in MODES:
            merged = reparameterize_model(block, form)
            assert merged.form == form
            assert_close(merged(x), block(x))


@pytest.mark.parametrize(('arch', 'form'), FORMS)
def test_merged_checkpoint_loads_into_model_built_with_deploy(arch, form):
    merged = reparameterize_model(backbone(slim(arch)), form)
    built = RepNeXt(slim(arch), deploy=form).eval()
    assert built.deploy == form
    built.load_state_dict(merged.state_dict(), strict=True)
    image = torch.randn(1, 3, 32, 48)
    with torch.no_grad():
        assert_close(built(image), merged(image), 0)


@pytest.mark.parametrize('trainable', [True, False])
def test_merged_keeps_requires_grad(trainable):
    model = backbone(slim()).requires_grad_(trainable)
    for form in MODES:
        grads = {p.requires_grad for p in reparameterize_model(model, form).parameters()}
        assert grads == {trainable}


def test_training_mode_and_unknown_modes_are_refused():
    model = backbone(slim())
    with pytest.raises(ValueError, match=r'model\.eval\(\)'):
        reparameterize_model(copy.deepcopy(model).train())
    for part in ('stages.1.blocks.0', 'stages.2.blocks.1.token_mixer.branches.0.norm'):
        half = copy.deepcopy(model)
        half.get_submodule(part).train()
        with pytest.raises(ValueError, match=f"'{part}.*call model"):
            reparameterize_model(half)
    with pytest.raises(ValueError, match=r"'deploy'.*fused.*plain"):
        reparameterize_model(model, 'deploy')


def test_shared_blocks_stay_shared():
    block = backbone(slim()).stages[0].blocks[0]
    model = nn.Sequential(block, nn.Sequential(block)).eval()
    merged = reparameterize_model(model)
    assert merged[0] is merged[1][0] and merged[0].form == 'fused'


def test_mergeable_modules_are_the_outermost():
    names = list(mergeable_modules(backbone(slim())))
    assert names == [
        'stem',
        'stages.0.blocks.0',
        'stages.1.downsample',
        'stages.1.blocks.0',
        'stages.2.downsample',
        'stages.2.blocks.0',
        'stages.2.blocks.1',
        'stages.3.downsample',
        'stages.3.blocks.0',
    ]


def test_merging_something_else_than_a_model_says_what_it_takes():
    with pytest.raises(TypeError, match='got dict'):
        reparameterize_model({})
