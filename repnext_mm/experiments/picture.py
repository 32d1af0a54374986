"""The picture of an experiment: a metric over latency, a mark for each form and file."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from repnext_mm.experiments.specification import EXPORTED_KINDS, Column
from repnext_mm.experiments.tables import Data, change_of, columns_of, seed_values
from repnext_mm.reparam.forms import FORMS
from repnext_mm.visualization.saving import save_figure

MARKS = {'training': 'o', 'fused': 's', 'plain': '^', 'onnx': 'D', 'int8': 'v'}
WIDTH = 10.0
"""Of the picture, in inches."""

LineColour = tuple[float, float, float]
LABEL_GAP = 0.2
"""Between the middles of two labels, in inches."""

HEIGHT_OUTSIDE = 1.4
"""Of title, axis and legend, at most, in inches."""


class Point(NamedTuple):
    """A form or file of a row."""

    name: str
    what: str
    milliseconds: float
    metric: float
    spread: float
    """Standard deviation of the metric over the seeds; 0 for one."""


def points_of(data: Data, column: Column) -> list[Point]:
    """All forms and files of which both the metric and the latency are known, in the table's order.

    Files are made of one seed. So that what they lose is not mixed with what seeds differ by, their
    metric is that of the table's form, plus the change against this form of the same seed.
    """
    form = data['experiment']['table_form']
    points = []
    for name in data['experiment']['published']:
        row = data['rows'].get(name, dict(seeds={}, speed={}))
        for what in MARKS:
            values = seed_values(row, what, column)
            speed = row['speed'].get(what, {}).get('images_per_second')
            if not values or not speed:
                continue
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            metric = statistics.mean(values)
            change = change_of(row, what, column, form) if what in EXPORTED_KINDS else None
            if change is not None:
                metric = statistics.mean(seed_values(row, form, column)) + change
            points.append(Point(name, what, 1000 / speed, metric, spread))
    return points


def draw_picture(data: Data, path: Path) -> bool:
    """Writes the picture of an experiment.

    Args:
        data: The contents of ``results.json``.
        path: PNG to write.

    Returns:
        Whether there was anything to draw.
    """
    figure = picture_of(data)
    if figure is None:
        return False
    save_figure(figure, path)
    return True


def picture_of(data: Data) -> Figure | None:
    """Draws the first metric of the table over the milliseconds of an image, on a logarithmic axis.

    An arrow leads from the training form to the last merged one, dashes lead on to the files.

    Args:
        data: The contents of ``results.json``.

    Returns:
        None if there is nothing to draw.
    """
    metrics = [column for column in columns_of(data) if column.is_metric]
    points = points_of(data, metrics[0]) if metrics else []
    if not points:
        return None
    names = list(dict.fromkeys(point.name for point in points))
    rows = [[point for point in points if point.name == name] for name in names]
    colours = [_colour(number) for number in range(len(names))]
    height = max(5.5, 1.8 + LABEL_GAP * len(names))
    figure = Figure(figsize=(WIDTH, height), layout='constrained')
    axes = figure.subplots()
    axes.set_xscale('log')
    axes.set(
        xlabel='milliseconds for an image, whole model (logarithmic)',
        ylabel=metrics[0].title,
        title=data['experiment']['title'],
    )
    axes.grid(alpha=0.3, which='both')
    for row, colour in zip(rows, colours, strict=True):
        _draw_row(axes, row, colour)
    axes.margins(0.05)
    _set_ticks(axes, [point.milliseconds for point in points])
    ends = [max(row, key=lambda point: point.milliseconds) for row in rows]
    _label(axes, ends, colours, LABEL_GAP / (height - HEIGHT_OUTSIDE))
    for what in dict.fromkeys(point.what for point in points):
        axes.plot([], [], MARKS[what], color='grey', label=what)
    if any(point.spread for point in points):
        axes.errorbar([], [], [], fmt='none', ecolor='grey', capsize=3, label='standard deviation')
    figure.legend(loc='outside lower center', ncols=len(MARKS) + 1, frameon=False)
    return figure


def _colour(number: int) -> LineColour:
    """The colour of a row: ten, then ten darker ones, which names are readable in, and so on."""
    palette = matplotlib.colormaps['tab10']
    shade = 0.6 if number // palette.N % 2 else 1.0
    red, green, blue, _ = palette(number % palette.N)
    return (shade * red, shade * green, shade * blue)


def _draw_row(axes: Axes, row: Sequence[Point], colour: LineColour) -> None:
    """Draws the marks of a row, and what leads from one to the next."""
    for point in row:
        axes.plot(point.milliseconds, point.metric, MARKS[point.what], color=colour, alpha=0.85)
    forms = [point for point in row if point.what in FORMS]
    files = [point for point in row if point.what in EXPORTED_KINDS]
    if len(forms) > 1:
        arrow = dict(arrowstyle='->', color=colour, shrinkA=3, shrinkB=4)
        axes.annotate('', forms[-1][2:4], forms[0][2:4], arrowprops=arrow)
    way = forms[-1:] + files
    axes.plot(
        [p.milliseconds for p in way],
        [p.metric for p in way],
        '--',
        color=colour,
        lw=0.8,
        alpha=0.5,
    )
    if forms and forms[0].spread:  # the others have the same, but for rounding
        x, y, spread = forms[0][2:]
        axes.errorbar(x, y, spread, fmt='none', ecolor=colour, capsize=3, alpha=0.6)


def _set_ticks(axes: Axes, milliseconds: Sequence[float]) -> None:
    """Marks the logarithmic axis with plain numbers, several also within a decade."""
    is_wide = max(milliseconds) > 5 * min(milliseconds)
    locator = LogLocator(subs=(1, 2, 3, 5)) if is_wide else MaxNLocator(6, steps=(1, 2, 5, 10))
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(StrMethodFormatter('{x:g}'))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _label(axes: Axes, ends: Sequence[Point], colours: Sequence[LineColour], gap: float) -> None:
    """Writes the names of rows beside the picture, each with a line to a mark of its row."""
    low, high = axes.get_ylim()
    places = spread_out([(end.metric - low) / (high - low) for end in ends], gap)
    for end, colour, place in zip(ends, colours, places, strict=True):
        line = dict(arrowstyle='-', color=colour, lw=0.6, alpha=0.6, shrinkB=4, relpos=(0, 0.5))
        axes.annotate(
            end.name, end[2:4], (1.03, place), textcoords='axes fraction', va='center',
            color=colour, fontsize=9, arrowprops=line,
        )  # fmt: skip


def spread_out(wanted: Sequence[float], gap: float) -> list[float]:
    """Moves positions so that they lie a gap apart, in the same order and as little as possible.

    Args:
        wanted: Positions in [0, 1], in any order.
        gap: Smallest distance between two; all of them fit.

    Returns:
        New positions in [0, 1] with the least sum of squared moves, in the order of ``wanted``.
    """
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    groups: list[list[float]] = []  # of neighbours that touch; without the gaps between them
    for place, index in enumerate(order):
        groups.append([wanted[index] - place * gap])
        while len(groups) > 1 and statistics.mean(groups[-2]) > statistics.mean(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    highest = 1 - gap * (len(wanted) - 1)
    starts = [min(max(statistics.mean(group), 0.0), highest) for group in groups for _ in group]
    moved = {index: starts[place] + place * gap for place, index in enumerate(order)}
    return [moved[index] for index in range(len(wanted))]
