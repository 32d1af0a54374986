"""Plots of an analysis, as PNG files."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from repnext_mm.analysis.confusion import row_shares
from repnext_mm.analysis.curves import CONFIDENCE_BINS, Reliability
from repnext_mm.visualization.saving import figure_png

BLUE, ORANGE, GREY = '#0072b2', '#d55e00', '#999999'
LONGEST = 24
"""Characters of a name in a plot."""

FEW_CURVES = 8
"""Curves that are told apart by colours; of more classes these are named, the others grey."""

NUMBERS_UP_TO = 16
"""Rows of a matrix whose cells have room for numbers."""


def short(name: str) -> str:
    """A name for a plot: not long, and without matplotlib's formulas."""
    name = name if len(name) <= LONGEST else f'{name[: LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}'
    return name.replace('$', r'\$')


def draw_precision_recall(
    recall: np.ndarray, curves: Mapping[str, np.ndarray], means: Mapping[str, np.ndarray]
) -> bytes:
    """Precision over recall: on the left the mean over the classes, on the right each class.

    Args:
        recall: ``(R,)``.
        curves: Precision ``(R,)`` of classes.
        means: Precision ``(R,)`` by the IoU from which on an object counts as found.
    """
    single = len(curves) < 2
    figure = Figure(figsize=(5.5 if single else 11, 4.2), layout='constrained')
    axes = figure.subplots(1, 1 if single else 2, squeeze=False)[0]
    for (name, precision), line in zip(means.items(), ('-', '--', ':'), strict=False):
        axes[0].plot(recall, precision, line, color=BLUE, label=name)
    axes[0].legend(loc='lower left')
    if not single:
        _class_curves(axes[1], recall, curves)
    titles = ('all classes' if not single else short(next(iter(curves), '')), 'classes, IoU 0.5')
    for part, title in zip(axes, titles, strict=False):
        part.set(xlabel='recall', ylabel='precision', title=title, xlim=(0, 1), ylim=(0, 1.02))
        part.grid(alpha=0.3)
    return figure_png(figure, tight=True)


def _class_curves(axes: Axes, recall: np.ndarray, curves: Mapping[str, np.ndarray]) -> None:
    """The best and worst classes in colours, where there are many."""
    order = sorted(curves, key=lambda name: -float(curves[name].mean()))
    named = order
    if len(order) > FEW_CURVES:
        named = [*order[: FEW_CURVES // 2], *order[-FEW_CURVES // 2 :]]
    for name in order:
        if name not in named:
            axes.plot(recall, curves[name], color=GREY, alpha=0.35, lw=0.8)
    palette = matplotlib.colormaps['tab10']
    for number, name in enumerate(named):
        axes.plot(recall, curves[name], color=palette(number), label=short(name))
    axes.legend(fontsize=8, loc='lower left')


def draw_matrix(matrix: np.ndarray, names: Sequence[str]) -> bytes:
    """A confusion matrix with the share of each row in its cells.

    Args:
        matrix: ``(N, N)`` counts, rows for the truth.
        names: Of rows and columns.
    """
    shares, size = row_shares(matrix), len(names)
    labels = [short(name) for name in names]
    margin = 0.09 * max(len(label) for label in labels) + 0.9
    side = max(2.0, (0.55 if size <= NUMBERS_UP_TO else 0.24) * size) + margin
    figure = Figure(figsize=(side + 0.6, side), layout='constrained')
    axes = figure.subplots()
    image = axes.imshow(shares, cmap='Blues', vmin=0, vmax=1)
    axes.set_xticks(range(size), labels, rotation=90, fontsize=9)
    axes.set_yticks(range(size), labels, fontsize=9)
    axes.set(xlabel='predicted', ylabel='true')
    figure.colorbar(image, ax=axes, fraction=0.04, label='share of the row')
    if size <= NUMBERS_UP_TO:
        for row, column in np.argwhere(matrix > 0).tolist():
            share = float(shares[row, column])
            ink = 'white' if share > 0.55 else 'black'
            text = '<1' if share < 0.01 else f'{100 * share:.0f}'
            axes.text(column, row, text, color=ink, ha='center', va='center', fontsize=8)
    return figure_png(figure, tight=True)


def draw_bars(values: Mapping[str, float], label: str) -> bytes:
    """Horizontal bars, one for each name, with the values at their ends.

    Args:
        values: By name, from the top.
        label: Of the axis.
    """
    names, sizes = [short(name) for name in values], list(values.values())
    figure = Figure(figsize=(6.5, 0.9 + 0.32 * len(names)), layout='constrained')
    axes = figure.subplots()
    places = np.arange(len(names))
    bars = axes.barh(places, sizes, color=BLUE)
    axes.bar_label(bars, [f'{size:.1f}' for size in sizes], padding=3, fontsize=9)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set(xlabel=label, xlim=(0, 1.12 * max([*sizes, 0.1])))
    axes.spines[['top', 'right']].set_visible(False)
    return figure_png(figure, tight=True)


def draw_reliability(found: Reliability, right: str) -> bytes:
    """A reliability diagram, above how many predictions there are of each score.

    Args:
        found: The predictions.
        right: What is right, for the axis.
    """
    figure = Figure(figsize=(5, 5), layout='constrained')
    axes, below = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    middles = (np.arange(CONFIDENCE_BINS) + 0.5) / CONFIDENCE_BINS
    axes.bar(
        middles, np.nan_to_num(found.accuracy), 0.92 / CONFIDENCE_BINS, color=BLUE, label=right
    )
    axes.plot([0, 1], [0, 1], '--', color=GREY, label='calibrated')
    axes.plot(found.confidence, found.accuracy, 'o', color=ORANGE, ms=4, label='mean score')
    axes.set(ylabel=right, xlim=(0, 1), ylim=(0, 1))
    axes.set_title(f'expected calibration error {100 * found.expected_error:.1f} %')
    axes.legend(loc='upper left', fontsize=9)
    below.bar(middles, found.counts, 0.92 / CONFIDENCE_BINS, color=GREY)
    below.set_yscale('symlog', linthresh=1)
    below.set(xlabel='score', ylabel='predictions')
    return figure_png(figure, tight=True)
