"""The command-line tools as a user runs them, on slim networks."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOOLS = ROOT / 'tools'
CONFIG = ROOT / 'configs' / 'demo' / 'mask_rcnn_repnext_slim_shapes.py'
SLIM = (
    'model.backbone.arch.channels=[8,8,16,16]',
    'model.neck.in_channels=[8,8,16,16]',
    'train_dataloader.batch_size=2',
    'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False',
    'val_dataloader.num_workers=0',
    'val_dataloader.persistent_workers=False',
    'test_dataloader.num_workers=0',
    'test_dataloader.persistent_workers=False',
    'test_dataloader.batch_size=1',
    'train_cfg.val_interval=100',
    'default_hooks.checkpoint.interval=3',
)


def call(
    command: list, data: Path | None = None, **environment: str
) -> subprocess.CompletedProcess:
    environment |= dict(SHAPES_ROOT=str(data), OMP_NUM_THREADS='1', PYTHON=sys.executable)
    return subprocess.run(
        [str(part) for part in command],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def tool(name: str, *arguments: object, data: Path | None = None) -> subprocess.CompletedProcess:
    return call([sys.executable, TOOLS / name, *arguments], data)


def train(data: Path, work_dir: Path, iterations: int, *arguments: str) -> None:
    options = ['--cfg-options', *SLIM, f'train_cfg.max_iters={iterations}']
    result = tool('train.py', CONFIG, '--work-dir', work_dir, *arguments, *options, data=data)
    assert result.returncode == 0, result.stderr[-3000:]


def test(data: Path, checkpoint: Path, work_dir: Path, *arguments: object) -> dict:
    options = ['--cfg-options', *SLIM]
    result = tool(
        'test.py', CONFIG, checkpoint, '--work-dir', work_dir, *arguments, *options, data=data
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads((work_dir / 'metrics.json').read_text())


test.__test__ = False
