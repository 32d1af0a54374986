"""Losses and metrics over a training, from the records that mmengine leaves."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

FEW_RECORDS = 20
"""Records of the loss that each get a mark, so that one alone is seen."""


def read_scalars(folder: Path) -> list[dict[str, Any]]:
    """The records of a training in order, also of one that was interrupted and resumed.

    Args:
        folder: Work dir of the training.
    """
    found: dict[tuple[Any, bool], dict[str, Any]] = {}
    for path in sorted(folder.glob('*/vis_data/scalars.json')):
        for record in _records(path):
            found[record.get('step'), 'loss' in record] = record
    return sorted(found.values(), key=lambda record: record.get('step') or 0)


def _records(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file; the last one may be cut where a process was killed."""
    for line in path.read_text(encoding='utf-8').splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            return


def draw_curves_of(
    records: Sequence[Mapping[str, Any]], metrics: Mapping[str, tuple[str, float]]
) -> bytes | None:
    """Plots the training loss, and the metrics of each validation.

    Args:
        records: Of :func:`read_scalars`.
        metrics: Titles, and factors that bring them to percent, by the names in the records.

    Returns:
        A PNG file; None if there is nothing to draw.
    """
    losses = [(record['step'], record['loss']) for record in records if 'loss' in record]
    lines = {
        name: [(record['step'], record[name]) for record in records if name in record]
        for name in metrics
    }
    if not losses and not any(lines.values()):
        return None
    figure = Figure(figsize=(9, 3.4), layout='constrained')
    left, right = figure.subplots(1, 2)
    if losses:
        mark = 'o' if len(losses) <= FEW_RECORDS else ''
        left.plot(*zip(*losses, strict=True), color='#0072b2', marker=mark)
    left.set(xlabel='iteration', ylabel='training loss', ylim=(0, None))
    for name, points in lines.items():
        if points:
            title, factor = metrics[name]
            steps, values = zip(*points, strict=True)
            right.plot(steps, [factor * value for value in values], 'o-', label=title)
            right.legend(loc='best')
    by_epoch = any('epoch' in record for record in records)
    right.set(xlabel='epoch' if by_epoch else 'iteration', ylabel='validation, %')
    for axes in (left, right):
        axes.grid(alpha=0.3)
    content = io.BytesIO()
    figure.savefig(content, dpi=110, format='png')
    return content.getvalue()
