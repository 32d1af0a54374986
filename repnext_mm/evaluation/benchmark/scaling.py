"""Time over pixels and over images at a time: straight lines, and how well they fit."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib.figure
import numpy as np

from repnext_mm.evaluation.benchmark.cases import Case, Table, shown
from repnext_mm.evaluation.benchmark.measure import TableResult
from repnext_mm.visualization.saving import save_figure

SIDES = (224, 320, 448, 640, 800, 1120, 1600)
"""Of square images, in pixels."""

BATCHES = (1, 2, 4, 8, 16)
OVER_PIXELS, OVER_BATCH = 'time over pixels', 'time over batch'


@dataclass(frozen=True)
class Line:
    """``seconds = start + slope * amount``, fitted so that relative errors are small."""

    start: float
    slope: float
    worst: float
    """The largest error, relative to the measured time."""

    exponent: float
    """Of the power law that fits best: 1 is linear, below 1 large inputs are cheaper."""


def scaling_tables(
    rows: Sequence[Case], sides: Sequence[int] = SIDES, batches: Sequence[int] = BATCHES
) -> list[Table]:
    """A table over pixels at a batch of 1, and one over the batch at the smallest size.

    Args:
        rows: Cases, whose shape and batch do not count.
        sides: Of square images, in pixels.
        batches: Images at a time.

    Raises:
        ValueError: If one of the two has fewer than two values, through which any line fits.
    """
    if min(len(set(sides)), len(set(batches))) < 2:
        raise ValueError(
            f'a line needs two sizes and two batches or more, got {list(sides)} and {list(batches)}'
        )
    pixels = [_sized(row, side, 1) for row in rows for side in sorted(sides)]
    images = [_sized(row, min(sides), batch) for row in rows for batch in sorted(batches)]
    return [Table(OVER_PIXELS, tuple(pixels)), Table(OVER_BATCH, tuple(images))]


def _sized(row: Case, side: int, batch: int) -> Case:
    return Case(**{**asdict(row), 'shape': (side, side), 'batch': batch})


def amount(case: Case, title: str) -> int:
    """The pixels of a case, or its images."""
    if title == OVER_BATCH or case.shape is None:
        return case.batch
    return case.shape[0] * case.shape[1]


def fitted(result: TableResult) -> dict[str, Line]:
    """The line of each network, by the values in which networks differ.

    Networks with fewer than two times have none.
    """
    return {
        name: fit([x for x, _ in points], [y for _, y in points])
        for name, points in _points(result).items()
        if len(points) > 1
    }


def _points(result: TableResult) -> Mapping[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    names = [name for name in result.columns if name not in ('shape', 'batch')]
    for row in result.rows:
        if row.timing is not None:
            key = ', '.join(shown(getattr(row.case, name)) for name in names)
            point = (amount(row.case, result.title), row.timing.median)
            found.setdefault(key, []).append(point)
    return found


def fit(amounts: Sequence[float], seconds: Sequence[float]) -> Line:
    """Fits a line by least squares of the relative errors.

    Args:
        amounts: Pixels or images, two different ones or more.
        seconds: The time of each.
    """
    x, y = np.array(amounts, float), np.array(seconds, float)
    design = np.stack([1 / y, x / y], 1)
    start, slope = np.linalg.lstsq(design, np.ones_like(y), rcond=None)[0]
    worst = np.abs((start + slope * x) / y - 1).max()
    exponent = np.polyfit(np.log(x), np.log(y), 1)[0]
    return Line(float(start), float(slope), float(worst), float(exponent))


def line_rows(result: TableResult) -> list[dict[str, str]]:
    """The fitted lines as the cells of a table."""
    unit, factor = ('ms/Mpixel', 1e9) if result.title == OVER_PIXELS else ('ms/image', 1e3)
    return [
        {
            'network': name,
            'ms at 0': f'{1000 * line.start:.2f}',
            unit: f'{factor * line.slope:.2f}',
            'worst error': f'{line.worst:.0%}',
            'exponent': f'{line.exponent:.2f}',
        }
        for name, line in fitted(result).items()
    ]


def draw_scaling(results: Sequence[TableResult], path: Path) -> None:
    """Draws times and lines, a panel for each table, both axes logarithmic.

    Args:
        results: Of :func:`scaling_tables`.
        path: PNG to write.
    """
    figure = matplotlib.figure.Figure(figsize=(5.5 * len(results), 4.2), layout='constrained')
    panels = figure.subplots(1, len(results), squeeze=False)[0]
    for axes, result in zip(panels, results, strict=True):
        lines = fitted(result)
        for number, (name, points) in enumerate(_points(result).items()):
            x, y = np.array(points).T
            axes.plot(x, 1000 * y, 'o', color=f'C{number}', label=name)
            if name in lines:
                dense = np.geomspace(x.min(), x.max(), 50)
                times = 1000 * (lines[name].start + lines[name].slope * dense)
                axes.plot(dense, times, '-', color=f'C{number}', alpha=0.6)
        label = 'pixels' if result.title == OVER_PIXELS else 'images at a time'
        axes.set(title=result.title, xlabel=label, ylabel='ms', xscale='log', yscale='log')
        axes.grid(alpha=0.3, which='both')
        axes.legend(fontsize=8)
    save_figure(figure, path)
