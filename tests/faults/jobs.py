"""Tools with work to do: what they are called with, and what a whole result of theirs is."""

import hashlib
import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from commands import CONFIG, SLIM
from interrupted import differences
from PIL import Image

from repnext_mm.checkpoints.files import load_from_local
from repnext_mm.runtime import open_session

LAST = 'iter_4.pth'
DETERMINISTIC = (
    'randomness.seed=0',
    'randomness.deterministic=True',
    'train_cfg.max_iters=4',
    'default_hooks.checkpoint.interval=1',
)


class Place(NamedTuple):
    """The inputs that all jobs share."""

    data: Path
    checkpoint: Path
    onnx: Path
    """An exported backbone."""


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


def options(*more: str) -> list[str]:
    return ['--cfg-options', *SLIM, *more]


JOBS = (
    Job('convert', 'convert_checkpoint.py', lambda p, f: [p.checkpoint, f / 'new.pth', '--config',
        f.parent / 'config.py'], ('new.pth',)),
    Job('merge', 'reparameterize.py', lambda p, f: [CONFIG, p.checkpoint, f / 'merged.safetensors',
        *options()], ('merged.safetensors',)),
    Job('prune', 'prune.py', lambda p, f: [CONFIG, p.checkpoint, '--ratio', 0.3, '--output',
        f / 'pruned.pth', '--shape', 64, 64, *options()], ('pruned.pth', 'pruned.py')),
    Job('export', 'export.py', lambda p, f: [CONFIG, p.checkpoint, '--part', 'backbone', '--shape',
        64, 64, '--output', f / 'model.onnx', *options()], ('model.onnx',)),
    Job('test', 'test.py', lambda p, f: [CONFIG, p.checkpoint, '--work-dir', f, '--out',
        f / 'found.pkl', *options()], ('metrics.json', 'found.pkl')),
    Job('benchmark', 'benchmark.py', lambda p, f: [CONFIG, '--what', 'backbone', '--shapes', '32x32',
        '--rounds', 1, '--forms', 'fused', '--work-dir', f, *options()],
        ('benchmark_backbone.json', 'benchmark_backbone.md', 'benchmark_backbone.png'), timed=True),
    Job('train', 'train.py', lambda p, f: [CONFIG, '--work-dir', f, '--resume',
        *options(*DETERMINISTIC)], (LAST,)),
)  # fmt: skip


def check_whole(path: Path) -> None:
    """Makes sure that a file under its final name is whole.

    Raises:
        Exception: Of any kind, if it is not.
    """
    if path.suffix in ('.pth', '.safetensors'):
        content = load_from_local(str(path), map_location='cpu')
        assert len(content['state_dict']) > 10, path
    elif path.suffix == '.onnx':
        assert open_session(path).spec.part == 'backbone', path
    elif path.name == 'metrics.json' or (
        path.name.startswith('benchmark_') and path.suffix == '.json'
    ):
        json.loads(path.read_text())
    elif path.suffix == '.pkl':
        pickle.loads(path.read_bytes())
    elif path.suffix == '.png':
        with Image.open(path) as image:
            image.load()
    elif path.name == 'pruned.py':
        compile(path.read_text(), str(path), 'exec')
    elif path.name == 'last_checkpoint':
        named = Path(path.read_text().strip())
        assert named.is_file(), f'{path} names {named}'


def content_of(path: Path) -> Any:
    """What two whole results have in common: values, not times and places."""
    if path.name == LAST:
        return load_from_local(str(path), map_location='cpu')
    if path.suffix in ('.pth', '.safetensors'):
        state = load_from_local(str(path), map_location='cpu')['state_dict']
        return {name: value.clone() for name, value in state.items()}
    if path.suffix == '.onnx':
        session = open_session(path)
        images = torch.arange(64 * 64 * 3).remainder(255).view(1, 64, 64, 3).byte().numpy()
        return {name: torch.from_numpy(value) for name, value in session(images).items()}
    if path.name == 'metrics.json':
        return json.loads(path.read_text())['metrics']
    if path.suffix == '.py':
        return path.read_text().replace(str(path.parent), '')
    return path.is_file()


def same(first: Any, second: Any) -> bool:
    """Whether two results are equal, bit by bit."""
    if isinstance(first, dict) and 'optimizer' in first:
        return differences(first, second) == []
    if isinstance(first, dict) and any(isinstance(v, torch.Tensor) for v in first.values()):
        pairs = ((value, second.get(name)) for name, value in first.items())
        return first.keys() == second.keys() and all(torch.equal(*pair) for pair in pairs)
    return first == second


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
