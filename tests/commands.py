"""The command-line tools as a user runs them, on slim networks."""

import gc
import io
import json
import os
import runpy
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from unittest.mock import patch

import torch
from mmengine.logging import MMLogger
from mmengine.utils import ManagerMixin
from torch.utils.data import DataLoader

from repnext_mm.compat import trust_mmengine_checkpoints
from repnext_mm.evaluation.benchmark import machine

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
    defaults = dict(SHAPES_ROOT=str(data), OMP_NUM_THREADS='1', PYTHON=sys.executable)
    return subprocess.run(
        [str(part) for part in command],
        env=os.environ | defaults | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def run_inside(
    name: str,
    *arguments: object,
    data: Path | None = None,
    workers: bool = False,
    **environment: object,
) -> subprocess.CompletedProcess:
    """A tool in this process, which saves it the seconds that imports take.

    Loaders have the workers of the config only with ``workers``.
    """
    command = [name, *map(str, arguments)]
    variables = dict(SHAPES_ROOT=data) | environment
    output, errors = io.StringIO(), io.StringIO()
    code, failure = 0, ''
    with (
        as_new_process(command, workers, **variables),
        redirect_stdout(output),
        redirect_stderr(errors),
    ):
        try:
            runpy.run_path(str(TOOLS / name), run_name='__main__')
        except SystemExit as stop:
            code = stop.code or 0
        except Exception:
            code, failure = 1, traceback.format_exc()
            errors.write(failure)
    print(failure, end='', file=sys.stderr)  # pytest shows it if the test fails
    return subprocess.CompletedProcess(command, code, output.getvalue(), errors.getvalue())


@contextmanager
def as_new_process(
    command: list[str], workers: bool = False, **environment: object
) -> Iterator[None]:
    """A script finds what a new process with one thread has, and leaves nothing behind."""
    variables = {name: str(value) for name, value in environment.items()}
    with (
        patch.dict(os.environ, variables),
        patch.multiple(sys, argv=command, path=[*sys.path]),
        fresh_managers(),
        torch_settings(),
        quick_runners(workers),
        # Twenty products of large matrices take seconds, and say nothing of a busy machine.
        patch.object(machine, 'matrix_rate', partial(machine.matrix_rate, side=128)),
    ):
        yield


@contextmanager
def fresh_managers() -> Iterator[None]:
    """No logger, visualizer, message hub or scope that others made under the same name."""
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
    """The classes whose instances mmengine finds by name."""
    yield parent
    for child in parent.__subclasses__():
        yield from managers(child)


@contextmanager
def torch_settings() -> Iterator[None]:
    """What runners set in torch; and the trust that onedl-mmengine takes away after a load."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    cudnn = torch.backends.cudnn
    flags = cudnn.benchmark, cudnn.deterministic
    torch.set_num_threads(1)
    trust_mmengine_checkpoints()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)
        cudnn.benchmark, cudnn.deterministic = flags
        trust_mmengine_checkpoints()


@contextmanager
def quick_runners(workers: bool = False) -> Iterator[None]:
    """Runners without what takes most of the time in a short run, and no test looks at.

    A runner formats the text of its config five times, its data sets collect the garbage of the
    whole process, and workers that a loader still has when it is garbage take five seconds each:
    loaders have none, whatever the config says. What is frozen stays so, as in conftest.py.
    """
    names = ('yapf.yapflib.yapf_api.FormatCode', 'mmengine.config.config.FormatCode')
    unformatted = [patch(name, lambda text, **options: (text, True), create=True) for name in names]
    start = DataLoader.__init__
    alone = {} if workers else dict(num_workers=0, persistent_workers=False)
    workerless = patch.object(DataLoader, '__init__', lambda *a, **k: start(*a, **(k | alone)))
    gc.collect()
    gc.freeze()
    with unformatted[0], unformatted[1], workerless:
        yield


def train(data: Path, work_dir: Path, iterations: int, *arguments: str) -> None:
    options = ['--cfg-options', *SLIM, f'train_cfg.max_iters={iterations}']
    command = ['train.py', CONFIG, '--work-dir', work_dir, *arguments, *options]
    result = run_inside(*command, data=data)
    assert result.returncode == 0, result.stderr[-3000:]


def test(data: Path, checkpoint: Path, work_dir: Path, *arguments: object) -> dict:
    options = ['--cfg-options', *SLIM]
    command = ['test.py', CONFIG, checkpoint, '--work-dir', work_dir, *arguments, *options]
    result = run_inside(*command, data=data)
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads((work_dir / 'metrics.json').read_text())


test.__test__ = False
