"""One model in every file format whose packages are installed: size, difference from torch, and speed."""

import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from torch import Tensor, nn

from repnext_mm.export.exporter import Report, export_model
from repnext_mm.export.formats import FORMATS
from repnext_mm.export.options import ExportOptions
from repnext_mm.export.preparation import prepare
from repnext_mm.runtime import SESSIONS, open_session
from repnext_mm.timing import Timing, take_turns

PRECISIONS = ('float32', 'float16')
MODEL_ROW = 'torch'
"""The name of the row of the model itself, to which the speeds refer."""


@dataclass(frozen=True)
class FileKind:
    """A format in a precision."""

    format: str
    precision: str

    @property
    def name(self) -> str:
        """Such as ``'ncnn, float16'``."""
        return f'{self.format}, {self.precision}'


@dataclass(frozen=True)
class FileResult:
    """What became of an export."""

    kind: FileKind
    report: Report | None = None
    failure: str = ''
    """Why there is no file."""

    timing: Timing | None = None

    def row(self) -> dict[str, object]:
        """A row of the table; the milliseconds are the median, and the 5th to 95th percentile."""
        kind, report = self.kind, self.report
        row: dict[str, object] = dict(
            format=kind.format, precision=kind.precision, runtime='', MB='', difference=''
        )
        if report is not None:
            row |= dict(
                runtime=default_runtime(kind.format),
                MB=f'{report.size / 1e6:.2f}',
                difference=largest_differences(report),
            )
        speed = spread = ''
        if timing := self.timing:
            speed = f'{timing.ratio:.2f}'
            spread = (
                f'{1e3 * timing.median:.1f} ({1e3 * timing.fast:.1f} to {1e3 * timing.slow:.1f})'
            )
        return row | dict(speed=speed, ms=spread, note=self.failure)

    def to_json(self) -> dict[str, object]:
        """Plain values, unrounded."""
        timing = self.timing
        comparisons = self.report.comparisons if self.report else ()
        return dict(
            format=self.kind.format,
            precision=self.kind.precision,
            bytes=self.report.size if self.report else None,
            differences=[dict(row.differences) for row in comparisons],
            seconds=timing.median if timing else None,
            spread=(timing.fast, timing.slow) if timing else None,
            speed=timing.ratio if timing else None,
            failure=self.failure or None,
        )


def default_runtime(format_name: str) -> str:
    """The name of the runtime in which files of a format are read."""
    return next(iter(SESSIONS[FORMATS[format_name].suffix]))


def largest_differences(report: Report) -> str:
    """The largest differences from torch over all images, by name."""
    largest: dict[str, float] = {}
    for row in report.comparisons:
        for name, value in row.differences.items():
            largest[name] = max(largest.get(name, 0.0), value)
    return ', '.join(f'{name} {value:.1e}' for name, value in largest.items())


def compare_formats(
    model: nn.Module,
    cfg: Config,
    kinds: Sequence[FileKind],
    options: ExportOptions,
    folder: Path,
    rounds: int,
) -> list[FileResult]:
    """Exports a model to each kind, and times the files and the merged model in turn.

    Every file takes one image of one size, so that they do the same. They are read by the first
    runtime of their kind, with its defaults.

    Args:
        model: As for :func:`repnext_mm.export.exporter.export_model`.
        cfg: The model's config.
        kinds: What to write.
        options: Form, part and size; the rest follows from the kind.
        folder: Where the files stay.
        rounds: Timed rounds.

    Returns:
        A result for each kind, in order; one that cannot be written says why.
    """
    ready = prepare(model, cfg, replace(options, static=True))
    image, graph = ready.images[0][None], ready.job.module
    results = [_exported(model, cfg, kind, options, folder) for kind in kinds]
    runs: dict[str, Callable[[], object]] = {
        MODEL_ROW: partial(_run, graph, torch.from_numpy(image))
    }
    for result in results:
        if result.report is not None:
            session = open_session(result.report.path, trust=True)  # just written
            runs[result.kind.name] = partial(session, image)
    timings = take_turns(runs, rounds)
    return [replace(result, timing=timings.get(result.kind.name)) for result in results]


@torch.inference_mode()
def _run(graph: nn.Module, images: Tensor) -> object:
    return graph(images)


def _exported(
    model: nn.Module, cfg: Config, kind: FileKind, options: ExportOptions, folder: Path
) -> FileResult:
    path = folder / f'{kind.format}_{kind.precision}{FORMATS[kind.format].suffix}'
    half = kind.precision == 'float16'
    if path.is_dir():
        shutil.rmtree(path)  # of an earlier run
    asked = replace(options, format=kind.format, half=half, static=True)
    try:
        return FileResult(kind, export_model(model, path, cfg, asked))
    except (ImportError, ValueError) as error:
        print_log(f'{kind.name}: {error}', 'current', logging.WARNING)
        return FileResult(kind, failure=str(error))
