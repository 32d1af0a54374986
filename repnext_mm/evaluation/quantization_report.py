"""A float file against its version in 8 bits: metrics, size and speed, as a report and as a table."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from repnext_mm.evaluation.file_metrics import (
    FileEvaluator,
    Metrics,
    anything_to_lose,
    largest_loss,
)
from repnext_mm.quantization import Search
from repnext_mm.runtime import Session, open_session
from repnext_mm.runtime.pairs import weights_of
from repnext_mm.timing import take_turns

FLOAT, INT8 = 'float', 'int8'
"""What the two files are called in reports."""

SHOWN_LAYERS = 10
"""Of those that are ranked, the number that is printed."""


def measure_files(
    files: Mapping[str, str],
    evaluator: FileEvaluator,
    runtimes: Iterable[str],
    known: Mapping[tuple[str, str], Metrics],
) -> dict[str, dict[str, Any]]:
    """Size and metrics of the files on the test data.

    Args:
        files: Paths, of :data:`FLOAT` first and of :data:`INT8`.
        evaluator: For both.
        runtimes: That run each file.
        known: By name and runtime, metrics on the test data that were measured before.
    """
    rows = {}
    for name, path in files.items():
        measure = evaluator.measure_reference if name == FLOAT else evaluator.measure
        metrics = {
            runtime: known[name, runtime]
            if (name, runtime) in known
            else measure(path, 'test', runtime)
            for runtime in runtimes
        }
        rows[name] = dict(file=path, megabytes=_size(Path(path)) / 1e6, metrics=metrics)
    return rows


def _size(path: Path) -> int:
    """Bytes of a file, with the weights beside it."""
    weights = weights_of(path)
    beside = weights.stat().st_size if path.suffix == '.xml' and weights.is_file() else 0
    return path.stat().st_size + beside


def loss_summary(rows: Mapping[str, Mapping[str, Any]], max_loss: float) -> dict[str, Any]:
    """What 8 bits lose on the test data, in the first runtime.

    Args:
        rows: Of :func:`measure_files`.
        max_loss: What the worst metric may lose.

    Returns:
        ``loss``, None where the float file reaches nothing, and whether it is ``within_max_loss``.
    """
    reference, metrics = (next(iter(rows[name]['metrics'].values())) for name in (FLOAT, INT8))
    loss = largest_loss(reference, metrics) if anything_to_lose(reference) else None
    return dict(loss=loss, within_max_loss=loss is not None and loss <= max_loss)


def images_per_second(
    files: Mapping[str, str], images: Sequence[np.ndarray], runtimes: Iterable[str], rounds: int
) -> dict[str, dict[str, float]]:
    """The speed of each file in each runtime, one image at a time, the files in turn.

    Args:
        files: Paths by name.
        images: ``(H, W, 3)`` uint8, RGB, of the network's size.
        runtimes: That run each file.
        rounds: How often all images are timed.
    """
    speeds = {}
    for runtime in runtimes:
        sessions = {name: open_session(path, runtime) for name, path in files.items()}
        runs = {name: _on_each(images, session) for name, session in sessions.items()}
        timings = take_turns(runs, rounds)
        speeds[runtime] = {name: row.per_second(len(images)) for name, row in timings.items()}
    return speeds


def _on_each(images: Sequence[np.ndarray], session: Session) -> Callable[[], None]:
    """Runs a file on all images, one at a time."""

    def run() -> None:
        for image in images:
            session(image[None])

    return run


def search_lines(result: Search, max_loss: float, split: str) -> list[str]:
    """What was tried in a search for layers that stay in float, a line for each.

    Args:
        result: Of the search.
        max_loss: What the worst metric may lose.
        split: Whose images decided.
    """
    lines = [
        f'worst change of a metric on the {split} data {trial.metric:+.4f} with in float: '
        f'{", ".join(trial.keep_float) or "none"}'
        for trial in result.trials
    ]
    lines += [
        f'{layer:>50}: relative squared error {error:.1e}'
        for layer, error in list(result.errors.items())[:SHOWN_LAYERS]
    ]
    if not result.reached:
        lines.append(
            f'NOT REACHED: no choice of layers keeps the loss within {max_loss}, so the best is '
            f'written; more images may help, or the metric is too noisy on so few {split} images'
        )
    return lines


def table_lines(report: Mapping[str, Any]) -> list[str]:
    """Float against 8 bits, a line for each file and runtime.

    Args:
        report: Rows of :func:`measure_files`, and ``images_per_second``.
    """
    lines = []
    for name in (FLOAT, INT8):
        row = report[name]
        for runtime, metrics in row['metrics'].items():
            values = ', '.join(f'{key} {value:.4f}' for key, value in metrics.items()) or 'nothing'
            speed = report['images_per_second'][runtime]
            lines.append(
                f'{name:>6} {runtime:>12}: {values}, {row["megabytes"]:.1f} MB, '
                f'{speed[name]:.1f} images/s, {speed[name] / speed[FLOAT]:.2f} x float'
            )
    return lines
