"""The names of the forms, today's and the old ones."""

import pytest
from helpers import FORMS, assert_same_state, backbone, slim, state_of
from mmengine.registry import HOOKS
from torch import nn

from repnext_mm import reparameterize_model
from repnext_mm.hooks import ReparameterizeHook
from repnext_mm.models import RepNeXt
from repnext_mm.networks import heads
from repnext_mm.reparam import TRAINING, Reparameterizable, mergeable_modules
from repnext_mm.trained import merged_copy

OLD_NAME = r"the argument 'mode' is an old name that ends with version 1.0: use 'form'"


@pytest.mark.parametrize(('arch', 'form'), FORMS)
def test_networks_and_their_blocks_know_their_form(arch, form):
    model = backbone(slim(arch))
    assert {block.form for block in mergeable_modules(model).values()} == {TRAINING}
    assert (model.form, model.deploy) == (TRAINING, None)
    for merged in (reparameterize_model(model, form), RepNeXt(slim(arch), deploy=form)):
        assert {block.form for block in mergeable_modules(merged).values()} == {form}
        assert (merged.form, merged.deploy) == (form, form)


@pytest.mark.parametrize(
    'call',
    [
        reparameterize_model,
        merged_copy,
        lambda model, **options: merged_copy(model, **options),
        lambda model, **options: model.stages[0].blocks[0].reparameterized(**options),
        lambda model, **options: model.stages[0].blocks[0].merged(**options),
        lambda model, **options: model.switch_to_deploy(**options) or model,
    ],
    ids=['reparameterize_model', 'merged_copy', 'wrapped', 'reparameterized', 'merged', 'switch'],
)
def test_merging_takes_the_old_keyword_with_a_warning(call):
    expected = call(backbone(slim()), form='plain')
    with pytest.warns(DeprecationWarning, match=OLD_NAME):
        merged = call(backbone(slim()), mode='plain')
    assert merged.form == 'plain'
    assert_same_state(merged, state_of(expected))


@pytest.mark.parametrize('variant', ['tiny', 'm0'])
def test_every_kind_of_block_takes_the_old_keyword(variant):
    blocks = [*mergeable_modules(backbone(slim(variant))).values(), heads.TwoClassifiers(8, 3)]
    for block in blocks:
        with pytest.warns(DeprecationWarning, match=OLD_NAME):
            assert isinstance(block.eval().merged(mode='fused'), nn.Module)


def test_old_and_new_keyword_together_are_refused():
    with pytest.raises(TypeError, match="'form' and its old name 'mode' were both given"):
        reparameterize_model(backbone(slim()), form='fused', mode='plain')


def test_hook_takes_the_old_keyword_with_a_warning():
    with pytest.warns(DeprecationWarning, match=OLD_NAME):
        hook = ReparameterizeHook(mode='plain')
    assert hook.form == 'plain'
    with pytest.warns(DeprecationWarning, match=OLD_NAME):
        hook = HOOKS.build(dict(type='repnext_mm.ReparameterizeHook', mode='plain', val=True))
    assert (hook.form, hook.val) == ('plain', True)
    with pytest.warns(DeprecationWarning, match="'mode' of ReparameterizeHook"):
        assert hook.mode == 'plain'


def test_another_form_takes_its_old_keyword_and_the_old_name_of_the_training_form():
    model = backbone(slim())
    assert model.another_form('plain').form == 'plain'
    with pytest.warns(DeprecationWarning, match="'deploy' is an old name .*'form'"):
        assert model.another_form(deploy='plain').form == 'plain'
    with pytest.warns(DeprecationWarning, match="None as a form is an old name .*'training'"):
        assert model.another_form(None).form == TRAINING


def test_blocks_that_call_the_training_form_none_still_merge():
    class Old(nn.Sequential, Reparameterizable):
        form = None

        def merged(self, mode):
            return nn.Sequential(self[0]).eval()

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.old = Old(nn.Conv2d(3, 3, 1), nn.Identity())

    assert len(reparameterize_model(Network().eval()).old) == 1
    with pytest.warns(DeprecationWarning, match='None as a form'):
        assert len(Old(nn.Conv2d(3, 3, 1), nn.Identity()).eval().fuse()) == 1


@pytest.mark.parametrize(
    'merge', [reparameterize_model, merged_copy, lambda model, form: ReparameterizeHook(form)]
)
def test_merging_to_the_training_form_is_refused(merge):
    with pytest.raises(ValueError, match=r"goes from the form 'training' .*'fused', 'plain'"):
        merge(backbone(slim()), 'training')


def test_fuse_returns_a_fused_module_and_leaves_its_source():
    """What timm's reparameterize_model calls."""
    model = backbone(slim())
    block = model.stages[0].blocks[0]
    state = state_of(block)
    assert block.fuse().form == 'fused' and block.form == TRAINING
    assert_same_state(block, state)
    plain = reparameterize_model(block, 'plain')
    assert plain.fuse() is plain
    assert_same_state(block.train().fuse(), state_of(block.eval().fuse()))
