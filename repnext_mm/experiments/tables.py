"""The tables of an experiment, from its results: the main one, those of forms, and failures."""

import csv
import io
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from repnext_mm.experiments.results import DONE, FAILED
from repnext_mm.experiments.specification import EXPORTED_KINDS, Column
from repnext_mm.reparam.forms import FORMS, TRAINING

ARROW = ' --> '
"""Between the value of the training form and that of the form that removes most."""

NOT_YET = ''
"""A cell whose value is not known yet."""

MAKING_STEPS = {'onnx': 'export', 'int8': 'quantize'}
"""The steps that make exported files."""

Data = Mapping[str, Any]
"""The contents of ``results.json``."""


def columns_of(data: Data) -> list[Column]:
    """The columns of the table."""
    return [Column(**column) for column in data['experiment']['columns']]


def main_table(data: Data) -> list[dict[str, str]]:
    """The table in the author's columns: a row each, cells by title.

    Metrics are means over the seeds, with their standard deviation; a value that was published and
    not measured says so.
    """
    columns, rows = columns_of(data), []
    for name, published in data['experiment']['published'].items():
        cells = {}
        for column in columns:
            cell = _cell(data, name, column)
            told = published.get(column.title)
            cells[column.title] = cell if not told else f'{cell} (published: {told})'.strip()
        rows.append(cells)
    return rows


def metric_by_form(data: Data, column: Column) -> list[dict[str, str]]:
    """A metric of all forms and files, side by side: a row for each that has one.

    Forms have mean and spread over the seeds. Files, made of one seed, have their change against
    the table's form of the same seed in brackets.
    """
    form = data['experiment']['table_form']

    def cell(row: Mapping[str, Any], what: str) -> str:
        text = mean_and_spread(seed_values(row, what, column), column.digits)
        change = change_of(row, what, column, form) if what in EXPORTED_KINDS else None
        if change is None:
            return text
        return f'{text} ({round(change, column.digits) + 0.0:+.{column.digits}f})'  # no -0.0

    return _side_by_side(data, cell)


def speed_by_form(data: Data) -> list[dict[str, str]]:
    """Images per second of all forms and files, side by side: a row for each that has some."""

    def cell(row: Mapping[str, Any], what: str) -> str:
        speed = row['speed'].get(what, {})
        spread = ' to '.join(f'{value:.1f}' for value in speed.get('spread', ()))
        return f'{speed_text(speed)} ({spread})' if spread else speed_text(speed)

    return _side_by_side(data, cell)


def _side_by_side(
    data: Data, cell: Callable[[Mapping[str, Any], str], str]
) -> list[dict[str, str]]:
    """A row for each row with results, a column for each form or file that one of them has."""
    cells = {
        name: {what: cell(data['rows'][name], what) for what in (*FORMS, *EXPORTED_KINDS)}
        for name in data['experiment']['published']
        if name in data['rows']
    }
    present = [
        what for what in (*FORMS, *EXPORTED_KINDS) if any(row[what] for row in cells.values())
    ]
    return [
        {'model': name, **{what: row[what] for what in present}}
        for name, row in cells.items()
        if any(row.values())
    ]


def form_table(data: Data) -> list[dict[str, str]]:
    """A row for each form and exported file of each row of the experiment, with all numbers."""
    metrics = [column for column in columns_of(data) if column.is_metric]
    rows = []
    for name in data['experiment']['published']:
        row = data['rows'].get(name, dict(seeds={}, sizes={}, speed={}))
        for what in [form for form in FORMS if form in row['sizes']] + list(EXPORTED_KINDS):
            values = {column.title: seed_values(row, what, column) for column in metrics}
            speed = row['speed'].get(what, {})
            if not any(values.values()) and 'images_per_second' not in speed:
                continue
            size = row['sizes'].get(what)
            rows.append(
                {
                    'model': name,
                    'form': what,
                    '#param.': f'{size["parameters"]:,}' if size else NOT_YET,
                    'FLOPs': giga(size['multiply_adds']) if size else NOT_YET,
                    'MB': _megabytes(row, what),
                    'images/s': speed_text(speed),
                    'from to': ' to '.join(f'{value:.1f}' for value in speed.get('spread', ())),
                    **{c.title: mean_and_spread(values[c.title], c.digits) for c in metrics},
                }
            )
    return rows


def _megabytes(row: Mapping[str, Any], what: str) -> str:
    """The size of an exported file."""
    step = MAKING_STEPS.get(what, '')
    sizes = [steps.get(step, {}).get('megabytes') for steps in row['seeds'].values()]
    return next((f'{size:.1f}' for size in sizes if size), NOT_YET)


def loss_lines(data: Data) -> list[str]:
    """A sentence for each INT8 file that lost more than it should."""
    return [
        f'{name}, seed {seed}: the INT8 file lost more than allowed (max_loss={record["max_loss"]})'
        for name, row in data['rows'].items()
        for seed, steps in row['seeds'].items()
        for record in [steps.get(MAKING_STEPS['int8'], {})]
        if record.get('within_max_loss') is False
    ]


def duration_text(data: Data) -> str:
    """How long the trainings took, and all steps together; empty before the first."""
    runs = [steps for row in data['rows'].values() for steps in row['seeds'].values()]
    trainings = [
        steps['train']['seconds'] / 60 for steps in runs if 'seconds' in steps.get('train', {})
    ]
    if not trainings:
        return NOT_YET
    texts = dict.fromkeys(f'{minutes:.1f}' for minutes in (min(trainings), max(trainings)))
    hours = sum(step.get('seconds', 0) for steps in runs for step in steps.values()) / 3600
    return (
        f'A training took {" to ".join(texts)} minutes (an interrupted one since it went on), all '
        f'steps together {hours:.2g} hours, beside whatever else the machine did.'
    )


def failure_lines(data: Data) -> list[str]:
    """A sentence for each step that failed."""
    return [
        f'{name}, seed {seed}: {step} failed: {record["reason"]}'
        for name, row in data['rows'].items()
        for seed, steps in row['seeds'].items()
        for step, record in steps.items()
        if record['status'] == FAILED
    ]


def as_csv(rows: Sequence[Mapping[str, str]]) -> str:
    """A table as comma-separated values."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def seed_values(row: Mapping[str, Any], what: str, column: Column) -> list[float]:
    """A metric of a form or file for every seed for which it is known."""
    return list(_by_seed(row, what, column).values())


def change_of(row: Mapping[str, Any], what: str, column: Column, form: str) -> float | None:
    """By how much a metric of a file differs from that of a form of the same seeds.

    None where there is nothing to compare.
    """
    values, references = (_by_seed(row, subject, column) for subject in (what, form))
    shared = values.keys() & references.keys()
    return statistics.mean(values[seed] - references[seed] for seed in shared) if shared else None


def _by_seed(row: Mapping[str, Any], what: str, column: Column) -> dict[str, float]:
    """A metric of a form or file by the seeds for which it is known."""
    records = {seed: steps.get(f'test {what}', {}) for seed, steps in row['seeds'].items()}
    return {
        seed: column.scale * record['metrics'][column.value]
        for seed, record in records.items()
        if record.get('status') == DONE and column.value in record['metrics']
    }


def mean_and_spread(values: Sequence[float], digits: int) -> str:
    """The mean, with the standard deviation and the number of values if there are several."""
    if not values:
        return NOT_YET
    mean = f'{statistics.mean(values):.{digits}f}'
    if len(values) == 1:
        return mean
    return f'{mean} ± {statistics.stdev(values):.{digits}f} ({len(values)})'


def giga(count: float) -> str:
    """Multiply-adds with the unit that suits them."""
    return f'{count / 1e9:.2f}G' if count >= 1e9 else f'{count / 1e6:.2f}M'


def speed_text(speed: Mapping[str, Any]) -> str:
    """Images per second; why there are none, if measuring failed."""
    if 'images_per_second' in speed:
        return f'{speed["images_per_second"]:.1f}'
    return speed.get('failure', NOT_YET)


def _cell(data: Data, name: str, column: Column) -> str:
    row = data['rows'].get(name)
    if column.value == 'name':
        failed = row and any(
            record['status'] == FAILED
            for steps in row['seeds'].values()
            for record in steps.values()
        )
        return f'{name} (failed)' if failed else name
    if column.value == 'image_size':
        return ' × '.join(map(str, [3, *data['experiment']['shape']]))  # noqa: RUF001
    if row is None:
        return NOT_YET
    if column.is_metric:
        values = seed_values(row, data['experiment']['table_form'], column)
        return mean_and_spread(values, column.digits)
    return _with_arrow(row, column.value)


def _with_arrow(row: Mapping[str, Any], value: str) -> str:
    """A value of the training form, and of the last form if the network changes."""
    forms = [form for form in FORMS if form in row['sizes']]
    texts = []
    for form in dict.fromkeys([TRAINING, forms[-1] if forms else TRAINING]):
        size, speed = row['sizes'].get(form), row['speed'].get(form, {})
        if value == 'images_per_second':
            texts.append(speed_text(speed))
        elif size:
            parameters = f'{size["parameters"] / 1e6:.2f}M'
            texts.append(parameters if value == 'parameters' else giga(size['multiply_adds']))
    return ARROW.join(text for text in texts if text)
