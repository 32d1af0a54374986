"""Pictures of numbers: object sizes against anchors."""

import matplotlib.figure
import numpy as np

from repnext_mm.visualization.saving import figure_png


def draw_sizes(boxes: np.ndarray, anchors: np.ndarray | None) -> bytes:
    """A histogram of object sizes with a line for each size of anchors.

    Args:
        boxes: ``(N, 2)``: widths and heights in pixels.
        anchors: ``(A, 2)``; None for none.

    Returns:
        A PNG file.
    """
    sizes = np.sqrt(boxes[(boxes > 0).all(1)].prod(1))
    figure = matplotlib.figure.Figure(figsize=(8, 3), layout='constrained')
    axes = figure.subplots()
    lines = np.array([]) if anchors is None else np.unique(np.sqrt(anchors.prod(1)).round(1))
    ends = np.concatenate([sizes, lines])
    bins = np.geomspace(max(ends.min() / 1.2, 1), ends.max() * 1.2, 40)
    axes.hist(sizes, bins=bins.tolist(), color='#0072b2', label='objects')
    for number, line in enumerate(lines):
        label = 'anchors' if number == 0 else None
        axes.axvline(line, color='#d55e00', linestyle='--', label=label)
    axes.set_xscale('log', base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f'{value:g}')
    axes.set(xlabel='square root of width x height, in pixels', ylabel='objects')
    axes.legend()
    return figure_png(figure)
