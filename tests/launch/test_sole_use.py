"""Two trainings or experiments never work in one folder, and no lock outlives its owner."""

import errno
import os
import platform
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from commands import CONFIG, ROOT, run_inside
from filelock import FileLock

from repnext_mm.launch import sole_use as module
from repnext_mm.launch.sole_use import LOCK, OWNER, FolderInUseError, sole_use

pytestmark = pytest.mark.skipif(not hasattr(os, 'fork'), reason='copies of this process')

EXPERIMENT = ROOT / 'configs' / 'experiments' / 'cifar10.py'


def hold(folder: Path) -> None:
    """Keeps a folder until a signal comes."""
    with sole_use(folder):
        time.sleep(60)


def in_copy(work: Callable[[Path], None], folder: Path) -> int:
    """Starts a copy of this process, as one that Python starts anew; returns its number."""
    number = os.fork()
    if number:
        return number
    status = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        work(folder)
        status = 0
    except SystemExit as stop:
        status = stop.code
    except KeyboardInterrupt:
        status = 130
    finally:
        os._exit(status)


@pytest.fixture
def owner(tmp_path):
    """The number of a process that holds ``tmp_path / 'work'``."""
    number = in_copy(hold, tmp_path / 'work')
    end = time.monotonic() + 20
    while not (tmp_path / 'work' / OWNER).is_file() and time.monotonic() < end:
        time.sleep(0.01)
    yield number
    with suppress(ProcessLookupError, ChildProcessError):
        os.kill(number, signal.SIGKILL)
        os.waitpid(number, 0)


def test_the_second_is_refused_with_word_of_the_first_until_that_is_dead(owner, tmp_path):
    work = tmp_path / 'work'
    said = (
        rf'{work} is in use by process {owner} on {platform.node()}, since 2\d+-.*another work dir'
    )
    with pytest.raises(FolderInUseError, match=said), sole_use(work):
        pass
    os.kill(owner, signal.SIGKILL)
    os.waitpid(owner, 0)
    assert (work / OWNER).is_file()
    with sole_use(work):
        assert f'"process": {os.getpid()}' in (work / OWNER).read_text()
    assert list(work.iterdir()) == []


@pytest.mark.parametrize(('number', 'status'), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_leave_nothing(owner, tmp_path, number, status):
    os.kill(owner, number)
    assert os.waitstatus_to_exitcode(os.waitpid(owner, 0)[1]) == status
    assert list(tmp_path.iterdir()) == []


def test_errors_leave_nothing_but_what_was_written(tmp_path):
    work = tmp_path / 'some' / 'work'
    with pytest.raises(ZeroDivisionError), sole_use(work):
        assert sorted(path.name for path in work.iterdir()) == [LOCK, OWNER]
        (work / 'found').touch()
        raise ZeroDivisionError
    assert [path.name for path in work.iterdir()] == ['found']


def test_a_copy_of_the_owner_neither_holds_nor_frees(tmp_path):
    with sole_use(tmp_path):
        number = in_copy(lambda folder: sys.exit(7), tmp_path)
        assert os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]) == 7
        assert (tmp_path / LOCK).is_file()
        number = in_copy(lambda folder: time.sleep(60), tmp_path)
    with sole_use(tmp_path):
        os.kill(number, signal.SIGKILL)
        os.waitpid(number, 0)


@pytest.mark.parametrize(
    ('launcher', 'variable'),
    [('pytorch', 'RANK'), ('slurm', 'SLURM_PROCID'), ('mpi', 'OMPI_COMM_WORLD_RANK')],
)
def test_processes_of_one_training_are_one_owner(launcher, variable, tmp_path, monkeypatch):
    monkeypatch.setenv(variable, '0')
    with sole_use(tmp_path, launcher):
        monkeypatch.setenv(variable, '1')
        with sole_use(tmp_path, launcher):
            pass
        with pytest.raises(FolderInUseError), sole_use(tmp_path):  # without a launcher: its own
            pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    'error', [OSError(errno.ENOLCK, 'No locks available'), NotImplementedError('no flock')]
)
def test_a_file_system_without_locks_is_a_warning(error, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise error

    said = []
    monkeypatch.setattr(FileLock, 'acquire', refuse)
    monkeypatch.setattr(module, 'print_log', lambda text, **_: said.append(text))
    with sole_use(tmp_path / 'work'):
        pass
    assert len(said) == 1 and f'{tmp_path / "work"} cannot be locked ({error})' in said[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(hasattr(os, 'geteuid') and os.geteuid() == 0, reason='root writes anywhere')
def test_a_read_only_folder_is_a_warning(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(module, 'print_log', lambda text, **_: said.append(text))
    tmp_path.chmod(0o555)
    with sole_use(tmp_path):
        pass
    tmp_path.chmod(0o755)
    assert len(said) == 1 and 'cannot be locked' in said[0]


def test_a_folder_that_was_made_anew_stays_its_new_owners(tmp_path):
    work = tmp_path / 'work'
    with sole_use(work):
        shutil.rmtree(work)
        work.mkdir()
        for name in (LOCK, OWNER):
            (work / name).write_text('another')
    assert sorted(path.name for path in work.iterdir()) == [LOCK, OWNER]


@pytest.mark.parametrize(
    'command',
    [('train.py', CONFIG), ('experiment.py', EXPERIMENT), ('run.py', CONFIG), ('demo.py',)],
    ids=lambda command: command[0],
)
def test_tools_end_at_once_and_write_nothing(command, tmp_path):
    with sole_use(tmp_path):
        result = run_inside(*command, '--work-dir', tmp_path)
        assert result.returncode == 1 and 'Traceback' not in result.stderr
        assert f'FolderInUseError: {tmp_path} is in use by process' in result.stderr
        assert sorted(path.name for path in tmp_path.iterdir()) == [LOCK, OWNER]
