"""A tool in a process of its own, and what befalls it there.

Processes are copies of this one, which has the imports behind it.
"""

import os
import random
import resource
import runpy
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

from commands import TOOLS, as_new_process

from repnext_mm.experiments import running

Strike = Callable[[int, Path], None]
"""Does its damage to a process, by number, or to its folder of results."""

LIMITS = (1, 100, 1_000, 10_000, 30_000, 100_000, 300_000)
"""Bytes that a file may have where the disk is full."""


class Process:
    """A running tool.

    Args:
        tool: File name, such as ``'train.py'``.
        arguments: Of its command line.
        output: File for what it prints.
        limit: Bytes that a file may have; None for any number.
        environment: Variables besides those of this process.
    """

    def __init__(
        self,
        tool: str,
        arguments: list[str],
        output: Path,
        limit: int | None = None,
        **environment: object,
    ):
        self.output, self.begin = output, time.monotonic()
        output.touch()  # a process that is killed at once has not opened it
        sys.stdout.flush()
        self.number = os.fork()
        if self.number == 0:
            status = 1
            try:
                status = self._inside(tool, arguments, limit, environment)
            except KeyboardInterrupt:  # before the tool has begun
                status = 130
            finally:  # nothing that this process has to clean up is the copy's
                os._exit(status)

    def _inside(
        self, tool: str, arguments: list[str], limit: int | None, environment: dict[str, object]
    ) -> int:
        """Runs the tool in the copy, and returns the exit status."""
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        file = os.open(self.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(file, stream)
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        return run_script(tool, arguments, environment)

    def runs(self) -> bool:
        """Whether it has not ended yet; takes no note of the end."""
        return os.waitid(os.P_PID, self.number, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None

    def strike_after(self, seconds: float, strike: Strike, folder: Path) -> None:
        """Lets a fault happen after so many seconds, if it still runs then."""
        end = self.begin + seconds
        while time.monotonic() < end and self.runs():
            time.sleep(0.005)
        if self.runs():
            strike(self.number, folder)

    def wait(self, patience: float = 300) -> int:
        """The exit status, negative for a signal; what hangs is killed."""
        end = time.monotonic() + patience
        while self.runs() and time.monotonic() < end:
            time.sleep(0.02)
        hangs = self.runs()
        with suppress(ProcessLookupError):  # it was killed before it had a group
            os.killpg(self.number, signal.SIGKILL)  # its loaders' workers, too
        _, ending = os.waitpid(self.number, 0)
        assert not hangs, f'it hangs: {self.output.read_text()[-2000:]}'
        return os.waitstatus_to_exitcode(ending)


def run_script(tool: str, arguments: list[str], environment: Mapping[str, object]) -> int:
    """Runs a tool in this process as Python does with a script, and returns the exit status."""
    status: object = 0
    try:
        with as_new_process([tool, *arguments], **environment), children_as_copies():
            runpy.run_path(str(TOOLS / tool), run_name='__main__')
    except SystemExit as stop:
        status = stop.code or 0
    except BaseException:
        traceback.print_exc()
        status = 1
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        status = 1
    return status if isinstance(status, int) else 1


@contextmanager
def children_as_copies() -> Iterator[None]:
    """Tools that this process starts are copies of it, too, which have the imports behind them."""
    start = subprocess.run

    def run(command: Sequence[str], **given: Any) -> subprocess.CompletedProcess:
        if command[0] != sys.executable or Path(command[1]).parent != TOOLS:
            return start(command, **given)
        status = run_copy(command[1:], given.get('env') or {})
        return subprocess.CompletedProcess(command, status)

    def run_logged(command: Sequence[str], log: Path, say: object) -> int:
        log.parent.mkdir(parents=True, exist_ok=True)
        return run_copy(command[2:], {}, log)

    with patch('subprocess.run', run), patch.object(running, 'run_logged', run_logged):
        yield


def run_copy(
    command: Sequence[str], environment: Mapping[str, str], log: Path | None = None
) -> int:
    """Runs a tool of this repository in a copy of this process, and returns its exit status."""
    sys.stdout.flush()
    number = os.fork()
    if number == 0:
        status = 1
        try:
            if log is not None:
                file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                for stream in (1, 2):
                    os.dup2(file, stream)
            status = run_script(Path(command[0]).name, list(command[1:]), environment)
        except KeyboardInterrupt:
            status = 130
        finally:
            os._exit(status)
    _, ending = os.waitpid(number, 0)
    return os.waitstatus_to_exitcode(ending)


def by_signal(number: signal.Signals) -> Strike:
    return lambda process, folder: os.kill(process, number)


def remove_folder(process: int, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


STRIKES: dict[str, Strike] = {
    'kill': by_signal(signal.SIGKILL),
    'term': by_signal(signal.SIGTERM),
    'ctrl-c': by_signal(signal.SIGINT),
    'removed': remove_folder,
}


def make_hole(path: Path, size: int = 4096) -> None:
    """Overwrites a part in the middle of a file by zeros, as a damaged disk does."""
    content = bytearray(path.read_bytes())
    size = min(size, len(content) // 4)
    start = random.randrange(len(content) // 8, len(content) - size - len(content) // 8)
    content[start : start + size] = bytes(size)
    path.write_bytes(content)
