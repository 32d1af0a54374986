"""Batches that a network cannot take are told of before training, or at the step where they come."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from PIL import Image
from torch import nn

from repnext_mm.checks.batches import check_batches, explained_batch_errors

BN = dict(type='BN')


def head_config(head: dict, batch_size: int = 1, **options) -> Config:
    loader = dict(batch_size=batch_size)
    return Config(dict(model=dict(decode_head=head), train_dataloader=loader) | options)


@pytest.mark.parametrize(
    'head',
    [
        dict(type='UPerHead', norm_cfg=BN),
        dict(type='mmseg.PSPHead', norm_cfg=dict(type='SyncBN')),
        dict(type='ASPPHead', norm_cfg=BN),
        [dict(type='FCNHead', norm_cfg=BN), dict(type='DepthwiseSeparableASPPHead', norm_cfg=BN)],
    ],
)
def test_a_batch_of_one_before_a_norm_of_one_value_is_an_error(head):
    (finding,) = check_batches(head_config(head), 'train')
    assert finding.place == 'train_dataloader.batch_size' and 'one value' in finding.message
    assert list(check_batches(head_config(head, batch_size=2), 'train')) == []
    assert list(check_batches(head_config(head), 'test')) == []


@pytest.mark.parametrize(
    ('head', 'options'),
    [
        (dict(type='UPerHead', norm_cfg=dict(type='GN')), {}),
        (dict(type='UPerHead', pool_scales=(2, 3), norm_cfg=BN), {}),
        (dict(type='UPerHead', norm_cfg=dict(type='SyncBN')), dict(launcher='pytorch')),
        (dict(type='UPerHead'), {}),
        (dict(type='FPNHead', norm_cfg=BN), {}),
    ],
)
def test_other_heads_take_a_batch_of_one(head, options):
    assert list(check_batches(head_config(head, **options), 'train')) == []


@pytest.mark.distribution
@pytest.mark.parametrize('kind', ['UPerHead', 'PSPHead', 'ASPPHead', 'DepthwiseSeparableASPPHead'])
def test_the_heads_are_those_that_fail_and_the_error_says_why(kind):
    from mmseg.registry import MODELS

    several = kind == 'UPerHead'
    cfg = dict(type=kind, in_channels=[4, 4] if several else 4, in_index=[0, 1] if several else 0)
    if kind == 'DepthwiseSeparableASPPHead':
        cfg |= dict(c1_in_channels=0, c1_channels=0)
    head = MODELS.build(dict(cfg, channels=4, num_classes=3, norm_cfg=BN)).train()
    features = [torch.rand(1, 4, 8, 8), torch.rand(1, 4, 8, 8)]
    with (
        pytest.raises(ValueError, match=r'train_dataloader\.batch_size to 2'),
        explained_batch_errors(),
    ):
        head(features)
    config = head_config(dict(type=kind, norm_cfg=BN))
    assert len(list(check_batches(config, 'train'))) == 1


def test_errors_about_batches_name_the_setting_and_others_pass():
    with pytest.raises(ValueError, match='drop_last'), explained_batch_errors():
        nn.BatchNorm1d(3).train()(torch.rand(1, 3))
    with pytest.raises(ValueError, match=r'several sizes.*RandomCrop'), explained_batch_errors():
        default_collate([torch.rand(3, 4, 4), torch.rand(3, 5, 4)])
    with pytest.raises(RuntimeError, match='disk') as info, explained_batch_errors():
        raise RuntimeError('no space on disk')
    assert type(info.value) is RuntimeError


def images(folder: Path, *sizes: tuple[int, int]) -> Path:
    (folder / 'train' / 'deep').mkdir(parents=True)
    for number, (width, height) in enumerate(sizes):
        content = np.zeros((height, width, 3), np.uint8)
        Image.fromarray(content).save(folder / 'train' / 'deep' / f'{number}.png')
    (folder / 'train' / 'notes.txt').touch()
    (folder / 'train' / 'broken.png').touch()
    return folder


def sized_config(root: Path, *steps: dict, scope: str = 'mmseg', size=(48, 48), **loader) -> Config:
    prefix = dict(img_path='train', seg_map_path='labels')
    pipeline = [dict(type='LoadImageFromFile'), *steps, dict(type='PackSegInputs')]
    dataset = dict(type='Any', data_root=str(root), data_prefix=prefix, pipeline=pipeline)
    repeated = dict(type='RepeatDataset', times=2, dataset=dataset)
    return Config(
        dict(
            default_scope=scope,
            model=dict(data_preprocessor=dict(size=size)),
            train_dataloader=dict(batch_size=4, dataset=repeated) | loader,
        )
    )


CROP = dict(type='RandomCrop', crop_size=(48, 48))
FLIP = dict(type='RandomFlip', prob=0.5)
RESIZE = dict(type='Resize', scale=(64, 64), keep_ratio=True)
RANDOM = dict(type='RandomResize', scale=(64, 64), ratio_range=(0.5, 2.0), keep_ratio=True)


@pytest.mark.parametrize(
    ('steps', 'words'),
    [
        ([FLIP], 'becomes (64, 48)'),
        ([RESIZE, FLIP], 'becomes (48, 64)'),
        ([RANDOM], 'draws a size'),
    ],
)
def test_images_of_several_sizes_are_an_error(steps, words, tmp_path):
    cfg = sized_config(images(tmp_path, (64, 48), (48, 64)), *steps)
    (finding,) = check_batches(cfg, 'train')
    assert words in finding.message and 'RandomCrop' in finding.remedy
    for other in (
        sized_config(tmp_path, *steps, batch_size=1),
        sized_config(tmp_path, *steps, scope='mmdet'),
        sized_config(tmp_path, *steps, CROP),
        sized_config(tmp_path, dict(type='MyTransform'), *steps),
        sized_config(tmp_path / 'missing', *steps),
    ):
        assert list(check_batches(other, 'train')) == []
    cfg.model.data_preprocessor = dict(size_divisor=32)
    assert list(check_batches(cfg, 'train')) == []


@pytest.mark.parametrize(
    'steps', [[FLIP], [RESIZE], [dict(type='Resize', scale=(32, 32))], [RANDOM, CROP]]
)
def test_images_of_one_size_stay_so(steps, tmp_path):
    cfg = sized_config(images(tmp_path, (64, 48), (64, 48)), *steps)
    assert list(check_batches(cfg, 'train')) == []


def test_small_images_are_padded_and_classifiers_are_looked_at(tmp_path):
    root = images(tmp_path, (40, 30), (48, 20))
    assert list(check_batches(sized_config(root, FLIP), 'train')) == []
    assert len(list(check_batches(sized_config(root, FLIP, scope='mmpretrain'), 'train'))) == 1
    edge = dict(type='ResizeEdge', scale=32, edge='short')
    crop = dict(type='CenterCrop', crop_size=32)
    for steps, count in (([edge], 1), ([edge, crop], 0)):
        cfg = sized_config(root, *steps, scope='mmpretrain')
        assert len(list(check_batches(cfg, 'train'))) == count
    cfg = sized_config(root, FLIP, scope='mmpretrain', collate_fn=dict(type='pseudo_collate'))
    assert list(check_batches(cfg, 'train')) == []
