"""A file that is to be written: what stands in it, for whatever format."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from repnext_mm.export.tasks import ExportGraph
from repnext_mm.runtime.spec import FileSpec

INPUT = 'images'


class Job(NamedTuple):
    """A file to be written."""

    graph: ExportGraph
    """The module to trace."""

    images: Tensor
    """As the graph takes them: ``(N, H, W, 3)`` uint8 or ``(N, 3, H, W)`` float32. It is traced with
    them."""

    dynamic: bool
    """Whether height and width stay open, and the batch where the contract has no number."""

    opset: int
    """ONNX opset version."""

    half: bool
    """Whether weights are float16."""

    spec: FileSpec
    """The contract to write into the file."""

    @property
    def dynamic_batch(self) -> bool:
        """Whether the file takes any number of images."""
        return self.spec.input.batch is None

    @property
    def module(self) -> nn.Module:
        """The graph as torch's exporters want it."""
        return cast(nn.Module, self.graph)


def traced(job: Job) -> torch.jit.ScriptModule:
    """The graph as TorchScript, which converters take; torch deprecates it and warns of it."""
    with quiet('torch.jit'), torch.no_grad():
        return torch.jit.trace(job.module, (job.images,), check_trace=False)


@contextmanager
def quiet(*names: str) -> Iterator[None]:
    """No warnings at all, and only errors of some loggers.

    Args:
        names: Of loggers.
    """
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def silent(*names: str) -> Iterator[None]:
    """As :func:`quiet`, and nothing that Python code prints, such as progress."""
    with quiet(*names), contextlib.redirect_stdout(io.StringIO()):
        with contextlib.redirect_stderr(io.StringIO()):
            yield
