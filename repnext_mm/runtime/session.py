"""The base of all sessions: an exported file that is opened in a runtime."""

import ctypes
import os
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from repnext_mm.runtime.source import ModelSource, model_source
from repnext_mm.runtime.spec import KEY, FileSpec


class Session(ABC):
    """An exported file, ready to run, for any number of threads at a time.

    A copy (by ``pickle`` or ``copy``) opens the file again, in the process where it arrives, from
    the same path or bytes and with the same options. So does a process that was forked, at its
    first run, where the runtime allows that: the threads of a runtime stay behind in a fork.

    Args:
        source: The file.
        **options: Of the runtime.

    Attributes:
        source: The file.
        spec: The contract that the exporter wrote into the file.
        output_names: Names of the outputs, in order.
    """

    can_run_code: ClassVar[bool] = False
    """Whether opening a file can run code from it, so that it must be trusted."""

    native: ClassVar[tuple[str, ...]] = ()
    """Attributes with what the runtime made, which waits for its threads when it is freed."""

    spec: FileSpec
    output_names: Sequence[str]

    def __init__(self, source: ModelSource | Path, **options: Any):
        self.source = source if isinstance(source, ModelSource) else model_source(source)
        self.options = options
        self.open()
        self.process = os.getpid()
        _open_sessions.add(self)

    @property
    def path(self) -> Path | None:
        """The file; None for one that was given as bytes."""
        return self.source.path

    @property
    def metadata(self) -> dict[str, Any]:
        """The contract as the plain values that stand in the file."""
        return self.spec.to_json()

    @abstractmethod
    def open(self) -> None:
        """Opens :attr:`source` with :attr:`options`, and sets the other attributes.

        Raises:
            ImportError: If the runtime is not installed.
            ValueError: If it cannot open the file, or that is none of this exporter.
        """

    def wake(self) -> None:
        """Makes ready for runs in a process that was forked after :meth:`open`.

        Raises:
            RuntimeError: If that is impossible; the message says what to do.
        """
        self.open()

    @abstractmethod
    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Runs a batch as the file takes it (:class:`InputSpec`); the outputs by name."""

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Checks the input and runs it.

        Raises:
            ValueError: If it is not what the file takes; the message says what is.
            RuntimeError: If this process was forked and the runtime cannot go on in it.
        """
        static, batch = self.spec.input.static_shape, self.spec.input.batch
        fits = (
            images.ndim == 4
            and images.dtype == np.uint8
            and images.shape[3] == 3
            and min(images.shape) > 0
            and (batch is None or images.shape[0] == batch)
            and (static is None or images.shape[1:3] == static)
        )
        if not fits:
            height, width = static or ('H', 'W')
            raise ValueError(
                f'this file takes uint8 RGB images of shape ({batch or "N"}, {height}, {width}, 3), '
                f'got {images.dtype} of shape {images.shape}'
            )
        if self.process != os.getpid():
            self.wake()
            self.process = os.getpid()
        return self.run(self.spec.input.arrange(images))

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened, (type(self), self.source, self.options)


_open_sessions: weakref.WeakSet[Session] = weakref.WeakSet()
"""All of this process."""


def _leave_threads_behind() -> None:
    """Keeps what runtimes have made for ever, in a process that was just forked.

    To free it would mean to wait for threads that are not there.
    """
    for session in list(_open_sessions):
        for name in session.native:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(getattr(session, name)))


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_leave_threads_behind)


def _opened(kind: type[Session], source: ModelSource, options: dict[str, Any]) -> Session:
    """A session in the process where a pickle arrives."""
    if source.path is not None and not source.place.exists():
        raise FileNotFoundError(
            f'this reader was opened from {source.place}, which is not there (any more): a copy '
            'opens the file again. Keep the file, or open readers from its bytes'
        )
    return kind(source, **options)


def read_spec(entries: Mapping[str, Any], name: object) -> FileSpec:
    """The exporter's entry among the metadata of a file.

    Args:
        entries: Texts (or bytes) by name.
        name: Of the file, for the error messages.

    Raises:
        ValueError: If it is missing, damaged, or of a newer version.
    """
    text = entries.get(KEY)
    if not text:
        raise ValueError(
            f'{name} has no metadata {KEY!r}, so it was not written by tools/export.py: '
            'export the model with it'
        )
    try:
        return FileSpec.from_text(text)
    except ValueError as error:
        raise ValueError(f'{name} cannot be read: {error}') from error


@contextmanager
def named_errors(name: object) -> Iterator[None]:
    """Names the file in what a runtime raises, each in its own classes."""
    try:
        yield
    except Exception as error:
        raise ValueError(f'{name} cannot be opened: {error}') from error
