"""The picture of an experiment: a metric over latency, a mark for each form."""

import statistics
from pathlib import Path
from typing import NamedTuple

import matplotlib.figure

from repnext_mm.experiments.specification import Column
from repnext_mm.experiments.tables import Data, columns_of, seed_values
from repnext_mm.files import replaced

MARKS = {'training': 'o', 'fused': 's', 'plain': '^', 'onnx': 'D', 'int8': 'v'}


class Point(NamedTuple):
    """A form or file of a row."""

    name: str
    what: str
    milliseconds: float
    metric: float
    spread: float
    """Standard deviation of the metric over the seeds; 0 for one."""


def points_of(data: Data, column: Column) -> list[Point]:
    """All forms and files of which both the metric and the latency are known."""
    points = []
    for name, row in data['rows'].items():
        for what in MARKS:
            values = seed_values(row, what, column)
            speed = row['speed'].get(what, {}).get('images_per_second')
            if values and speed:
                spread = statistics.stdev(values) if len(values) > 1 else 0.0
                mean = statistics.mean(values)
                points.append(Point(name, what, 1000 / speed, mean, spread))
    return points


def draw_picture(data: Data, path: Path) -> bool:
    """Draws the first metric of the table over the milliseconds of an image, on a logarithmic axis.

    Args:
        data: The contents of ``results.json``.
        path: PNG to write.

    Returns:
        Whether there was anything to draw.
    """
    metrics = [column for column in columns_of(data) if column.is_metric]
    points = points_of(data, metrics[0]) if metrics else []
    if not points:
        return False
    figure = matplotlib.figure.Figure(figsize=(9, 5.5), layout='constrained')
    axes = figure.subplots()
    names = list(dict.fromkeys(point.name for point in points))
    for number, name in enumerate(names):
        own = sorted((p for p in points if p.name == name), key=lambda p: p.milliseconds)
        colour = f'C{number % 10}'
        axes.plot(
            [p.milliseconds for p in own], [p.metric for p in own], '-', color=colour, alpha=0.4
        )
        for p in own:
            axes.errorbar(
                p.milliseconds,
                p.metric,
                p.spread or None,
                fmt=MARKS[p.what],
                color=colour,
                capsize=3,
            )
        axes.annotate(
            name, own[0][2:4], (-6, 5), textcoords='offset points', ha='right', color=colour
        )
    for what in dict.fromkeys(point.what for point in points):
        axes.plot([], [], MARKS[what], color='grey', label=what)
    axes.set_xscale('log')
    axes.margins(x=0.2)
    axes.set(
        xlabel='ms for an image (logarithmic)', ylabel=metrics[0].title,
        title=data['experiment']['title'],
    )  # fmt: skip
    axes.grid(alpha=0.3, which='both')
    axes.legend(title='form')
    with replaced(path) as draft:
        figure.savefig(draft, dpi=110, format='png')
    return True
