"""The networks as timm's models, and in packages that take those."""

import doctest
import warnings

import pytest
import torch
from golden import GOLDEN, image, official_state
from helpers import assert_close, assert_same_state, randomize, slim, state_of
from official_files import IMAGENET_LAYOUTS, save
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

timm = pytest.importorskip('timm')

import repnext_mm.timm as own  # noqa: E402 (after the check)
from repnext_mm.networks import ARCHITECTURES, RepNeXt  # noqa: E402
from repnext_mm.reparam import reparameterize_model  # noqa: E402

NAMES = dict(own.NAMES)
SMALL = ['repnext_m0', 'repnext_tiny_v3']


@pytest.fixture
def slim_rows(monkeypatch):
    """Few channels and blocks under the names of :data:`SMALL`, in layers of the same kinds."""
    for arch in map(NAMES.get, SMALL):
        row = slim(arch)
        sizes = {key: tuple(row[key]) for key in ('channels', 'depths')}
        monkeypatch.setitem(ARCHITECTURES, arch, ARCHITECTURES[arch]._replace(**sizes))


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, _BatchNorm) for module in model.modules())


def create(name: str, **options) -> nn.Module:
    torch.manual_seed(0)
    return randomize(timm.create_model(name, **options)).eval()


def test_every_arch_is_registered_under_its_name():
    assert list(NAMES) == [f'repnext_{arch}' for arch in ARCHITECTURES]
    assert set(NAMES) <= set(timm.list_models('repnext*'))
    assert not timm.list_pretrained('repnext*')


@pytest.mark.parametrize('name', NAMES)
def test_features_have_the_stated_channels_and_strides(name):
    with torch.device('meta'):
        model = timm.create_model(name, features_only=True, pretrained=False, in_chans=4)
        features = model(torch.empty(1, 4, 96, 64))
    assert model.feature_info.channels() == list(ARCHITECTURES[NAMES[name]].channels)
    assert model.feature_info.reduction() == [4, 8, 16, 32]
    assert [tuple(f.shape) for f in features] == [
        (1, channels, 96 // stride, 64 // stride)
        for channels, stride in zip(model.feature_info.channels(), (4, 8, 16, 32), strict=True)
    ]


@pytest.mark.usefixtures('slim_rows')
@pytest.mark.parametrize('name', SMALL)
@pytest.mark.parametrize('feature_cls', ['list', 'getter', 'hook'])
def test_features_are_those_of_the_backbone(name, feature_cls):
    model = create(name)
    backbone = RepNeXt(NAMES[name], out_indices=(1, 3)).eval()
    backbone.load_state_dict(model.state_dict())
    options = dict(features_only=True, out_indices=(1, 3), feature_cls=feature_cls)
    features = create(name, **options)
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert_close(features(x), backbone(x), 1e-6)


@pytest.mark.usefixtures('slim_rows')
@pytest.mark.parametrize('name', SMALL)
@pytest.mark.parametrize('options', [{}, dict(features_only=True)], ids=['classifier', 'features'])
def test_timm_merges_exactly(name, options):
    model = create(name, **options).double()
    state = state_of(model)
    merged = timm.utils.reparameterize_model(model)
    assert_same_state(model, state)
    assert norms(merged) == 0
    x = torch.randn(1, 3, 39, 61, dtype=torch.float64)
    with torch.no_grad():
        assert_close(merged(x), model(x))
    again = timm.utils.reparameterize_model(merged)
    assert_same_state(again, state_of(merged))
    in_training = timm.utils.reparameterize_model(model.train())  # as timm's validate.py does it
    assert_same_state(in_training, state_of(merged))


@pytest.mark.parametrize(
    ('name', 'form'),
    [('repnext_m0', 'fused'), ('repnext_tiny_v3', 'fused'), ('repnext_tiny_v3', 'plain')],
)
def test_we_merge_timms_models_too(name, form):
    with torch.device('meta'):
        model = timm.create_model(name, num_classes=3).eval()
        assert reparameterize_model(model, form).form == form


@pytest.mark.usefixtures('slim_rows')
@pytest.mark.parametrize('name', SMALL)
def test_classifiers_behave_as_timms(name):
    model = create(name, num_classes=5, drop_rate=0.2, drop_path_rate=0.1)
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        features = model.forward_features(x)
        assert features.shape == (2, model.num_features, 2, 2)
        assert_close(model.forward_head(features), model(x), 0)
        assert model.forward_head(features, pre_logits=True).shape == (2, model.num_features)
        last, intermediates = model.forward_intermediates(x, indices=2)
        assert_close(intermediates[-1], last, 0)
        assert len(model.forward_intermediates(x, [0, 2], intermediates_only=True)) == 2
    assert model.get_classifier() is model.head and model.num_classes == 5
    model.reset_classifier(7)
    assert model(x).shape == (2, 7)
    model.reset_classifier(0)
    assert model(x).shape == (2, model.num_features)
    model.reset_classifier(0, '')
    assert model(x).shape == (2, model.num_features, 2, 2)
    assert timm.create_model(name, num_classes=0).get_classifier().__class__ is nn.Identity


@pytest.mark.usefixtures('slim_rows')
@pytest.mark.parametrize('name', SMALL)
def test_learning_rates_by_layer_cover_every_parameter(name):
    from timm.optim import create_optimizer_v2

    model = create(name, num_classes=3)
    for coarse in (False, True):
        groups = timm.models.group_parameters(model, model.group_matcher(coarse), reverse=True)
        assert set(groups) == {n for n, _ in model.named_parameters()}
        assert groups['stem.conv.weight' if 'tiny' in name else 'stem.stem.0.conv.weight'] == 0
        assert max(groups.values()) == groups[list(groups)[-1]]
    optimizer = create_optimizer_v2(model, 'adamw', lr=1.0, layer_decay=0.5)
    assert sum(len(group['params']) for group in optimizer.param_groups) == len(groups)


@pytest.mark.usefixtures('slim_rows')
@pytest.mark.parametrize('name', SMALL)
def test_recomputed_activations_give_equal_gradients(name):
    results = []
    for enable in (False, True):
        model = create(name, num_classes=3).train()
        model.set_grad_checkpointing(enable)
        model(torch.ones(2, 3, 64, 64)).sum().backward()
        results.append([p.grad for p in model.parameters()])
    for plain, recomputed in zip(*results, strict=True):
        torch.testing.assert_close(recomputed, plain)


@pytest.mark.parametrize('arch', ['m0', 'm1'])
def test_official_files_give_the_official_logits(arch, tmp_path):
    file = save(IMAGENET_LAYOUTS['model'](arch), tmp_path / 'official.pth')
    golden = GOLDEN[arch]
    overlay = dict(file=file)
    for options in (
        dict(pretrained=True, pretrained_cfg_overlay=overlay),
        dict(checkpoint_path=file),
    ):
        model = timm.create_model(f'repnext_{arch}', **options).eval()
        with torch.no_grad():
            logits = model(image(*golden['input_size'])).flatten()[:16]
        expected = torch.tensor(golden['logits'])
        assert (logits - expected).abs().max() <= 1e-4 * expected.std()
    other = timm.create_model(
        f'repnext_{arch}',
        pretrained=True,
        pretrained_cfg_overlay=overlay,
        num_classes=5,
        in_chans=1,
    )
    assert other.head.head.linear.weight.shape[0] == 5
    weight = official_state(arch)['stages.0.blocks.0.token_mixer.conv_l.0.weight']
    assert torch.equal(other.stages[0].blocks[0].token_mixer.conv_l[0].weight, weight)


def test_features_have_the_output_stride_that_is_asked_for():
    features = timm.create_model('repnext_m0', features_only=True, output_stride=8).eval()
    assert features.feature_info.reduction() == [4, 8, 8, 8]
    with torch.no_grad():
        outputs = features(torch.rand(1, 3, 64, 64))
    assert [64 // output.shape[2] for output in outputs] == [4, 8, 8, 8]


def test_names_that_others_have_registered_stay_theirs():
    assert own._free_name('m99') == 'repnext_m99'
    with pytest.warns(UserWarning, match="'repnext_m3'.*that of repnext_mm is 'repnext_mm_m3'"):
        assert own._free_name('m3') == 'repnext_mm_m3'


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(global_pool='max'), "'avg', or '' for none, got 'max'"),
        (dict(output_stride=4), r'one of \(8, 16, 32\), .*, got 4'),
        (
            dict(features_only=True, feature_cls='getter', out_indices=(0, 4)),
            r'4 stages, got \(0, 4\)',
        ),
    ],
)
def test_bad_values_are_named_with_the_allowed_ones(options, message):
    with pytest.raises(ValueError, match=message):
        timm.create_model('repnext_m0', **options)


def test_docstring_example_prints_what_it_says():
    assert doctest.testmod(own) == (0, 4)


def test_segmentation_models_pytorch_takes_it():
    """Among the requirements of the tests; users may lack it."""
    smp = pytest.importorskip('segmentation_models_pytorch')
    model = randomize(smp.Unet('tu-repnext_m0', encoder_weights=None, classes=2)).double().eval()
    x = torch.randn(1, 3, 64, 96, dtype=torch.float64)
    with torch.no_grad():
        expected = model(x)
        assert expected.shape == (1, 2, 64, 96)
        model.encoder = timm.utils.reparameterize_model(model.encoder)
        assert norms(model.encoder) == 0
        assert_close(model(x), expected)


def test_transformers_takes_it():
    """Not among the requirements, since mmpretrain cannot be imported beside it."""
    pytest.importorskip('transformers')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        from transformers import AutoBackbone, TimmBackbone, TimmBackboneConfig
    config = TimmBackboneConfig(backbone='repnext_m0', out_indices=(1, 3))
    x = torch.randn(1, 3, 64, 96)
    for model in (TimmBackbone(config), AutoBackbone.from_config(config)):
        model.eval()
        assert model.channels == [80, 320]
        with torch.no_grad():
            maps = model(x).feature_maps
        assert [tuple(m.shape) for m in maps] == [(1, 80, 8, 12), (1, 320, 2, 3)]
