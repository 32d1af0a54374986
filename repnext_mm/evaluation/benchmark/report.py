"""Results as JSON, Markdown and a picture."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import matplotlib.figure

from repnext_mm.evaluation.benchmark.cases import INT8, as_record, shown
from repnext_mm.evaluation.benchmark.measure import (
    OUT_OF_MEMORY,
    OUT_OF_TIME,
    Row,
    TableResult,
)
from repnext_mm.evaluation.complexity import Complexity
from repnext_mm.files import write_text
from repnext_mm.timing import TIE, format_table
from repnext_mm.visualization.saving import save_figure

MEBIBYTE = 2**20

MATRIX_RATE = 'matrix products, G multiply-adds/s'
"""The entry of the header with what :func:`~.machine.matrix_rate` measured, in 1e9."""

Sizes = Mapping[tuple[str, str, str, tuple[int, int]], Complexity]
"""By network, form, part, and height and width."""


class BenchmarkReport:
    """What a benchmark has found so far, and the files that say so.

    The files are written anew after each addition, each as a whole, so an interrupted run
    leaves what it had.

    Args:
        path: Of the files, without an ending: ``.json``, ``.md`` and ``.png`` are added.
        header: Processor, threads, versions and command.
        warnings: Sentences on how busy the machine was before.
    """

    def __init__(self, path: Path, header: Mapping[str, object], warnings: Sequence[str] = ()):
        self.path = path
        self.header = dict(header)
        self.warnings = list(warnings)
        self.tables: dict[str, TableResult] = {}
        self.notes: list[str] = []
        self.sizes: Sizes = {}
        self.checks: dict[str, str] = {}

    @property
    def failures(self) -> list[str]:
        """Errors for which checks failed or rows have no time; short memory or time is none."""
        failed = [text for text in self.checks.values() if text.startswith('FAILED')]
        rows = [row for table in self.tables.values() for row in table.rows]
        expected = (None, OUT_OF_MEMORY, OUT_OF_TIME)
        return failed + [row.failure for row in rows if row.failure and row.failure not in expected]

    def add(self, result: TableResult) -> None:
        """Adds a table, or replaces an earlier state of it, and writes JSON and Markdown."""
        self.tables[result.title] = result
        self.write()

    def write(self) -> None:
        """Writes JSON and Markdown."""
        write_text(self.path.with_suffix('.json'), json.dumps(self.as_dict(), indent=2) + '\n')
        write_text(self.path.with_suffix('.md'), self.as_markdown())

    def as_dict(self) -> dict[str, object]:
        """All that was found, as plain values."""
        return dict(
            machine=self.header,
            warnings=self.warnings,
            notes=self.notes,
            checks=self.checks,
            sizes=[size_record(*key, size) for key, size in self.sizes.items()],
            tables=[self._table_record(table) for table in self.tables.values()],
        )

    def as_markdown(self) -> str:
        """All that was found, as a document."""
        parts = ['# Benchmark', '\n'.join(f'- {k}: {v}' for k, v in self.header.items())]
        parts += [warning_text(text) for text in self.warnings]
        if self.checks:
            lines = [f'- {name}: {text}' for name, text in self.checks.items()]
            parts += ['## Checks', '\n'.join(lines)]
        for table in self.tables.values():
            parts += [f'## {table.title}', self.table_text(table)]
        parts += self.notes
        if self.sizes:
            rows = [size_row(*key, size) for key, size in self.sizes.items()]
            parts += ['## Sizes', format_table(rows)]
        return '\n\n'.join(parts) + '\n'

    def table_text(self, table: TableResult) -> str:
        """A table as Markdown, with its warnings."""
        lines = [f'{table.rounds} rounds, all rows in turn.'] if _timed(table) else []
        lines += [warning_text(text) for text in table.warnings]
        cells = table_rows(table)
        shares = [self.share_of_rate(row) for row in table.rows]
        if any(share is not None for share in shares):
            for row, share in zip(cells, shares, strict=True):
                row['of the rate'] = '' if share is None else f'{share:.0%}'
        lines.append(format_table(cells))
        return '\n\n'.join(lines)

    def share_of_rate(self, row: Row) -> float | None:
        """The multiply-adds a second of a row, relative to the processor's in matrix products.

        None where one of the two is not known, the row does not compute in float32 on the CPU, or
        of whole models: what their heads compute depends on what they find.
        """
        case, rate = row.case, self.header.get(MATRIX_RATE)
        size = self.sizes.get((case.network, case.form, case.part, case.shape or (0, 0)))
        kind = (case.part, case.device, case.dtype, case.step)
        alike = kind == ('backbone', 'cpu', 'float32', 'inference')
        quantized = case.runtime.endswith(INT8)
        if (
            not isinstance(rate, float)
            or size is None
            or row.timing is None
            or quantized
            or not alike
        ):
            return None
        return size.multiply_adds * row.images / row.timing.median / (1e9 * rate)

    def _table_record(self, table: TableResult) -> dict[str, object]:
        rows = [
            _row_record(row, table.rows[0]) | dict(share_of_rate=self.share_of_rate(row))
            for row in table.rows
        ]
        return dict(title=table.title, rounds=table.rounds, warnings=table.warnings, rows=rows)

    def draw(self) -> None:
        """Draws the medians and the spread of each table."""
        tables = [t for t in self.tables.values() if any(row.timing for row in t.rows)]
        if not tables:
            return
        heights = [0.8 + 0.3 * len(table.rows) for table in tables]
        figure = matplotlib.figure.Figure(figsize=(9, sum(heights)), layout='constrained')
        panels = figure.subplots(len(tables), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axes, table in zip(panels, tables, strict=True):
            rows = [row for row in table.rows if row.timing]
            names = [', '.join(shown(getattr(r.case, c)) for c in table.columns) for r in rows]
            middle = [1000 * row.timing.median for row in rows if row.timing]
            below = [1000 * (row.timing.median - row.timing.fast) for row in rows if row.timing]
            above = [1000 * (row.timing.slow - row.timing.median) for row in rows if row.timing]
            axes.barh(names, middle, xerr=[below, above], color='tab:blue', alpha=0.7)
            axes.invert_yaxis()
            axes.set(title=table.title, xlabel='ms (median; 5th to 95th percentile)')
        save_figure(figure, self.path.with_suffix('.png'))


def size_record(
    network: str, form: str, part: str, shape: tuple[int, int], size: Complexity
) -> dict[str, object]:
    """A network's size as JSON holds it."""
    return dict(network=network, form=form, part=part, shape=shape, **asdict(size))


def size_row(
    network: str, form: str, part: str, shape: tuple[int, int], size: Complexity
) -> dict[str, object]:
    """A network's size as a table shows it."""
    return {
        'network': network,
        'form': form,
        'part': part,
        'image': shown(shape),
        'parameters, M': f'{size.parameters / 1e6:.2f}',
        'multiply-adds, G': f'{size.multiply_adds / 1e9:.2f}',
        'Winograd, G': f'{size.winograd_multiplications / 1e9:.2f}',
    }


def warning_text(text: str) -> str:
    """A sentence on a busy machine, as reports and terminals show it."""
    return f'**Busy machine**: {text}; measure again when it is idle.'


def _timed(table: TableResult) -> bool:
    return any(row.timing for row in table.rows)


def table_rows(table: TableResult) -> list[dict[str, str]]:
    """The cells of a table by their titles."""
    timed, weighed = _timed(table), any(row.memory is not None for row in table.rows)
    rows = []
    for row in table.rows:
        cells = {name: shown(getattr(row.case, name)) for name in table.columns}
        if timed or not weighed:
            cells |= _time_cells(row, table.rows[0])
        if weighed:
            cells |= _memory_cells(row, table.rows[0])
        rows.append(cells)
    return rows


def _time_cells(row: Row, first: Row) -> dict[str, str]:
    if row.timing is None:
        said = row.failure or ''
        return {'ms': said, 'from to': '', 'images/s': '', 'x first': ''}
    timing = row.timing
    return {
        'ms': f'{1000 * timing.median:.2f}',
        'from to': f'{1000 * timing.fast:.2f} to {1000 * timing.slow:.2f}',
        'images/s': f'{timing.per_second(row.images):.2f}',
        'x first': comparison(ratio(row, first)),
    }


def _memory_cells(row: Row, first: Row) -> dict[str, str]:
    if row.memory is None or row.weights is None:
        return {'peak MiB': row.failure or '', 'weights MiB': '', 'x first': ''}
    relative = f'{row.memory / first.memory:.2f}' if first.memory else ''
    return {
        'peak MiB': f'{row.memory / MEBIBYTE:.1f}',
        'weights MiB': f'{row.weights / MEBIBYTE:.1f}',
        'x first': relative,
    }


def ratio(row: Row, first: Row) -> float | None:
    """How many times as many images a second as the first row; None if one has no time."""
    if row.timing is None or first.timing is None:
        return None
    return row.timing.per_second(row.images) / first.timing.per_second(first.images)


def comparison(value: float | None) -> str:
    """A ratio as a table says it: near 1 it is a tie."""
    if value is None:
        return ''
    tie = abs(math.log(value)) < math.log1p(TIE) and value != 1
    return f'{value:.2f} (tie)' if tie else f'{value:.2f}'


def _row_record(row: Row, first: Row) -> dict[str, object]:
    timing, relative = row.timing, ratio(row, first)
    found: dict[str, object] = dict(case=as_record(row.case), failure=row.failure)
    if timing is not None:
        found |= dict(
            milliseconds=1000 * timing.median,
            spread=(1000 * timing.fast, 1000 * timing.slow),
            images_per_second=timing.per_second(row.images),
            images_per_second_spread=timing.spread_per_second(row.images),
            ratio=relative,
            tie=relative is not None and 'tie' in comparison(relative),
        )
    if row.memory is not None:
        found |= dict(peak_bytes=row.memory, weight_bytes=row.weights)
    return found
