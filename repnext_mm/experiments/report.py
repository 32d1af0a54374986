"""What an experiment found, as files to read: Markdown, CSV and a picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from repnext_mm.experiments.picture import draw_picture
from repnext_mm.experiments.tables import Data, as_csv, failure_lines, form_table, main_table
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
    parts += [_origin(data), format_table(main_table(data))]
    forms = form_table(data)
    if forms:
        parts += [_speed_origin(data), format_table(forms)]
    failures = failure_lines(data)
    if failures:
        parts += ['Not complete:', '\n'.join(f'- {line}' for line in failures)]
    return '\n\n'.join(part for part in parts if part) + '\n'


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
        'FLOPs are multiply-adds of the whole model.'
    )


def _speed_origin(data: Data) -> str:
    speed = data['speed']
    if not speed:
        return 'All forms and exported files; their speed is not measured yet.'
    text = (
        f'All forms and exported files. Speed: `--speed-only`, {speed["date"][:10]}, whole model '
        f'with post-processing, one image at a time, {speed["images"]} test images, all rows in '
        f'turn, {speed["rounds"]} rounds, median and 5th to 95th percentile '
        f'({machine_text(speed["machine"])}).'
    )
    warnings = list(dict.fromkeys(speed['warnings']))
    return '\n\n'.join([text, *(f'**Busy machine**: {warning}.' for warning in warnings)])


def machine_text(machine: Mapping[str, Any]) -> str:
    """What a report says of a machine."""
    return ', '.join(f'{key}: {machine[key]}' for key in HEADER_KEYS if key in machine)
