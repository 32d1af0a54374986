"""Writing files that are whole or not there."""

import errno
import hashlib
import json
import math
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

fcntl: Any
try:
    import fcntl
except ImportError:  # on Windows, whose drafts stay until somebody removes them
    fcntl = None

DRAFT = '.repnext-draft-'
"""The names of folders begin so in which files are written before they move to their places."""

UNSUPPORTED = (errno.EINVAL, errno.ENOTSUP)
"""What file systems answer that cannot be told to write something out."""


def check_place(path: str | Path) -> None:
    """Makes sure that there can be a file of this name, for what takes long to compute.

    Raises:
        IsADirectoryError: If it is a folder.
        NotADirectoryError: If what should be one of its folders is a file.
        FileExistsError: If it is a device, a pipe or the like, which would be replaced.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f'{path} is a folder: name a file, such as {path / "NAME"}')
    for folder in path.parents:
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(f'{path} cannot be written: {folder} is a file, no folder')
    if path.exists() and not path.is_file():
        raise FileExistsError(f'{path} is no file but a device or a pipe: name a file')


def check_new_folder(path: str | Path) -> None:
    """Makes sure that nothing is where a folder is to be written.

    Raises:
        FileExistsError: If something is.
    """
    if Path(path).exists():
        raise FileExistsError(f'{path} is there already: remove it, or name another folder')


@contextmanager
def replaced(path: str | Path) -> Iterator[Path]:
    """Gives a draft to write, which becomes ``path`` at the end if nothing was raised.

    The draft has the name of ``path`` and lies in a folder of its own. All that lies there at the
    end moves to the folder of ``path``, ``path`` last: so the files that it refers to are there
    before it. It has reached the disk then, and so have the names. A file that is replaced keeps
    its permissions, a link stays one to the file that is replaced. Makes the folder of ``path``.

    Raises:
        OSError: As :func:`check_place` does, or if the disk does not take it.
    """
    path = Path(path)
    check_place(path)
    target = _behind_links(path)
    for folder in (path.parent, target.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with draft_folder(target.parent) as folder:
        yield folder / path.name
        files = sorted(folder.iterdir(), key=lambda file: file.name == path.name)
        for file in files:
            _sync(file)
        _sync(folder)
        if not files or files[-1].name != path.name:
            raise FileNotFoundError(f'nothing was written for {path}')
        for file in files:
            _move(file, path.with_name(file.name))


def _behind_links(path: Path) -> Path:
    """The file that is written by this name."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _move(draft: Path, path: Path) -> None:
    """Gives a draft its name, on whatever file system that lies."""
    target = _behind_links(path)
    if target.exists():
        shutil.copymode(target, draft)
    try:
        draft.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with draft_folder(target.parent) as folder:
            copy = Path(shutil.copy(draft, folder))
            _sync(copy)
            copy.replace(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    """Waits until the disk has a file's content or a folder's names."""
    folder = path.is_dir()
    if folder and os.name == 'nt':
        return
    handle = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
    finally:
        os.close(handle)


@contextmanager
def draft_folder(parent: str | Path) -> Iterator[Path]:
    """Gives a new folder in another one, which is removed at the end with all that is in it.

    Its name is random and nobody else's, only this user may look into it, and it is locked as
    long as this process is there. SIGTERM and Ctrl-C remove it too.
    """
    owner = os.getpid()
    with ended_by_exceptions():
        folder, lock = _locked_folder(parent)
        try:
            yield folder
        finally:
            if os.getpid() == owner:  # not in a copy of the process
                shutil.rmtree(folder, ignore_errors=True)
            _unlock(lock)


@contextmanager
def replaced_folder(path: str | Path) -> Iterator[Path]:
    """Gives an empty folder to fill, which becomes ``path`` at the end if nothing was raised.

    Makes the folder that ``path`` lies in.

    Raises:
        FileExistsError: If there is something at ``path``, before or after it was filled.
    """
    path = Path(path)
    check_new_folder(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with draft_folder(path.parent) as drafts:
        folder = drafts / path.name
        folder.mkdir()
        yield folder
        try:
            folder.replace(path)
        except OSError as error:
            if not path.exists():
                raise
            raise FileExistsError(
                f'{path} was made by another process meanwhile, and stays: name another folder'
            ) from error


def remove_drafts(folder: str | Path) -> list[Path]:
    """Removes the drafts that killed processes left in a folder, and returns their paths.

    A draft whose process is there stays, as does what only has such a name, and every draft
    where the file system has no locks.
    """
    removed = []
    for draft in sorted(Path(folder).glob(f'{DRAFT}*')):
        if draft.is_symlink() or not draft.is_dir():
            continue
        lock = _lock(draft, wait=False)
        if lock is not None:
            with suppress(OSError):
                shutil.rmtree(draft)
                removed.append(draft)
            _unlock(lock)
    return removed


def _locked_folder(parent: str | Path) -> tuple[Path, int | None]:
    """A new folder with its lock, unless somebody takes it for left before it is locked."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=DRAFT, dir=parent))
        lock = _lock(folder, wait=True)
        if folder.exists():
            return folder, lock
        _unlock(lock)


def _lock(folder: Path, wait: bool) -> int | None:
    """Locks a folder until it is unlocked or the process ends; None if that is impossible."""
    if fcntl is None:
        return None
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(handle)
        return None
    return handle


def _unlock(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)


@contextmanager
def ended_by_exceptions() -> Iterator[None]:
    """SIGTERM ends this process by an exception, as Ctrl-C does, so that it cleans up.

    Nothing changes where somebody handles the signal, and outside of the main thread.
    """
    free = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if not free or threading.current_thread() is not threading.main_thread():
        yield
        return
    owner = os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        if os.getpid() == owner:
            raise SystemExit(128 + number)
        signal.signal(number, signal.SIG_DFL)  # a copy of the process, such as a loader's worker
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def write_text(path: str | Path, text: str) -> None:
    """Writes ``text`` to a draft, which becomes ``path``; makes its folder."""
    with replaced(path) as draft:
        draft.write_text(text, encoding='utf-8')


def write_bytes(path: str | Path, content: bytes) -> None:
    """Writes ``content`` to a draft, which becomes ``path``; makes its folder."""
    with replaced(path) as draft:
        draft.write_bytes(content)


def to_json(content: object, indent: int | None = 2) -> str:
    """Writes JSON that every reader takes: NaN and infinity, which JSON lacks, become ``null``.

    Args:
        content: Nested dicts, lists and values; tensors, arrays and NumPy's numbers too.
        indent: Spaces for each level; None for one line.
    """
    return json.dumps(_finite(content), indent=indent, allow_nan=False)


def _finite(content: object) -> object:
    """The same in JSON's types."""
    if isinstance(content, dict):
        return {str(key): _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    if content is None or type(content) in (bool, int, float, str):
        return content
    plain = to_plain(content)
    return plain if isinstance(plain, str) else _finite(plain)


def file_digest(path: str | Path) -> str:
    """The SHA-256 of a file's content, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with Path(path).open('rb') as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def to_plain(value: object) -> object:
    """Converts tensors, arrays and NumPy's numbers, which JSON lacks, to lists and numbers.

    For ``json.dumps(..., default=to_plain)``; anything else becomes its ``str``.
    """
    return value.tolist() if hasattr(value, 'tolist') else str(value)
