"""Runtimes that take less than ONNX allows: what each does not take of a file, and why.

A target is a row of :data:`TARGETS`: a function that looks into a file, and the runtime in which
the exporter proves it, where there is one here.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from repnext_mm.export.targets.obstacles import Obstacle, by_reason
from repnext_mm.export.targets.opencv import check_for_opencv
from repnext_mm.export.targets.tensorrt import check_for_tensorrt
from repnext_mm.export.targets.tensorrt_parser import parse_with_tensorrt

__all__ = ['TARGETS', 'Obstacle', 'TargetRuntime', 'by_reason', 'check_for', 'require_taken']


class TargetRuntime(NamedTuple):
    """A runtime of ONNX files for one size of images."""

    check: Callable[[Path], list[Obstacle]]
    """Says what it does not take of a file."""

    runtime: str | None = None
    """In which the exporter compares the file with the model, besides ONNX Runtime."""


TARGETS = {
    'tensorrt': TargetRuntime(lambda path: [*check_for_tensorrt(path), *parse_with_tensorrt(path)]),
    'opencv': TargetRuntime(check_for_opencv, 'opencv'),
}
"""By name."""


def check_for(target: str, path: str | Path) -> list[Obstacle]:
    """Says what a target does not take of an ONNX file; nothing where nothing was found.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If a package is missing.
        ValueError: If the target is unknown, or it is no ONNX file.
    """
    if target not in TARGETS:
        raise ValueError(f'unknown target {target!r}: choose from {tuple(TARGETS)}')
    path = Path(path)
    if path.suffix != '.onnx':
        raise ValueError(f'{target} reads ONNX files, got {path}: export to model.onnx')
    if not path.is_file():
        raise FileNotFoundError(f'there is no file {path}: tools/export.py writes such files')
    return TARGETS[target].check(path)


def require_taken(target: str, path: Path) -> None:
    """Makes sure that a target takes an ONNX file.

    Raises:
        ValueError: If it does not; the message has a part for each reason.
    """
    if findings := check_for(target, path):
        raise ValueError(f'{target} does not take this graph: {" | ".join(by_reason(findings))}')
