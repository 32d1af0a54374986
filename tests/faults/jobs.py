"""Tools with work to do: what they are called with, and what they leave."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from commands import CONFIG, SLIM

from faults.place import Place

LAST = 'iter_4.pth'
DETERMINISTIC = (
    'randomness.seed=0',
    'randomness.deterministic=True',
    'train_cfg.max_iters=4',
    'default_hooks.checkpoint.interval=1',
)


class Job(NamedTuple):
    """A tool and its arguments."""

    name: str
    tool: str
    arguments: Callable[[Place, Path], Sequence[object]]
    """Of the inputs and the folder of results."""

    results: tuple[str, ...]
    """Files of that folder which are the same after every run that ended well."""

    timed: bool = False
    """Whether results hold times, so that they are never the same twice."""

    reads: str = ''
    """The input that has checksums, so that a hole in it must be found; empty for none."""

    makes: str = ''
    """A folder that the tool makes, and does not touch if it is there."""

    alone: bool = False
    """Whether a second one in the same folder is refused while the first runs."""


def options(*more: str) -> list[str]:
    return ['--cfg-options', *SLIM, *more]


JOBS = (
    Job('convert', 'convert_checkpoint.py', lambda p, f: [p.checkpoint, f / 'new.pth', '--config',
        p.config], ('new.pth',), reads='checkpoint'),
    Job('merge', 'reparameterize.py', lambda p, f: [CONFIG, p.checkpoint, f / 'merged.safetensors',
        *options()], ('merged.safetensors',), reads='checkpoint'),
    Job('prune', 'prune.py', lambda p, f: [CONFIG, p.checkpoint, '--ratio', 0.3, '--output',
        f / 'pruned.pth', '--shape', 64, 64, *options()], ('pruned.pth', 'pruned.py'),
        reads='checkpoint'),
    Job('export', 'export.py', lambda p, f: [CONFIG, p.checkpoint, '--part', 'backbone', '--shape',
        64, 64, '--output', f / 'model.onnx', *options()], ('model.onnx',), reads='checkpoint'),
    Job('test', 'test.py', lambda p, f: [CONFIG, p.checkpoint, '--work-dir', f, '--out',
        f / 'found.pkl', *options()], ('metrics.json', 'found.pkl'), reads='checkpoint'),
    Job('benchmark', 'benchmark.py', lambda p, f: [CONFIG, '--what', 'backbone', '--shapes', '32x32',
        '--rounds', 1, '--forms', 'fused', '--work-dir', f, *options()],
        ('benchmark_backbone.json', 'benchmark_backbone.md', 'benchmark_backbone.png'), timed=True),
    Job('train', 'train.py', lambda p, f: [CONFIG, '--work-dir', f, '--resume',
        *options(*DETERMINISTIC)], (LAST,), alone=True),
    Job('quantize', 'quantize.py', lambda p, f: [CONFIG, p.onnx, '--output', f / 'int8.onnx',
        '--work-dir', f, '--images', 2, '--rounds', 1, '--max-loss', 1, *options()],
        ('int8.onnx', 'quantization.json'), timed=True),
    Job('predict', 'predict.py', lambda p, f: [p.config, p.checkpoint, p.data / 'val', '--output',
        f / 'found'], ('found/predictions.json', 'found/predictions.csv'), reads='checkpoint'),
    Job('check', 'check_dataset.py', lambda p, f: [CONFIG, '--work-dir', f, *options()],
        ('report.json', 'index.html')),
    Job('prepare', 'prepare_data.py', lambda p, f: ['cifar10', p.archive, '--out', f],
        ('cifar10/train/class_0/0.png', 'cifar10/test/class_1/1.png'), reads='archive',
        makes='cifar10'),
    Job('dataset', 'convert_dataset.py', lambda p, f: [p.yolo, '--from', 'yolo', '--output',
        f / 'new', '--val', 0.4, '--test', 0.2], ('new/annotations/instances_train.json',
        'new/annotations/instances_val.json'), makes='new'),
    Job('experiment', 'experiment.py', lambda p, f: [p.experiment, '--work-dir', f, '--resume',
        '--rounds', 1, '--images', 1], ('results.json', 'table.md', 'table.csv', 'table.png'),
        timed=True, alone=True),
    Job('demo', 'demo.py', lambda p, f: ['--work-dir', f, '--train-images', 4, '--val-images', 2,
        '--iterations', 1, '--any-result'], ('summary.md', 'model_int8.onnx', 'predictions.png'),
        timed=True, alone=True),
)  # fmt: skip
