"""Sections of the page that every task has."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from repnext_mm.analysis.confusion import confused_pairs, most_confused
from repnext_mm.analysis.curves import Reliability
from repnext_mm.analysis.figures import draw_matrix, draw_reliability
from repnext_mm.analysis.report import Picture, ReportTable, Section, count, decimal, percent

MOST_PAIRS = 20
LARGEST_MATRIX = 40
"""Rows of a matrix in a plot; of more classes those are shown that are confused most."""


def metrics_section(metrics: dict[str, Any]) -> Section:
    """The numbers of the config's evaluator."""
    rows = [(name, decimal(float(value))) for name, value in metrics.items() if _is_number(value)]
    return Section("Metrics of the config's evaluator", [ReportTable(['metric', 'value'], rows)])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def confusion_section(
    matrix: np.ndarray, names: Sequence[str], text: str, prefix: str = '', kept: int = 0
) -> Section:
    """A confusion matrix and the pairs that are confused most.

    Args:
        matrix: ``(N, N)`` counts, rows for the truth.
        names: Of rows and columns.
        text: What is counted, and how.
        prefix: Of the names of files.
        kept: How many of the last rows, such as the background, are shown in any case.
    """
    parts: list[str | ReportTable | Picture] = [text]
    if len(names) > 1:
        shown = np.arange(len(names))
        if len(names) > LARGEST_MATRIX:
            shown = most_confused(matrix, LARGEST_MATRIX, kept)
            parts.append(
                f'The plot has the {len(shown)} of {len(names)} rows that are confused most; '
                'analysis.json has all.'
            )
        shown_names = [names[index] for index in shown.tolist()]
        plot = draw_matrix(matrix[np.ix_(shown, shown)], shown_names)
        parts.append(Picture(f'{prefix}confusion.png', plot, 'Confusion matrix, in percent'))
    pairs = confused_pairs(matrix, names, MOST_PAIRS)
    if pairs:
        rows = [(p.true, p.predicted, count(p.times), percent(p.share)) for p in pairs]
        header = ['true', 'predicted', 'count', '% of the true class']
        parts.append(ReportTable(header, rows, sortable=True))
    return Section('Confusions', parts, 3 if prefix else 2)


def calibration_section(found: Reliability, right: str, text: str, prefix: str = '') -> Section:
    """A reliability diagram.

    Args:
        found: The predictions.
        right: What is right, for the axis.
        text: What is counted, and how.
        prefix: Of the names of files.
    """
    plot = draw_reliability(found, right)
    picture = Picture(f'{prefix}calibration.png', plot, 'Reliability diagram')
    return Section('Calibration', [text, picture], 3 if prefix else 2)
