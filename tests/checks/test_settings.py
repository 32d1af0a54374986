"""Settings of mmdet 2.x and mmseg 0.x are named, with what has taken their place."""

import pytest
from mmengine.config import Config
from small_configs import CONFIGS

from repnext_mm.checks.settings import ARGUMENTS, DATASET, TOP_LEVEL, TRANSFORMS, check_settings

SPLITS = ('train', 'val', 'test')
OLD = dict(
    optimizer=dict(type='SGD', lr=0.5),
    optimizer_config=dict(grad_clip=dict(max_norm=35)),
    fp16=dict(loss_scale=512.0),
    paramwise_cfg=dict(bias_lr_mult=2.0),
    lr_config=dict(policy='step', warmup='linear', step=[8, 11]),
    momentum_config=dict(policy='cyclic'),
    runner=dict(type='EpochBasedRunner', max_epochs=7),
    total_epochs=12,
    total_iters=160000,
    evaluation=dict(interval=1, metric='bbox', save_best='bbox_mAP'),
    checkpoint_config=dict(interval=5),
    resume_from='work_dirs/before/epoch_3.pth',
    auto_resume=True,
    data=dict(samples_per_gpu=2, train=dict(type='CocoDataset')),
    log_config=dict(interval=50),
    workflow=[('train', 1), ('val', 1)],
    dist_params=dict(backend='nccl'),
    cudnn_benchmark=True,
    opencv_num_threads=0,
    mp_start_method='fork',
    seed=3,
    deterministic=True,
    gpu_ids=[0],
    img_norm_cfg=dict(mean=[1.0, 2.0, 3.0], std=[1.0, 1.0, 1.0], to_rgb=True),
)
TODAY = dict(
    optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-4)),
    train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=12),
    model=dict(data_preprocessor=dict(mean=[0.0, 0.0, 0.0], std=[1.0, 1.0, 1.0])),
    env_cfg=dict(cudnn_benchmark=False),
)


def find(splits=SPLITS, **options) -> dict:
    findings = list(check_settings(Config(TODAY | options), *splits))
    found = {finding.place: finding for finding in findings}
    assert len(found) == len(findings)
    return found


@pytest.mark.parametrize('name', TOP_LEVEL)
def test_old_setting_is_named_alone_with_its_successor(name):
    found = find(**(TODAY | {name: OLD[name], 'train_cfg': dict(max_epochs=1)}))
    assert list(found) == [name] and set(OLD) == set(TOP_LEVEL)
    assert found[name].remedy.startswith('Take it out and set ')


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('lr_config', 'milestones=[8, 11]'),
        ('lr_config', "type='LinearLR'"),
        ('runner', 'train_cfg.max_epochs=7'),
        ('checkpoint_config', 'default_hooks=dict(checkpoint=dict(interval=5))'),
        ('optimizer', "optimizer=dict(type='SGD', lr=0.5)"),
        ('total_iters', 'max_iters=160000'),
        ('resume_from', '--resume'),
    ],
)
def test_successor_has_the_values(name, words):
    assert words in find(**{name: OLD[name]})[name].remedy


@pytest.mark.parametrize(
    'options',
    [
        dict(optimizer=dict(type='AdamW', lr=1e-4)),
        dict(total_epochs=12),
        dict(data=dict(data_root='data/parts/', metainfo=dict(classes=('a',)))),
        dict(seed=3, randomness=dict(seed=3)),
        dict(img_norm_cfg=dict(mean=[0.0, 0.0, 0.0], std=[1.0, 1.0, 1.0])),
        dict(cudnn_benchmark=False, find_unused_parameters=True, workflow=[('train', 1)]),
        dict(resume_from=None, optimizer_config=dict(grad_clip=None), load_from='a.pth'),
    ],
)
def test_variables_of_these_names_that_are_used_and_empty_settings_are_none(options):
    assert find(**options) == {}


def test_tests_are_told_of_what_concerns_them():
    assert set(find(('test',), **OLD)) == {'data', 'evaluation', 'img_norm_cfg'}


def test_old_names_in_data_sets_and_loaders_are_found_however_deep():
    dataset = dict(type='mmdet.CocoDataset', **dict.fromkeys(DATASET, 'x'))
    nested = dict(type='ConcatDataset', datasets=[dict(type='RepeatDataset', dataset=dataset)])
    found = find(train_dataloader=dict(samples_per_gpu=2, dataset=nested))
    place = 'train_dataloader.dataset.datasets[0].dataset'
    expected = {f'{place}.{name}' for name in DATASET}
    assert set(found) == expected | {'train_dataloader.samples_per_gpu'}
    own = dict(dataset, type='MyDataset')
    assert find(train_dataloader=dict(dataset=own)) == {}


@pytest.mark.parametrize('name', [*TRANSFORMS, 'Normalize', *ARGUMENTS])
def test_old_transforms_and_arguments_are_found(name):
    step = dict(type=name) if isinstance(name, str) else {'type': name[0], name[1]: 0.5}
    steps = [dict(type='LoadImageFromFile'), step, dict(type='PackDetInputs')]
    found = find(test_dataloader=dict(dataset=dict(type='Own', pipeline=steps)))
    assert list(found) == ['test_dataloader.dataset.pipeline[1]']
    assert found.popitem()[1].level == 'error'


def test_our_configs_have_none():
    paths = [*sorted(CONFIGS.glob('*.py')), *sorted(CONFIGS.glob('small/*.py'))]
    found = {path.name: list(check_settings(Config.fromfile(path), *SPLITS)) for path in paths[::7]}
    assert len(found) > 5 and not any(found.values())
