"""Every backbone by name in every recipe: channels, rates, weights with a living source."""

import re
from pathlib import Path
from typing import Any

import mmpretrain
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner.checkpoint import get_external_models
from small_configs import CONFIGS, read

from repnext_mm.checkpoints.timm_weights import SCHEME, published_at
from repnext_mm.config_dicts import pretrained_files
from repnext_mm.configs import with_backbone
from repnext_mm.configs.rows import ROWS

ROOT = CONFIGS.parent
BASES = dict(
    detector='mask_rcnn_repnext_tiny_3x_coco',
    cascade='cascade_mask_rcnn_repnext_tiny_coco',
    segmentor='upernet_repnext_tiny_ade20k',
    classifier='repnext_tiny_imagenet',
)
SERIES = {
    'resnet': ['18', '34', '50', '101'],
    'mobilenet_': ['v2', 'v3_small', 'v3_large'],
    'efficientnet_': ['b0', 'b1', 'b2', 'b3', 'v2_s'],
    'vit_': ['small', 'base'],
    'swin_': ['tiny', 'small', 'base'],
    'convnext_': ['tiny', 'small', 'base'],
    'repvgg_': ['a0', 'a1', 'a2', 'b0', 'b1', 'b1g4', 'b2', 'b2g4', 'b3', 'b3g4'],
    'repvit_': ['m1_1', 'm1_5'],
    'replknet_': ['tiny', 'tiny_without_rep'],
    'repnext_': ['tiny', 'tiny_v2', 'tiny_v3', 'convnext_er_tiny', 'small', 'base'],
}
"""Of the authors' tables."""


@pytest.fixture(scope='module')
def bases() -> dict[str, Config]:
    return {task: read(CONFIGS / f'{name}.py') for task, name in BASES.items()}


@pytest.fixture(autouse=True)
def no_folder_of_weights(monkeypatch):
    monkeypatch.delenv('REPNEXT_PRETRAINED', raising=False)


def swapped(base: Config, name: str) -> Config:
    cfg = base.copy()
    cfg.merge_from_dict(with_backbone(base, name))
    return cfg


@torch.no_grad()
def shapes_of(backbone: dict[str, Any]) -> list[tuple[int, int]]:
    """Channels and strides of a backbone's outputs, computed without values."""
    init_default_scope('mmdet')
    with torch.device('meta' if 'name' in backbone else 'cpu'):  # RepLKNet computes its rates
        network: Any = MODELS.build({k: v for k, v in backbone.items() if k != 'init_cfg'})
    network = network.to('meta')
    network.eval()
    maps = network(torch.empty(1, 3, 224, 224, device='meta'))
    return [(features.shape[1], 224 // features.shape[2]) for features in maps]


def test_series_of_the_tables_are_there():
    assert {f'{family}{size}' for family, sizes in SERIES.items() for size in sizes} <= set(ROWS)


@pytest.mark.parametrize('name', ROWS)
def test_necks_and_heads_read_what_the_backbone_gives(name, bases):
    detector, cascade, segmentor = (
        swapped(bases[task], name) for task in ('detector', 'cascade', 'segmentor')
    )
    shapes = shapes_of(segmentor.model.backbone)
    channels, strides = zip(*shapes, strict=True)
    assert list(segmentor.model.decode_head.in_channels) == list(channels)
    assert segmentor.model.auxiliary_head.in_channels == channels[2]
    for cfg in (detector, cascade):
        neck = cfg.model.neck
        if name.startswith('vit_'):
            assert set(strides) == {16} and neck.type == 'repnext_mm.SimpleFeaturePyramid'
            assert neck.in_channels == channels[-1] and neck.num_outs == 5
            assert segmentor.model.neck.embed_dim == channels[-1]
        else:
            assert strides == (4, 8, 16, 32) and list(neck.in_channels) == list(channels)
        same = ('drop_path_rate', 'init_cfg', 'out_indices')
        backbones = [cfg.model.backbone, segmentor.model.backbone]
        assert len({str({k: b[k] for k in sorted(b) if k not in same}) for b in backbones}) == 1


@pytest.mark.parametrize('name', ROWS)
def test_classifiers_are_whole_networks(name, bases):
    model = swapped(bases['classifier'], name).model
    if ROWS[name].timm:
        assert model.type == 'TimmClassifier' and model.model_name == ROWS[name].timm
        assert model.init_cfg is None and model.num_classes == 1000
        assert model.loss.label_smooth_val == 0.1 and len(model.train_cfg.augments) == 2
    else:
        (channels,) = (c for c, _ in shapes_of(model.backbone))
        assert model.head.in_channels == channels and not model.backbone.get('init_cfg')
    fine = read(CONFIGS / 'repnext_tiny_imagewoof_finetune.py')
    weights = [path for path in pretrained_files(swapped(fine, name).model) if path]
    assert weights == ([f'timm://{ROWS[name].timm}'] if ROWS[name].timm else weights[:1])


@pytest.mark.parametrize('name', [name for name, row in ROWS.items() if row.timm])
def test_weights_have_a_source_by_their_publishers_word(name):
    assert published_at(ROWS[name].timm).startswith('https://huggingface.co/timm/')


def test_no_config_names_weights_without_a_source(monkeypatch):
    monkeypatch.setenv('REPNEXT_PRETRAINED', '/weights')
    metafiles = (Path(mmpretrain.__file__).parent / '.mim' / 'configs').rglob('metafile.yml')
    listed = ' '.join(path.read_text(encoding='utf-8') for path in metafiles)
    listed += ' '.join(f'open-mmlab://{name}' for name in get_external_models())
    for path in sorted(CONFIGS.rglob('*.py')):
        assert 'openmmlab.com' not in path.read_text(), path
        if {'_base_', 'experiments'} & set(path.parts):
            continue
        for weights in pretrained_files(read(path).model):
            if weights.startswith(SCHEME):
                published_at(weights.removeprefix(SCHEME))
            elif weights not in listed:
                assert re.fullmatch(r'/weights/repnext_\w+\.pth', weights), (path, weights)


@pytest.mark.parametrize(
    ('name', 'task', 'rate', 'decay'),
    [
        ('convnext_tiny', 'detector', 0.4, dict(decay_rate=0.95, decay_type='layer_wise')),
        ('repnext_small', 'cascade', 0.6, dict(decay_rate=0.7, decay_type='layer_wise')),
        ('repnext_base', 'cascade', 0.7, dict(decay_rate=0.8, decay_type='layer_wise')),
        ('convnext_base', 'segmentor', 0.4,
         dict(decay_rate=0.9, decay_type='stage_wise', num_layers=12)),
        ('vit_base', 'segmentor', 0.1, dict(decay_rate=0.9, decay_type='layer_wise')),
        ('resnet18', 'segmentor', 0.0, dict(decay_rate=1.0)),
    ],
)  # fmt: skip
def test_rates_follow_the_size(name, task, rate, decay, bases):
    cfg = swapped(bases[task], name)
    assert cfg.model.backbone.drop_path_rate == rate
    assert cfg.optim_wrapper.paramwise_cfg == decay


def test_stochastic_depth_on_imagenet_is_that_of_convnext(bases):
    rates = {
        name: swapped(bases['classifier'], f'repnext_{name}').model.backbone.drop_path_rate
        for name in ('tiny', 'tiny_v3', 'small', 'base')
    }
    assert rates == dict(tiny=0.1, tiny_v3=0.1, small=0.4, base=0.5)


def test_weights_of_repnext_follow_the_architecture_and_the_folder(bases, monkeypatch):
    cfg = swapped(bases['detector'], 'repnext_tiny_v3')
    assert 'init_cfg' not in cfg.model.backbone
    mobile = swapped(bases['detector'], 'repnext_m3').model.backbone.init_cfg
    assert mobile.checkpoint == 'pretrained/repnext_m3.pth'
    monkeypatch.setenv('REPNEXT_PRETRAINED', '/weights')
    init = swapped(bases['detector'], 'repnext_tiny_v3').model.backbone.init_cfg
    assert (init.checkpoint, init.prefix) == ('/weights/repnext_tiny_v3.pth', 'backbone.')
    tiny = read(CONFIGS / f'{BASES["detector"]}.py').model.backbone.init_cfg
    assert tiny.checkpoint == '/weights/repnext_tiny.pth'


def test_replknet_tiny_has_the_published_number_of_parameters(bases):
    model = swapped(bases['classifier'], 'replknet_tiny').model
    network = MODELS.build(model.backbone)
    head = (model.head.in_channels + 1) * model.head.num_classes
    assert sum(p.numel() for p in network.parameters()) + head == 44_004_616


def test_any_network_of_timm_fits(bases):
    cfg = swapped(bases['segmentor'], 'regnety_002.pycls_in1k')
    assert list(cfg.model.decode_head.in_channels) == [24, 56, 152, 368]
    assert cfg.model.backbone.init_cfg.checkpoint == 'timm://regnety_002.pycls_in1k'
    assert swapped(bases['segmentor'], 'regnety_002').model.backbone.init_cfg is None


def test_what_does_not_fit_is_refused(bases):
    with pytest.raises(ValueError, match=r"no network 'resnet19'.*Names with recipes: repnext_t"):
        with_backbone(bases['detector'], 'resnet19')
    with pytest.raises(ValueError, match=r"default_scope must be one of .*got 'mmpose'"):
        with_backbone(dict(default_scope='mmpose', model={}), 'resnet18')
    vit = swapped(bases['detector'], 'vit_small')
    with pytest.raises(ValueError, match=r'SimpleFeaturePyramid.*start from a config of RepNeXt'):
        with_backbone(vit, 'resnet18')


def test_the_names_are_those_of_the_document():
    text = (ROOT / 'docs' / 'baselines.md').read_text()
    table = text.partition('| name | network |')[2].partition('\n\n')[0]
    named = re.findall(
        r'`([a-z]\w+)`', ''.join(line.split('|')[1] for line in table.splitlines()[2:])
    )
    assert named == list(ROWS)
    for row in ROWS.values():
        if row.timm:
            assert f'`{row.timm}`' in table, row.timm


def test_image_sizes_reach_networks_that_fix_theirs():
    cfg = read(CONFIGS / 'repnext_tiny_cifar100.py')
    model = swapped(cfg, 'swin_tiny').model
    assert (model.num_classes, model.strict_img_size, model.always_partition) == (100, False, True)
    assert (
        'strict_img_size'
        not in swapped(read(CONFIGS / 'repnext_tiny_imagewoof.py'), 'swin_tiny').model
    )
