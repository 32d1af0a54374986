"""One model in every file format that is installed: size, difference from torch, and speed."""

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
TORCH = 'torch'
"""The name of the row of the model itself, to which the speeds refer."""


@dataclass(frozen=True)
class Target:
    """A format in a precision."""

    format: str
    precision: str

    @property
    def name(self) -> str:
        """Such as ``'ncnn, float16'``."""
        return f'{self.format}, {self.precision}'


@dataclass(frozen=True)
class TargetResult:
    """What became of a target."""

    target: Target
    report: Report | None = None
    failure: str = ''
    """Why there is no file."""

    timing: Timing | None = None

    def row(self) -> dict[str, object]:
        """A row of the table."""
        target, report = self.target, self.report
        row: dict[str, object] = dict(
            format=target.format, precision=target.precision, runtime='', MB='', difference=''
        )
        if report is not None:
            row |= dict(
                runtime=default_runtime(target.format),
                MB=f'{report.size / 1e6:.2f}',
                difference=difference_text(report),
            )
        speed = f'{self.timing.ratio:.2f}' if self.timing else ''
        return row | dict(speed=speed, note=self.failure)

    def to_json(self) -> dict[str, object]:
        """Plain values, unrounded."""
        timing = self.timing
        comparisons = self.report.comparisons if self.report else ()
        return dict(
            format=self.target.format,
            precision=self.target.precision,
            bytes=self.report.size if self.report else None,
            differences=[dict(row.differences) for row in comparisons],
            seconds=timing.median if timing else None,
            speed=timing.ratio if timing else None,
            failure=self.failure or None,
        )


def default_runtime(format_name: str) -> str:
    """The name of the runtime in which files of a format are read."""
    return next(iter(SESSIONS[FORMATS[format_name].suffix]))


def difference_text(report: Report) -> str:
    """The largest differences from torch over all images, by name."""
    largest: dict[str, float] = {}
    for row in report.comparisons:
        for name, value in row.differences.items():
            largest[name] = max(largest.get(name, 0.0), value)
    return ', '.join(f'{name} {value:.1e}' for name, value in largest.items())


def compare_targets(
    model: nn.Module,
    cfg: Config,
    targets: Sequence[Target],
    options: ExportOptions,
    folder: Path,
    rounds: int,
) -> list[TargetResult]:
    """Exports a model to each target, and times the files and the merged model in turn.

    Every file takes one image of one size, so that they do the same. They are read by the first
    runtime of their kind, with its defaults.

    Args:
        model: As for :func:`repnext_mm.export.exporter.export_model`.
        cfg: The model's config.
        targets: What to write.
        options: Form, part and size; the rest follows from the target.
        folder: Where the files stay.
        rounds: Timed rounds.

    Returns:
        A result for each target, in order; one that cannot be written says why.
    """
    ready = prepare(model, cfg, replace(options, static=True))
    image, graph = ready.images[0][None], ready.job.module
    results = [_exported(model, cfg, target, options, folder) for target in targets]
    runs: dict[str, Callable[[], object]] = {TORCH: partial(_run, graph, torch.from_numpy(image))}
    for result in results:
        if result.report is not None:
            session = open_session(result.report.path, trust=True)  # just written
            runs[result.target.name] = partial(session, image)
    timings = take_turns(runs, rounds)
    return [replace(result, timing=timings.get(result.target.name)) for result in results]


@torch.inference_mode()
def _run(graph: nn.Module, images: Tensor) -> object:
    return graph(images)


def _exported(
    model: nn.Module, cfg: Config, target: Target, options: ExportOptions, folder: Path
) -> TargetResult:
    path = folder / f'model_{target.precision}{FORMATS[target.format].suffix}'
    half = target.precision == 'float16'
    if path.is_dir():
        shutil.rmtree(path)  # of an earlier run
    asked = replace(options, format=target.format, half=half, static=True)
    try:
        return TargetResult(target, export_model(model, path, cfg, asked))
    except (ImportError, ValueError) as error:
        print_log(f'{target.name}: {error}', 'current', logging.WARNING)
        return TargetResult(target, failure=str(error))
