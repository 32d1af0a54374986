"""The layouts of checkpoints, as pure functions and through mmengine's loaders."""

import copy
import re

import pytest
import torch
from golden import GOLDEN, image, official_state
from helpers import FORMS, M_ARCHS, T_ARCHS, backbone, slim
from mmengine.runner import load_checkpoint
from official_files import IMAGENET_LAYOUTS, detector, save
from official_files import backbone as official_backbone

from repnext_mm.checkpoints.files import load_from_local
from repnext_mm.models import RepNeXt
from repnext_mm.networks.layouts import backbone_part, shape_of, to_openmmlab, unwrap


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize('layout', IMAGENET_LAYOUTS)
def test_every_imagenet_layout_becomes_the_same(layout):
    converted = to_openmmlab(IMAGENET_LAYOUTS[layout]('m0'))
    state = official_state('m0')
    expected = {k if k.startswith('head.') else f'backbone.{k}': v for k, v in state.items()}
    assert converted.keys() == {'state_dict', 'meta'}
    assert same(converted['state_dict'], expected)
    assert to_openmmlab(converted) is converted


@pytest.mark.parametrize('layout', IMAGENET_LAYOUTS)
def test_backbone_part_is_idempotent_and_leaves_its_source(layout):
    source = IMAGENET_LAYOUTS[layout]('m0')
    before = copy.copy(source)
    part = backbone_part(source)
    assert part.keys() == RepNeXt('m0').state_dict().keys()
    assert same(backbone_part(part), part)
    assert same(backbone_part(to_openmmlab(source)), part)
    assert source.keys() == before.keys()


@pytest.mark.parametrize(
    'content',
    [
        {'state_dict': {'backbone.stages.0.blocks.0.token_mixer.conv_l.0.weight': torch.ones(1)}},
        {'model': {'stages.0.blocks.0.conv_dw.weight': torch.ones(1)}},
        {'stages.0.blocks.0.token_mixer.conv.c.weight': torch.ones(1)},
        {'layer1.0.conv1.weight': torch.ones(1)},
        {'state_dict': {}, 'meta': {}},
        {},
        None,
        [1],
        {0: torch.ones(1)},
        {'model': {0: torch.ones(1)}},
    ],
    ids=str,
)
def test_other_checkpoints_stay_what_they_are(content):
    assert to_openmmlab(content) is content


@pytest.mark.parametrize(('arch', 'form'), [(a, None) for a in (*M_ARCHS, *T_ARCHS)] + FORMS)
def test_shape_is_read_from_every_form(arch, form):
    model = RepNeXt(slim(arch, depths=(2, 1, 3, 1)), deploy=form)
    assert shape_of(model.state_dict()) == (model.channels, model.depths)
    assert shape_of(backbone_part(model.state_dict())) == (model.channels, model.depths)


def test_shape_of_another_network_is_empty():
    assert shape_of({'layer1.0.conv1.weight': torch.ones(1)}) == ((), ())


@pytest.mark.parametrize('deploy', [None, 'fused'])
@pytest.mark.parametrize(
    ('arch', 'layout'),
    [('m0', layout) for layout in IMAGENET_LAYOUTS]
    + [(arch, 'model') for arch in GOLDEN if arch != 'm0'],
)
def test_pretrained_backbone_gives_the_official_outputs(arch, layout, deploy, tmp_path):
    name = 'code.pth.tar' if layout.startswith('state_dict') else 'code.pth'
    path = save(IMAGENET_LAYOUTS[layout](arch), tmp_path / name)
    model = RepNeXt(arch, deploy=deploy, init_cfg=dict(type='Pretrained', checkpoint=path))
    model.init_weights()
    golden = GOLDEN[arch]
    with torch.no_grad():
        output = model.eval()(image(*golden['input_size']))[-1]
    expected = golden['stages'][-1]
    sampled = output.flatten()[expected['index']]
    assert (sampled - torch.tensor(expected['value'])).abs().max() <= 1e-4 * expected['std']


@pytest.mark.parametrize('prefix', [None, 'backbone', 'backbone.'])
@pytest.mark.parametrize('content', [IMAGENET_LAYOUTS['model'], detector], ids=['imagenet', 'coco'])
def test_pretrained_takes_a_prefix_or_finds_the_backbone_itself(content, prefix, tmp_path):
    path = save(content('m0'), tmp_path / 'official.pth')
    options = dict(prefix=prefix) if prefix else {}
    model = RepNeXt('m0', init_cfg=dict(type='Pretrained', checkpoint=path, **options))
    model.init_weights()
    assert same(model.state_dict(), backbone_part(official_state('m0')))


def test_raw_files_load_with_torch_alone():
    model = RepNeXt('m0')
    for content in (IMAGENET_LAYOUTS['model']('m0'), official_state('m0'), official_backbone('m0')):
        keys = model.load_state_dict(content, strict=True)
        assert not keys.missing_keys and not keys.unexpected_keys


def test_entries_of_stages_that_are_not_built_are_left_out():
    model = RepNeXt('m0', out_indices=(0, 2))
    keys = model.load_state_dict(official_state('m0'), strict=True)
    assert not keys.missing_keys and not keys.unexpected_keys


def test_a_backbone_saved_alone_loads_into_a_detector_like_model(tmp_path):
    """As in the README: torch.save(backbone.state_dict(), ...), of the T family too."""
    for arch in ('tiny_v3', 'm2'):
        source = backbone(slim(arch))
        path = save(source.state_dict(), tmp_path / 'backbone.pth')
        model = torch.nn.ModuleDict(dict(backbone=RepNeXt(slim(arch)), neck=torch.nn.Linear(1, 1)))
        load_checkpoint(model, path)
        assert same(model['backbone'].state_dict(), source.state_dict())


@pytest.mark.parametrize(
    'prefix', ['module.', '_orig_mod.', '_orig_mod.module.', 'module._orig_mod.']
)
def test_wrappers_of_whole_models_are_stripped(prefix, tmp_path):
    content = detector('m0')
    del content['state_dict']['roi_head.bbox_head.shared_fcs.0.weight']  # most of the file
    names = content['state_dict'].keys()
    content['state_dict'] = {prefix + n: v for n, v in content['state_dict'].items()}
    assert to_openmmlab(content)['state_dict'].keys() == names
    assert to_openmmlab(content)['meta'] == content['meta']
    path = save(content, tmp_path / 'x.pth')
    init_cfg = dict(type='Pretrained', checkpoint=path, prefix='backbone.')
    model = RepNeXt('m0', init_cfg=init_cfg)
    model.init_weights()
    assert same(model.state_dict(), backbone_part(official_state('m0')))


def test_unwrap_prefers_averaged_weights():
    assert unwrap(dict(state_dict={'a': 1}, state_dict_ema={'a': 2})) == {'a': 2}
    assert unwrap(dict(model={'module.a': 1})) == {'a': 1}
    assert unwrap({'module.a': 1, 'b': 2}) == {'module.a': 1, 'b': 2}


def test_loader_reads_what_it_wrote(tmp_path):
    path = save(dict(state_dict=backbone(slim()).state_dict()), tmp_path / 'x.pth')
    names = load_from_local(path)['state_dict']
    assert all(re.match(r'backbone\.(stem|stages)\.', name) for name in names)
