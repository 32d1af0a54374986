"""The ImageNet recipe as a user runs it, on a few generated images."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import timm
import torch
from commands import ROOT, run_inside
from mmcv.transforms import Compose
from mmengine.config import Config
from mmpretrain.utils import register_all_modules
from safetensors.torch import save_file

from repnext_mm.models import RepNeXt

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


TEN_CLASSES = tuple(f'n{number:02}' for number in range(10))


def write_images(
    folder: Path, classes: tuple[str, ...] = CLASSES, counts: tuple[int, int] = (3, 2)
) -> Path:
    """So many images of each class for training and for validation, and the lists of them."""
    rng = np.random.default_rng(0)
    (folder / 'meta').mkdir(parents=True)
    for split, count in zip(('train', 'val'), counts, strict=True):
        lines = [
            f'{name}/{i}.png {label}' for label, name in enumerate(classes) for i in range(count)
        ]
        (folder / 'meta' / f'{split}.txt').write_text('\n'.join(lines))
        for name in classes:
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
    result = run_inside('reparameterize.py', config, run / 'epoch_2.pth', merged, **data)
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


SMALL_DATA = """
_base_ = '{base}'
loader = dict(num_workers=0, persistent_workers=False, batch_size=5)
train_dataloader = loader
val_dataloader = loader
test_dataloader = loader
train_cfg = dict(max_epochs=1)
"""


@pytest.mark.distribution
@pytest.mark.parametrize('name', ['resnet18', 'repnext_tiny'])
def test_recipe_of_imagewoof_trains_by_name_from_imagenet_weights(name, tmp_path):
    images = write_images(tmp_path / 'imagewoof2', TEN_CLASSES, (1, 1))
    weights = tmp_path / 'weights'
    weights.mkdir()
    torch.manual_seed(0)
    if name == 'resnet18':
        save_file(timm.create_model(name).state_dict(), weights / 'resnet18.a1_in1k.safetensors')
    else:
        state = {f'backbone.{key}': value for key, value in RepNeXt('tiny').state_dict().items()}
        torch.save(dict(state_dict=state), weights / 'repnext_tiny.pth')
    config = tmp_path / 'config.py'
    base = ROOT / 'configs' / 'repnext_tiny_imagewoof_finetune.py'
    config.write_text(SMALL_DATA.format(base=base))
    options = ['--work-dir', tmp_path / 'run', '--backbone', name]
    variables = dict(IMAGEWOOF_ROOT=str(images), REPNEXT_PRETRAINED=str(weights))
    result = run_inside('train.py', config, *options, **variables)
    assert result.returncode == 0, result.stderr[-3000:]
    assert 'accuracy/top1' in result.stdout and 'accuracy/top5' in result.stdout
    content = torch.load(tmp_path / 'run' / 'epoch_1.pth', weights_only=True)
    assert content['meta']['iter'] == 2


def test_images_of_cifar100_become_96_pixels_wide():
    cfg = Config.fromfile(ROOT / 'configs' / 'repnext_tiny_cifar100.py')
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    register_all_modules()
    for pipeline in (cfg.train_pipeline, cfg.test_pipeline):
        sample = Compose(pipeline)(dict(img=image, gt_label=3))
        assert tuple(sample['inputs'].shape) == (3, 96, 96)
        assert int(sample['data_samples'].gt_label) == 3
