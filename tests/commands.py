"""The command-line tools as a user runs them, on slim networks."""

import io
import json
import os
import runpy
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import torch
from mmengine.logging import MMLogger
from mmengine.utils import ManagerMixin

from repnext_mm.compat import trust_mmengine_checkpoints

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
    """A tool in a process of its own."""
    return call([sys.executable, TOOLS / name, *arguments], data)


def run_inside(name: str, *arguments: object, **environment: object) -> subprocess.CompletedProcess:
    """A tool in this process, which saves the seconds that imports take, and leaves no trace."""
    command = [name, *map(str, arguments)]
    environment = {name: str(value) for name, value in environment.items()}
    output, errors = io.StringIO(), io.StringIO()
    code, failure = 0, ''
    with ExitStack() as stack:
        stack.enter_context(patch.dict(os.environ, environment))
        stack.enter_context(patch.object(sys, 'argv', command))
        stack.enter_context(redirect_stdout(output))
        stack.enter_context(redirect_stderr(errors))
        stack.enter_context(fresh_managers())
        stack.enter_context(torch_settings())
        stack.callback(trust_mmengine_checkpoints)
        trust_mmengine_checkpoints()
        try:
            runpy.run_path(str(TOOLS / name), run_name='__main__')
        except SystemExit as stop:
            code = stop.code or 0
        except Exception as error:
            code, failure = 1, traceback.format_exc()
            errors.write(str(error))
    print(failure, file=sys.stderr)  # shown if the test fails
    return subprocess.CompletedProcess(command, code, output.getvalue(), errors.getvalue())


@contextmanager
def fresh_managers() -> Iterator[None]:
    """No logger, visualizer, message hub or default scope of others, which equal names would find."""
    before = {manager: dict(manager._instance_dict) for manager in managers()}
    for manager in before:
        manager._instance_dict.clear()
    try:
        yield
    finally:
        for handler in [h for log in MMLogger._instance_dict.values() for h in log.handlers]:
            handler.close()
        for manager in managers():
            manager._instance_dict.clear()
            manager._instance_dict.update(before.get(manager, {}))


def managers(parent: type = ManagerMixin) -> Iterator[type]:
    """All classes whose instances mmengine finds by name."""
    yield parent
    for child in parent.__subclasses__():
        yield from managers(child)


@contextmanager
def torch_settings() -> Iterator[None]:
    """One thread, as in :func:`call`, and afterwards again what was set before."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with torch.backends.cudnn.flags():
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(strict)


def train(data: Path, work_dir: Path, iterations: int, *arguments: str) -> None:
    options = ['--cfg-options', *SLIM, f'train_cfg.max_iters={iterations}']
    command = ['train.py', CONFIG, '--work-dir', work_dir, *arguments, *options]
    result = run_inside(*command, SHAPES_ROOT=data)
    assert result.returncode == 0, result.stderr[-3000:]


def test(data: Path, checkpoint: Path, work_dir: Path, *arguments: object) -> dict:
    options = ['--cfg-options', *SLIM]
    command = ['test.py', CONFIG, checkpoint, '--work-dir', work_dir, *arguments, *options]
    result = run_inside(*command, SHAPES_ROOT=data)
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads((work_dir / 'metrics.json').read_text())


test.__test__ = False
