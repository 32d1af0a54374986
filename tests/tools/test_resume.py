"""Training is killed, resumed, and ends with the weights of one that was left alone."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import CONFIG, ROOT, SLIM, TOOLS, run_inside
from interrupted import differences, read

from repnext_mm.files import DRAFT

pytestmark = pytest.mark.distribution

LAST = 'iter_8.pth'
OPTIONS = (
    '--cfg-options',
    *SLIM,
    'randomness.seed=0',
    'randomness.deterministic=True',
    'model.backbone.drop_path_rate=0.3',
    'train_cfg.max_iters=8',
    'default_hooks.checkpoint.interval=2',
    'train_dataloader.num_workers=2',
    'train_dataloader.persistent_workers=True',
)

# Writes half of a file and kills its process.
KILLER = """
import os, signal
from pathlib import Path
from mmengine.fileio import LocalBackend

whole = LocalBackend.put

def put(self, content, path):
    if 'iter_4.pth' not in Path(path).name:
        return whole(self, content, path)
    whole(self, content[:len(content) // 2], path)
    os.kill(os.getpid(), signal.SIGKILL)

LocalBackend.put = put
"""


@contextmanager
def training(data: Path, folder: Path, config: Path = CONFIG) -> Iterator[subprocess.Popen]:
    """A running ``tools/train.py``, of which nothing is left at the end."""
    command = [sys.executable, TOOLS / 'train.py', config, '--work-dir', folder / 'run', *OPTIONS]
    places = f'{folder}{os.pathsep}{ROOT}'
    environment = dict(SHAPES_ROOT=str(data), OMP_NUM_THREADS='1', PYTHONPATH=places)
    # Not pipes: the data loader's workers outlive a process that is killed, and hold them open.
    with (folder / 'output').open('w') as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            env=os.environ | environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            # Before it is waited for, so that its number cannot be that of others already.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert process.returncode == -signal.SIGKILL, (folder / 'output').read_text()[-3000:]


def has_ended(process: subprocess.Popen, wait: bool = False) -> bool:
    """Whether a process has ended, without taking note of it, as ``poll`` and ``wait`` do."""
    options = os.WEXITED | os.WNOWAIT | (0 if wait else os.WNOHANG)
    return os.waitid(os.P_PID, process.pid, options) is not None


def resume(data: Path, work_dir: Path) -> str:
    command = ['train.py', CONFIG, '--work-dir', work_dir, '--resume', *OPTIONS]
    result = run_inside(*command, data=data, workers=True)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout + result.stderr


@pytest.fixture(scope='module')
def whole(data, tmp_path_factory) -> dict:
    """The last checkpoint of an uninterrupted run, which asks to be resumed as all do."""
    work_dir = tmp_path_factory.mktemp('whole')
    output = resume(data, work_dir)
    assert 'training starts from the beginning' in output
    assert 'train_dataloader.persistent_workers is set to False' in output
    return read(work_dir / LAST)


def test_killed_in_training(data, whole, tmp_path):
    work_dir = tmp_path / 'run'
    with training(data, tmp_path) as process:
        while not has_ended(process) and not (work_dir / 'last_checkpoint').exists():
            time.sleep(0.01)
    assert not (work_dir / LAST).exists()
    assert f'Resuming from {work_dir}/iter_' in resume(data, work_dir)
    assert differences(read(work_dir / LAST), whole) == []


def test_killed_while_it_writes_a_checkpoint(data, whole, tmp_path):
    (tmp_path / 'killer.py').write_text(KILLER)
    config = tmp_path / 'config.py'
    imports = "custom_imports = dict(imports=['repnext_mm', 'killer'])"
    config.write_text(f"_base_ = '{CONFIG}'\n{imports}\n")
    work_dir = tmp_path / 'run'
    with training(data, tmp_path, config) as process:
        has_ended(process, wait=True)
    assert [path.name for path in work_dir.glob('*.pth')] == ['iter_2.pth']
    assert len(list(work_dir.glob(f'{DRAFT}*/iter_4.pth'))) == 1
    output = resume(data, work_dir)
    assert f'Resuming from {work_dir}/iter_2.pth' in output
    assert 'which a killed process left' in output
    assert not list(work_dir.glob('.*'))
    assert differences(read(work_dir / LAST), whole) == []
