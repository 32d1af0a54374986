"""One training or experiment at a time in a work dir: a lock that ends with its owner."""

import json
import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout
from mmengine.logging import print_log

from repnext_mm.files import ended_by_exceptions, write_text
from repnext_mm.launch.processes import is_first_process

LOCK = '.repnext-lock'
OWNER = '.repnext-owner.json'
"""Names of files in a work dir that is in use: what is locked, and whose it is."""

SECONDS_TO_LEAVE = 0.2
"""Seconds in which an owner that is just ending may leave."""


class FolderInUseError(RuntimeError):
    """Another training or experiment works in the folder."""


@contextmanager
def sole_use(folder: str | Path, launcher: str = 'none') -> Iterator[None]:
    """Keeps other trainings and experiments out of a work dir until the block ends.

    The lock is the system's: one whose owner is dead does not hold. The first process of a
    distributed training has it for all of them. Nothing is left behind, after Ctrl-C and, where
    there is one process, SIGTERM neither; several processes are left to their launcher, whose
    signals end them at once. Where the file system has no locks, a warning says so.

    Args:
        folder: The work dir, which is made; if nothing was written into it, it goes again.
        launcher: What has started the processes, one of ``LAUNCHED_RANKS``; ``'none'`` if nothing has.

    Raises:
        FolderInUseError: If somebody else has it; the message says who.
    """
    if not is_first_process(launcher):
        yield
        return
    folder, process = Path(folder), os.getpid()
    with ended_by_exceptions() if launcher == 'none' else nullcontext():
        made = [path for path in (folder, *folder.parents) if not path.exists()]
        lock, owner = FileLock(folder / LOCK), _this_process()
        try:
            _take(folder, lock, owner)
            yield
        finally:
            if lock.is_locked and os.getpid() == process:  # not in a copy of the process
                _leave(folder, owner)
                lock.release()
            for path in made:
                with suppress(OSError):  # something was written into it
                    path.rmdir()


def _take(folder: Path, lock: BaseFileLock, owner: str) -> None:
    """Locks a folder and writes down whose it is; a warning where there are no locks."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=SECONDS_TO_LEAVE)
        write_text(folder / OWNER, owner)
    except Timeout:
        raise FolderInUseError(
            f'{folder} is in use by {_owner(folder)}. Wait until it has ended, or name another work '
            'dir'
        ) from None
    except (OSError, NotImplementedError) as error:
        print_log(
            f'{folder} cannot be locked ({error}): nothing keeps another training out of it',
            logger='current',
            level=logging.WARNING,
        )


def _leave(folder: Path, owner: str) -> None:
    """Removes the files of the lock, unless the folder was made anew and is somebody else's."""
    with suppress(OSError):
        path = folder / OWNER
        if path.is_file() and path.read_text(encoding='utf-8') != owner:
            return
        path.unlink(missing_ok=True)
        (folder / LOCK).unlink()  # on Windows, releasing does it


def _this_process() -> str:
    """What others are told of this process, as JSON."""
    start = datetime.now().astimezone().isoformat(sep=' ', timespec='seconds')
    return json.dumps(dict(process=os.getpid(), host=platform.node(), start=start))


def _owner(folder: Path) -> str:
    """Who has locked a folder, in words."""
    try:
        found = json.loads((folder / OWNER).read_text(encoding='utf-8'))
        return f'process {found["process"]} on {found["host"]}, since {found["start"]}'
    except (OSError, ValueError, LookupError, TypeError):
        return 'another process'
