"""What an experiment found, as files to read: Markdown, CSV and a picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from repnext_mm.experiments.picture import draw_picture
from repnext_mm.experiments.specification import EXPORTED_KINDS
from repnext_mm.experiments.tables import (
    Data,
    as_csv,
    columns_of,
    duration_text,
    failure_lines,
    form_table,
    loss_lines,
    main_table,
    metric_by_form,
    speed_by_form,
)
from repnext_mm.files import write_text
from repnext_mm.timing import format_table

HEADER_KEYS = ('processor', 'threads', 'system', 'torch')
"""What the report says of the machine on which speeds were measured."""


def write_report(data: Data, folder: Path) -> list[Path]:
    """Writes ``table.md``, ``table.csv``, ``forms.csv`` and, once speeds are known, ``table.png``.

    Args:
        data: The contents of ``results.json``.
        folder: For the files.

    Returns:
        Their paths.
    """
    paths = [folder / 'table.md', folder / 'table.csv']
    write_text(paths[0], as_markdown(data))
    write_text(paths[1], as_csv(main_table(data)))
    forms = form_table(data)
    if forms:
        paths.append(folder / 'forms.csv')
        write_text(paths[-1], as_csv(forms))
    if draw_picture(data, folder / 'table.png'):
        paths.append(folder / 'table.png')
    return paths


def as_markdown(data: Data, level: int = 1, remarks: str = '') -> str:
    """All that was found, as a document or a section of one.

    Args:
        data: The contents of ``results.json``.
        level: Of the heading.
        remarks: Text to stand below the heading, such as what the numbers mean.
    """
    experiment = data['experiment']
    parts = [f'{"#" * level} {experiment["title"]}', experiment['description'], remarks.strip()]
    parts += [_origin(data), format_table(main_table(data)), *_form_parts(data)]
    for title, lines in (
        ('Not complete:', failure_lines(data)),
        ('Lossy:', loss_lines(data)),
    ):
        if lines:
            parts += [title, '\n'.join(f'- {line}' for line in lines)]
    return '\n\n'.join(part for part in parts if part) + '\n'


def _form_parts(data: Data) -> list[str]:
    """Forms and files side by side: the first metric, the speed, and, folded, everything."""
    metrics = [column for column in columns_of(data) if column.is_metric]
    everything = form_table(data)
    if not everything:
        return []
    parts = []
    for column in metrics[:1]:
        table = metric_by_form(data, column)
        if table:
            changes = (
                ' In brackets the change of a file, made of one seed, against the '
                f'{data["experiment"]["table_form"]} form of the same seed.'
            )
            has_files = bool(table[0].keys() & set(EXPORTED_KINDS))
            text = f'**{column.title} of all forms and files.**' + changes * has_files
            parts += [text, format_table(table)]
    parts.append(_speed_origin(data))
    table = speed_by_form(data)
    parts += [format_table(table)] if table else []
    parts += [
        '<details><summary>All numbers of all forms and files</summary>',
        format_table(everything),
        '</details>',
    ]
    return parts


def _origin(data: Data) -> str:
    """The command, the machine, and how the table is to be read."""
    name = data['experiment']['name']
    form = data['experiment']['table_form']
    dates = sorted(
        record['date'][:10]
        for row in data['rows'].values()
        for steps in row['seeds'].values()
        for record in steps.values()
    )
    when = f', {" to ".join(dict.fromkeys([dates[0], dates[-1]]))}' if dates else ''
    machine = f' ({machine_text(data["machine"])})' if data.get('machine') else ''
    return (
        f'Measured with `python tools/experiment.py configs/experiments/{name}.py`{when}{machine}. '
        f'Metrics are those of the {form} form; mean ± standard deviation (number of seeds) where '
        'there are several. An arrow leads from the training form to the last inference form. '
        f'FLOPs are multiply-adds of the whole model. {duration_text(data)}'
    ).strip()


def _speed_origin(data: Data) -> str:
    speed = data['speed']
    if not speed:
        return '**Images per second** are not measured yet.'
    text = (
        f'**Images per second of all forms and files**, measured with `--speed-only`, '
        f'{speed["date"][:10]}: whole model with post-processing, one image at a time, '
        f'{speed["images"]} test images, all rows in turn, {speed["rounds"]} rounds, median and in '
        f'brackets 5th to 95th percentile ({machine_text(speed["machine"])}).'
    )
    warnings = list(dict.fromkeys(speed['warnings']))
    return '\n\n'.join([text, *(f'**Busy machine**: {warning}.' for warning in warnings)])


def machine_text(machine: Mapping[str, Any]) -> str:
    """What a report says of a machine."""
    return ', '.join(f'{key}: {machine[key]}' for key in HEADER_KEYS if key in machine)
