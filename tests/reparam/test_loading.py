"""Checkpoints of one form in networks of another."""

import pytest
import torch
from helpers import FORMS, MODES, T_ARCHS, assert_close, backbone, slim
from mmengine.model import BaseModule
from mmengine.runner import load_checkpoint, load_state_dict
from torch import nn

from repnext_mm import reparameterize_model
from repnext_mm.models import RepNeXt
from repnext_mm.reparam import compare_keys

LOADERS = {
    'torch': lambda model, state: model.load_state_dict(state, strict=True),
    'mmengine': lambda model, state: load_state_dict(model, state, strict=False),
}
EVERY_FORM_AND_LOADER = pytest.mark.parametrize(
    ('arch', 'form', 'loader'),
    [(*case, 'torch') for case in FORMS]
    + [(*case, 'mmengine') for case in (('tiny_v3', 'fused'), ('tiny', 'plain'), ('m1', 'fused'))],
)
"""What a loader does is the same for all architectures of a family."""


class Detector(BaseModule):
    """A backbone with something in front of it and behind it."""

    def __init__(self, arch: str, **options):
        super().__init__()
        self.preprocessor = nn.BatchNorm2d(3)
        self.backbone = RepNeXt(slim(arch), **options)
        self.head = nn.Conv2d(self.backbone.channels[-1], 4, 1)

    def forward(self, x):
        return self.head(self.backbone(self.preprocessor(x))[-1])


def trained(arch: str) -> Detector:
    model = Detector(arch)
    model.backbone = backbone(slim(arch))
    return model.double().eval()


@EVERY_FORM_AND_LOADER
def test_training_form_merges_on_its_way_into_a_merged_network(arch, form, loader):
    loader = LOADERS[loader]
    source = trained(arch)
    target = Detector(arch, deploy=form).double().eval()
    loader(target, source.state_dict())
    assert target.backbone.deploy == form
    x = torch.randn(1, 3, 33, 47, dtype=torch.float64)
    with torch.no_grad():
        assert_close(target(x), source(x))


@EVERY_FORM_AND_LOADER
def test_merged_loads_into_its_own_form_only(arch, form, loader):
    loader = LOADERS[loader]
    merged = reparameterize_model(trained(arch), form, fold_conv_bn=False)
    same = Detector(arch, deploy=form).double().eval()
    loader(same, merged.state_dict())
    x = torch.randn(1, 3, 33, 47, dtype=torch.float64)
    with torch.no_grad():
        assert_close(same(x), merged(x), 0)
    target = Detector(arch)
    before = target.backbone.state_dict()['stages.0.blocks.0.' + some_entry(target)].clone()
    with pytest.raises(ValueError, match=f"merged .'{form}'.*backbone.deploy={form}"):
        loader(target, merged.state_dict())
    assert torch.equal(
        before, target.backbone.state_dict()['stages.0.blocks.0.' + some_entry(target)]
    )


def some_entry(model: Detector) -> str:
    return next(iter(model.backbone.stages[0].blocks[0].state_dict()))


@pytest.mark.parametrize('arch', T_ARCHS)
def test_fused_goes_on_to_plain_but_not_back(arch):
    source = trained(arch)
    fused, plain = (reparameterize_model(source, form, fold_conv_bn=False) for form in MODES)
    target = Detector(arch, deploy='plain').double().eval()
    target.load_state_dict(fused.state_dict())
    x = torch.randn(1, 3, 33, 47, dtype=torch.float64)
    with torch.no_grad():
        assert_close(target(x), source(x))
    with pytest.raises(ValueError, match=r"'plain'., which cannot become 'fused'.*deploy='plain'"):
        Detector(arch, deploy='fused').load_state_dict(plain.state_dict())


@pytest.mark.parametrize('deploy', [None, 'fused'])
@pytest.mark.parametrize('arch', ['tiny', 'm1'])
def test_any_missing_entry_is_an_error_unless_allowed(arch, deploy):
    source = trained(arch)
    names = [n for n in source.state_dict() if n.startswith('backbone.') and 'num_b' not in n]
    target = Detector(arch, deploy=deploy)
    for name in names[:: max(1, len(names) // 12)]:
        state = source.state_dict()
        del state[name]
        with pytest.raises(ValueError, match=r'missing.*allow_partial_load'):
            load_state_dict(target, state)
    target = Detector(arch, allow_partial_load=True)
    load_state_dict(target, state)
    kept = [n for n in state if n.startswith('backbone.')]
    loaded = target.double().state_dict()
    assert kept and all(torch.allclose(loaded[n], state[n].to(loaded[n].dtype)) for n in kept)


@pytest.mark.parametrize('deploy', [None, 'fused'])
@pytest.mark.parametrize(
    ('larger', 'smaller'),
    [('m1', 'm1'), ('tiny_v3', 'tiny'), ('tiny_v3', 'tiny_v2')],
)
def test_larger_network_does_not_load_into_a_smaller_one(larger, smaller, deploy):
    """Every entry of the smaller network is there, of the same shape, and means another thing."""
    state = RepNeXt(slim(larger, depths=(1, 1, 3, 2))).state_dict()
    depths = (1, 1, 3, 2) if larger != smaller else (1, 1, 2, 1)
    for load in (load_state_dict, lambda model, state: model.load_state_dict(state, strict=False)):
        with pytest.raises(ValueError, match=r' unexpected \(.*allow_partial_load'):
            load(RepNeXt(slim(smaller, depths=depths), deploy=deploy), state)


def test_network_with_other_norms_has_no_other_form():
    model = RepNeXt(slim('tiny'), norm_cfg=dict(type='GN', num_groups=2))
    state = model.state_dict()
    model.load_state_dict(state)
    del state['stem.conv.weight']
    with pytest.raises(ValueError, match=r'1 missing \(stem.conv.weight\)'):
        model.load_state_dict(state)
    model.allow_partial_load = True
    load_state_dict(model, state)


def test_merged_into_the_training_form_needs_the_option_too():
    merged = reparameterize_model(trained('m0').float(), fold_conv_bn=False).state_dict()
    model = Detector('m0', allow_partial_load=True)
    load_state_dict(model, merged)
    name = 'backbone.stages.0.blocks.0.token_mixer.conv_l.0.weight'
    assert torch.equal(model.state_dict()[name], merged[name])


def test_subclass_with_another_signature_loads_every_form():
    class Subclass(RepNeXt):
        def __init__(self, note, **options):
            super().__init__(**options)
            self.note = note

    source = backbone(slim('m0'))
    model = Subclass('mine', arch=slim('m0'), deploy='fused').eval()
    model.load_state_dict(source.state_dict())
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        assert_close(model(x), source(x))


def meta_state(arch: str) -> dict:
    """Names and shapes of a real network."""
    with torch.device('meta'):
        return RepNeXt(arch).state_dict()


def test_batch_counters_may_be_missing():
    state = {n: v for n, v in trained('m0').state_dict().items() if 'num_batches' not in n}
    load_state_dict(Detector('m0'), state)
    load_state_dict(Detector('m0', deploy='fused'), state)


@pytest.mark.parametrize(
    ('state', 'words'),
    [
        ({}, 'It holds no RepNeXt'),
        ({'layer1.0.conv1.weight': torch.ones(1)}, 'It holds no RepNeXt'),
        (meta_state('m1'), r"channels \(48, .*, as 'm1'"),
        (RepNeXt(slim('m1')).state_dict(), r'depths \(1, 1, 2, 1\)\. '),
    ],
    ids=['empty', 'resnet', 'm1', 'slim'],
)
def test_checkpoint_of_another_network_is_named(state, words):
    with pytest.raises(ValueError, match=words):
        RepNeXt(slim('m0', depths=(2, 2, 2, 2))).load_state_dict(state, strict=False)


def test_error_leaves_the_backbone_as_it_was():
    model = RepNeXt(slim('m0'))
    before = {n: v.clone() for n, v in model.state_dict().items()}
    with pytest.raises(ValueError):
        model.load_state_dict(RepNeXt(slim('m0', depths=(1, 1, 1, 1))).state_dict())
    assert all(torch.equal(before[n], v) for n, v in model.state_dict().items())


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_checkpoints_merge_on_the_way(dtype):
    state = {
        n: v.to(dtype) if v.is_floating_point() else v
        for n, v in trained('m0').state_dict().items()
    }
    target = Detector('m0', deploy='fused').eval()
    load_state_dict(target, state)
    reference = Detector('m0').eval()
    load_state_dict(reference, state)
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        assert_close(target(x), reference(x), 1e-5)


def test_assigned_parameters_keep_the_dtype_of_the_network():
    target = Detector('m0', deploy='fused')
    target.load_state_dict(trained('m0').float().state_dict(), assign=True)
    assert {p.dtype for p in target.backbone.parameters()} == {torch.float32}


def test_training_a_merged_network_is_refused_unless_told():
    for model in (
        RepNeXt(slim(), deploy='plain'),
        reparameterize_model(backbone(slim('m0'))),
        Detector('m0', deploy='fused'),
    ):
        with pytest.raises(ValueError, match='finetune_deployed=True'):
            model.train()(torch.randn(2, 3, 32, 32))
        assert model.eval() is model
    model = Detector('m0', deploy='fused', finetune_deployed=True).train()
    model(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_resume_of_the_training_form_is_untouched(tmp_path):
    source = trained('tiny')
    torch.save(dict(state_dict=source.state_dict(), meta={}), tmp_path / 'x.pth')
    target = Detector('tiny').double()
    load_checkpoint(target, str(tmp_path / 'x.pth'), strict=True)
    assert compare_keys(source.state_dict(), target).complete
    assert all(torch.equal(v, target.state_dict()[n]) for n, v in source.state_dict().items())


def test_report_counts_and_names():
    report = compare_keys(
        {'weight': torch.ones(2, 1), 'bias': torch.ones(2), 'x': torch.ones(1)}, nn.Linear(1, 3)
    )
    assert (report.loaded, report.missing, report.unexpected) == ([], [], ['x'])
    assert str(report).startswith('0 loaded, 0 missing, 1 unexpected (x), 2 of another shape')
    assert not report.complete
