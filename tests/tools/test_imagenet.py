"""The ImageNet recipe as a user runs it, on a few generated images."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from commands import ROOT, TOOLS, call, run_inside

CONFIG = """
_base_ = '{base}'
model = dict(
    backbone=dict(arch=dict(_delete_=True, channels=[8, 16, 32, 64], depths=[1, 1, 1, 1], variant='m0')),
    head=dict(in_channels=64),
    teacher=dict(
        _delete_=True,
        type='ImageClassifier',
        backbone=dict(type='MobileNetV2', widen_factor=0.1),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=1000, in_channels=1280)))
loader = dict(num_workers=0, persistent_workers=False, batch_size=4)
train_dataloader = loader
val_dataloader = loader
test_dataloader = loader
train_cfg = dict(max_epochs=2)
"""


CLASSES = ('n01', 'n02')


def write_images(folder: Path) -> Path:
    """Two classes, six images for training and four for validation, and the lists of them."""
    rng = np.random.default_rng(0)
    (folder / 'meta').mkdir(parents=True)
    for split, count in (('train', 3), ('val', 2)):
        lines = [
            f'{name}/{i}.png {label}' for label, name in enumerate(CLASSES) for i in range(count)
        ]
        (folder / 'meta' / f'{split}.txt').write_text('\n'.join(lines))
        for name in CLASSES:
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                image = rng.integers(0, 255, (250 + number, 300, 3), np.uint8)
                cv2.imwrite(str(folder / split / name / f'{number}.png'), image)
    return folder


@pytest.mark.distribution
def test_recipe_trains_and_its_averaged_weights_merge(tmp_path):
    data = dict(IMAGENET_ROOT=str(write_images(tmp_path / 'imagenet')))
    config = tmp_path / 'config.py'
    config.write_text(CONFIG.format(base=ROOT / 'configs' / 'repnext_m0_distill_imagenet.py'))
    run = tmp_path / 'run'
    result = run_inside('train.py', config, '--work-dir', run, **data)
    assert result.returncode == 0, result.stderr[-3000:]
    assert 'loss_distill' in result.stdout and 'accuracy/top5' in result.stdout
    content = torch.load(run / 'epoch_2.pth', weights_only=True)
    assert not [name for name in content['state_dict'] if 'teacher' in name]
    steps = content['ema_state_dict']['steps']
    assert steps == content['meta']['iter'] == 4

    merged = tmp_path / 'merged.pth'
    command = [sys.executable, TOOLS / 'reparameterize.py', config, run / 'epoch_2.pth', merged]
    result = call(command, **data)
    assert result.returncode == 0, result.stderr[-3000:]
    options = result.stdout.split('--cfg-options ')[1].split()
    assert options == ['model.backbone.deploy=fused', 'model.head.deploy=fused']
    metrics = []
    for source, arguments in (
        (run / 'epoch_2.pth', ['--form', 'training']),
        (merged, ['--cfg-options', *options]),
    ):
        command = ['test.py', config, source, '--work-dir', tmp_path / 'test', *arguments]
        result = run_inside(*command, **data)
        assert result.returncode == 0, result.stderr[-3000:]
        metrics.append(json.loads((tmp_path / 'test' / 'metrics.json').read_text())['metrics'])
    assert metrics[0] == metrics[1] and 'accuracy/top1' in metrics[0]
