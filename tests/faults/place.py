"""The inputs of all tools: generated images, and what is made of them once."""

import tarfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from commands import CONFIG, ROOT, SLIM, run_inside
from PIL import Image
from raw_data import yolo

from repnext_mm.demo.shapes import generate_shapes

EXPERIMENT = """
_base_ = '{root}/configs/_base_/tables/classification.py'
title = 'Generated images'
shape = (32, 32)
seeds = (0,)
forms = ('training',)
files = ()
rows = [
    dict(
        name='slim',
        config='{root}/configs/small/repnext_slim_cifar10.py',
        options={{
            'model.backbone.arch.channels': [8, 8, 8],
            'model.head.in_channels': 8,
            'train_dataloader.dataset.data_root': '{images}',
            'val_dataloader.dataset.data_root': '{images}',
            'test_dataloader.dataset.data_root': '{images}',
            'train_dataloader.batch_size': 10,
            'train_cfg.max_epochs': 1,
            'param_scheduler': None,
        }},
    )
]
"""


class Place(NamedTuple):
    """The inputs that all jobs share."""

    data: Path
    config: Path
    """Fits the checkpoint without options."""

    checkpoint: Path
    onnx: Path
    """The exported detector of the checkpoint."""

    archive: Path
    """Images in folders of classes."""

    yolo: Path
    """A data set in another format."""

    experiment: Path


def prepare(folder: Path) -> Place:
    """Data, a checkpoint of a few iterations, and what else the tools read."""
    data = generate_shapes(folder / 'shapes', train=4, val=2)
    lines = [f'_base_ = {str(CONFIG)!r}', 'channels = [8, 8, 16, 16]']
    lines.append('model = dict(backbone=dict(arch=dict(channels=channels)),')
    lines.append('             neck=dict(in_channels=channels))')
    config = folder / 'config.py'
    config.write_text('\n'.join(lines) + '\n')
    trained = ['train.py', CONFIG, '--work-dir', folder / 'trained', '--cfg-options', *SLIM]
    checkpoint, onnx = folder / 'trained' / 'iter_3.pth', folder / 'model.onnx'
    exported = ['export.py', config, checkpoint, '--shape', 96, 96, '--output', onnx]
    for command in ([*trained, 'train_cfg.max_iters=3'], exported):
        result = run_inside(*command, data=data)
        assert result.returncode == 0, result.stderr[-3000:]
    images = write_classes(folder / 'cifar10')
    archive = folder / 'cifar10.tar.gz'
    with tarfile.open(archive, 'w:gz') as file:
        for split in ('train', 'test'):
            file.add(images / split, split)
    for number in range(6):
        yolo(folder / 'yolo', f'item{number}')
    experiment = folder / 'generated.py'
    experiment.write_text(EXPERIMENT.format(root=ROOT, images=images))
    return Place(data, config, checkpoint, onnx, archive, folder / 'yolo', experiment)


def write_classes(folder: Path) -> Path:
    """Ten classes with an image each, in both splits."""
    generator = np.random.default_rng(0)
    for split in ('train', 'test'):
        for number in range(10):
            path = folder / split / f'class_{number}' / f'{number}.png'
            path.parent.mkdir(parents=True)
            Image.fromarray(generator.integers(0, 255, (32, 32, 3), np.uint8)).save(path)
    return folder
