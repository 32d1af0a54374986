"""Curves of a training: losses, learning rate and the metrics of validation over the iterations.

They are read from what mmengine's ``LocalVisBackend`` writes, ``scalars.json`` in the folder of
each start of a training.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib.figure
import numpy as np
from matplotlib.axes import Axes

from repnext_mm.visualization.saving import save_figure

SCALARS = 'vis_data/scalars.json'
"""In the folder of each start of a training, which has its time as a name."""

TOTAL = 'loss'
RATE = 'lr'
NO_METRIC = ('step', 'time', 'data_time', 'memory', 'epoch', 'iter')
MAIN_METRICS = ('mAP', 'mIoU', 'mDice', 'mFscore', 'top1')
"""Ends of the names of the metrics that a task is judged by."""

MOST_NAMED = 14
"""Lines of one panel that the legend names."""

SMOOTHED_SHARE = 1 / 20
"""Part of a curve that the time constant of its smoothing covers."""

WIDE_RANGE = 10
"""Ratio of the largest loss to the smallest from which on their axis is logarithmic."""

FAINT = 0.4
ABSENT = -1
"""What COCO's evaluation gives where there are no objects of a size."""

LoggedRow = Mapping[str, float]


class Curve(NamedTuple):
    """One scalar."""

    steps: np.ndarray
    """``(N,)``, iterations."""

    values: np.ndarray
    """``(N,)``; NaN where there is none."""


class Curves(NamedTuple):
    """What was logged in a training, by name."""

    losses: dict[str, Curve]
    rates: dict[str, Curve]
    metrics: dict[str, Curve]


def scalar_files(work_dir: str | Path) -> list[Path]:
    """The files of a work dir, in the order in which the training was started and resumed."""
    return sorted(Path(work_dir).glob(f'*/{SCALARS}'))


def read_curves(files: Iterable[str | Path]) -> Curves:
    """Reads the curves of a training that may have been resumed.

    Args:
        files: Each a ``scalars.json``, the earlier ones first; from its first line on, each counts
            in the place of those before it.

    Raises:
        FileNotFoundError: If one is not there.
    """
    training: list[dict] = []
    validation: list[dict] = []
    for file in files:
        own_training, own_validation = _read(Path(file))
        first = min((row['step'] for row in [*own_training, *own_validation]), default=math.inf)
        training = [row for row in training if row['step'] < first] + own_training
        validation = [row for row in validation if row['step'] < first] + own_validation
    names = dict.fromkeys(name for row in training for name in row)
    losses = [name for name in names if 'loss' in name]
    measured = dict.fromkeys(name for row in validation for name in row)
    return Curves(
        losses={name: _curve(training, name) for name in losses},
        rates={name: _curve(training, name) for name in names if name == RATE},
        metrics={
            name: _curve(validation, name, absent=ABSENT)
            for name in measured
            if name not in NO_METRIC
        },
    )


def draw_curves(files: Iterable[str | Path]) -> matplotlib.figure.Figure | None:
    """Draws the curves of a training, one panel below the other.

    Args:
        files: As for :func:`read_curves`.

    Returns:
        None if there is nothing to draw yet.

    Raises:
        FileNotFoundError: If a file is not there.
    """
    curves = read_curves(files)
    groups = dict(
        loss=(curves.losses, _draw_losses),
        **{'learning rate': (curves.rates, _draw_rates)},
        validation=(curves.metrics, _draw_metrics),
    )
    groups = {title: (group, draw) for title, (group, draw) in groups.items() if group}
    if not groups:
        return None
    figure = matplotlib.figure.Figure(figsize=(9, 3 * len(groups)), layout='constrained')
    panels = figure.subplots(len(groups), sharex=True, squeeze=False)[:, 0]
    for axes, (title, (group, draw)) in zip(panels, groups.items(), strict=True):
        draw(axes, group)
        for line in axes.lines:
            if len(line.get_xydata()) == 1:  # a line of one point cannot be seen
                line.set_marker('.')
        axes.set_ylabel(title)
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize='x-small', loc='center left', bbox_to_anchor=(1.01, 0.5))
    panels[-1].set_xlabel('iteration')
    return figure


def write_curves(files: Iterable[str | Path], path: str | Path) -> bool:
    """Writes the curves of a training to a picture.

    Args:
        files: As for :func:`read_curves`.
        path: PNG to write.

    Returns:
        Whether there was a curve to draw.

    Raises:
        FileNotFoundError: If a file of ``files`` is not there.
        OSError: If the picture cannot be written.
    """
    figure = draw_curves(files)
    if figure is None:
        return False
    save_figure(figure, path, dots=100)
    return True


def smoothed(values: np.ndarray) -> np.ndarray:
    """The mean of all values before and at each, which count less the older they are.

    Args:
        values: ``(N,)``; those that are not finite are left out.

    Returns:
        ``(N,)``, without the pull to zero that such means have at the start.
    """
    keep = 1 - 1 / max(1.0, SMOOTHED_SHARE * len(values))
    total = weight = 0.0
    means = []
    for value in values:
        if math.isfinite(value):
            total, weight = keep * total + value, keep * weight + 1
        means.append(total / weight if weight else math.nan)
    return np.array(means)


def main_metrics(names: Iterable[str]) -> list[str]:
    """The names of the metrics that a task is judged by; the first of all if none is known."""
    names = list(names)
    known = [name for name in names if name.replace('/', '_').split('_')[-1] in MAIN_METRICS]
    return known or names[:1]


def _read(file: Path) -> tuple[list[dict], list[dict]]:
    """Lines of training, and of validation with the iteration that it came after as ``step``.

    Loops that count epochs log validations with the number of the epoch.
    """
    training: list[dict] = []
    validation: list[dict] = []
    with file.open(encoding='utf-8') as lines:
        for line in lines:
            try:
                row = json.loads(line)
            except ValueError:  # of a process that was killed while it wrote
                continue
            if not isinstance(row, dict) or 'step' not in row:
                continue
            if 'iter' in row:
                if training and row['step'] < training[-1]['step']:  # two starts in one second
                    training = [line for line in training if line['step'] < row['step']]
                    validation = [line for line in validation if line['step'] < row['step']]
                training.append(row)
            else:
                last = training[-1] if training else {}
                validation.append(dict(row, step=last['step']) if 'epoch' in last else row)
    return training, validation


def _curve(rows: Sequence[LoggedRow], name: str, absent: float | None = None) -> Curve:
    """One scalar of the rows that have it."""
    chosen = [row for row in rows if isinstance(row.get(name), int | float)]
    values = np.array([row[name] for row in chosen], float)
    if absent is not None:
        values[values == absent] = math.nan
    return Curve(np.array([row['step'] for row in chosen], float), values)


def _draw_losses(axes: Axes, curves: dict[str, Curve]) -> None:
    for name in sorted(curves, key=lambda name: name == TOTAL):
        steps, values = curves[name]
        if name == TOTAL:
            axes.plot(steps, values, color='black', alpha=FAINT / 2, linewidth=1)
            axes.plot(steps, smoothed(values), color='black', linewidth=2, label=name)
        else:
            axes.plot(steps, smoothed(values), alpha=FAINT, linewidth=1, label=_named(axes, name))
    values = np.concatenate([curve.values for curve in curves.values()])
    values = values[np.isfinite(values)]
    if values.size and values.min() > 0 and values.max() > WIDE_RANGE * values.min():
        axes.set_yscale('log')


def _draw_rates(axes: Axes, curves: dict[str, Curve]) -> None:
    for steps, values in curves.values():
        axes.plot(steps, values, color='black', linewidth=1.5)


def _draw_metrics(axes: Axes, curves: dict[str, Curve]) -> None:
    main = main_metrics(curves)
    for name in sorted(curves, key=lambda name: name not in main):
        steps, values = curves[name]
        if not np.isfinite(values).any():
            continue
        width, opacity = (2.0, 1.0) if name in main else (1.0, FAINT)
        axes.plot(steps, values, '.-', linewidth=width, alpha=opacity, label=_named(axes, name))


def _named(axes: Axes, name: str) -> str | None:
    """The name for the legend, which has room for some."""
    return name if len(axes.get_legend_handles_labels()[1]) < MOST_NAMED else None
