"""The networks of torch alone beside the same ones under OpenMMLab's contract."""

import copy
import doctest
import math
import re
from pathlib import Path

import pytest
import torch
from golden import official_state
from helpers import ARCHS, M_ARCHS, assert_close, assert_same_state, randomize, slim, state_of
from mmengine.model import initialize
from official_files import IMAGENET_LAYOUTS, save
from torch import nn

from repnext_mm import models
from repnext_mm.networks import ARCHITECTURES, RepNeXt, RepNeXtClassifier, backbone, classifier
from repnext_mm.networks.architectures import Architecture
from repnext_mm.networks.family import Family
from repnext_mm.networks.heads import LinearHead, TwoClassifiers
from repnext_mm.networks.layouts import classifier_part, to_openmmlab
from repnext_mm.reparam import reparameterize_model

# What the backbones' init_cfg were before the networks initialized themselves.
CONSTANT = dict(type='Constant', layer='_BatchNorm', val=1.0, bias=0.0)
INIT_CFG = {
    'tiny': [dict(type='TruncNormal', layer='Conv2d', std=0.02, bias=0.0), CONSTANT],
    'm0': [
        dict(
            type='Kaiming',
            layer='Conv2d',
            a=math.sqrt(5),
            mode='fan_in',
            nonlinearity='leaky_relu',
            distribution='uniform',
            bias=0.0,
        ),
        CONSTANT,
    ],
}


@pytest.mark.distribution
@pytest.mark.parametrize('arch', ARCHS)
def test_openmmlabs_backbone_is_the_same_network(arch):
    ours = models.RepNeXt(slim(arch))
    model = RepNeXt(slim(arch), initialize=False)
    assert isinstance(ours, RepNeXt)
    assert list(model.state_dict()) == list(ours.state_dict())
    model.load_state_dict(randomize(ours).eval().state_dict(), strict=True)
    image = torch.randn(1, 3, 40, 36)
    with torch.no_grad():
        assert_close(model.eval()(image), ours(image), 0)


@pytest.mark.distribution
@pytest.mark.parametrize('arch', INIT_CFG)
def test_initial_weights_are_those_of_mmengines_initialization(arch):
    expected, model = RepNeXt(slim(arch)), models.RepNeXt(slim(arch))
    torch.manual_seed(3)
    initialize(expected, copy.deepcopy(INIT_CFG[arch]))
    torch.manual_seed(3)
    model.init_weights()
    assert_same_state(model, state_of(expected))
    torch.manual_seed(3)
    model = RepNeXt(slim(arch), initialize=False)
    torch.manual_seed(3)
    model.initialize()
    assert_same_state(model, state_of(expected))


def test_networks_initialize_themselves():
    weight = RepNeXt('tiny', out_indices=0).stages[0].blocks[0].expand.weight
    assert weight.std().item() == pytest.approx(0.02, rel=0.05)
    model = RepNeXtClassifier(slim('m0'), 3)
    assert all(p.abs().max() == 0 for n, p in model.named_parameters() if n.endswith('bias'))
    assert model.head.head.linear.weight.std().item() == pytest.approx(0.02, rel=0.3)


def test_norm_layers_are_those_of_the_factory():
    model = RepNeXt(slim('m0'), norm_layer=lambda channels: nn.GroupNorm(2, channels))
    assert any(isinstance(m, nn.GroupNorm) for m in model.modules())
    model.load_state_dict(model.state_dict())
    merged = reparameterize_model(RepNeXt(slim(), norm_layer=nn.SyncBatchNorm).eval())
    assert merged.form == 'fused'


@pytest.mark.parametrize(('arch', 'head'), [('tiny', LinearHead), ('m0', TwoClassifiers)])
def test_classifiers_are_backbone_pooling_and_head(arch, head):
    model = randomize(RepNeXtClassifier(slim(arch), 5)).eval()
    features = RepNeXt(slim(arch)).eval()
    features.load_state_dict(model.state_dict())
    assert isinstance(model.head, head)
    image = torch.randn(2, 3, 40, 36)
    with torch.no_grad():
        assert_close(model(image), model.head(features(image)[-1].mean((2, 3))), 0)


@pytest.mark.parametrize('form', ['training', 'fused'])
def test_classifiers_load_what_mmpretrain_saves_and_the_other_way_round(form):
    for content in (IMAGENET_LAYOUTS['model']('m0'), to_openmmlab(IMAGENET_LAYOUTS['model']('m0'))):
        model = RepNeXtClassifier('m0', form=form, initialize=False)
        model.load_state_dict(content, strict=True)
        part = classifier_part(to_openmmlab(model.state_dict()))
        assert part.keys() == model.state_dict().keys()
        assert classifier_part(part).keys() == part.keys()


def test_one_classifier_of_a_file_counts_for_both():
    state = {n: v for n, v in official_state('m0').items() if not n.startswith('head.head_dist')}
    model = RepNeXtClassifier('m0', initialize=False)
    model.load_state_dict(state, strict=True)
    assert torch.equal(model.head.head.linear.weight, model.head.head_dist.linear.weight)


def test_other_classes_are_an_error_unless_allowed():
    model = RepNeXtClassifier('m0', 3)
    with pytest.raises(ValueError, match=r'of another shape \(head.*allow_partial_load'):
        model.load_state_dict(official_state('m0'))
    model.allow_partial_load = True
    state = {n: v for n, v in official_state('m0').items() if not n.startswith('head')}
    keys = model.load_state_dict(state, strict=False)
    assert all(name.startswith('head.') for name in keys.missing_keys)


def test_merged_checkpoints_do_not_get_into_the_training_form():
    merged = RepNeXtClassifier(slim('m0'), 3, form='fused')
    with pytest.raises(ValueError, match=r"RepNeXtClassifier with form='fused'"):
        RepNeXtClassifier(slim('m0'), 3).load_state_dict(merged.state_dict())


@pytest.mark.parametrize('build', [RepNeXt, RepNeXtClassifier])
def test_unknown_forms_are_named_with_the_known_ones(build):
    for form in ('merged', None):
        with pytest.raises(ValueError, match=f"{form!r}.*'training', 'fused', 'plain'"):
            build(slim(), form=form)
    with pytest.raises(ValueError, match="cannot take the form 'plain'"):
        build(slim('m0'), form='plain')


@pytest.mark.distribution
def test_another_family_is_one_row(monkeypatch):
    """Builders and initial weights are all that anybody needs to know of a family."""

    def downsample(in_channels: int, channels: int, norm_layer) -> nn.Module:
        return nn.Conv2d(in_channels, channels, 2, stride=2)

    def stem(in_channels: int, channels: int, norm_layer) -> nn.Module:
        return nn.Sequential(nn.Conv2d(in_channels, channels, 4, stride=4), norm_layer(channels))

    def block(channels: int, drop_path_rate: float, norm_layer) -> nn.Module:
        return nn.Sequential(nn.Conv2d(channels, channels, 1), norm_layer(channels), nn.ReLU())

    def ones(layer: nn.Module) -> None:
        if isinstance(layer, nn.Conv2d):
            nn.init.ones_(layer.weight)

    row = Architecture(Family(stem, downsample, block, LinearHead, ones), (4, 8), (1, 2))
    monkeypatch.setitem(ARCHITECTURES, 'mine', row)
    ours = models.RepNeXt('mine', out_indices=(0, 1))
    ours.init_weights()
    assert ours.stem[0].weight.eq(1).all()
    model = randomize(RepNeXtClassifier('mine', 3)).double().eval()
    image = torch.randn(1, 3, 16, 16, dtype=torch.float64)
    with torch.no_grad():
        assert_close(reparameterize_model(model)(image), model(image))


@pytest.mark.parametrize('module', [backbone, classifier])
def test_docstring_examples_print_what_they_say(module):
    results = doctest.testmod(module)
    assert results.attempted and not results.failed


def test_snippets_of_the_documentation_run(tmp_path, monkeypatch):
    text = (Path(__file__).parents[2] / 'docs' / 'torch.md').read_text()
    (tmp_path / 'pretrained').mkdir()
    save(IMAGENET_LAYOUTS['model']('m0'), tmp_path / 'pretrained' / 'repnext_m0.pth')
    monkeypatch.chdir(tmp_path)
    snippets = re.findall(r'```python\n(.*?)```', text, re.DOTALL)
    assert len(snippets) == 2
    for snippet in snippets:
        names: dict = {}
        exec(snippet, names)
        assert names['merged'].form == 'fused'


def test_mobile_archs_have_the_official_head():
    for arch in M_ARCHS:
        with torch.device('meta'):
            names = RepNeXtClassifier(arch).state_dict().keys()
        assert {'head.head.norm.weight', 'head.head_dist.linear.bias'} <= names
