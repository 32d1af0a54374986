"""Results of the sweep: the JSON file, and the tables made of it."""

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from repnext_mm.files import write_text
from sweep.methods import METHODS
from sweep.steps import STEPS, WORKS

Records = dict[str, dict[str, Any]]
"""By package and config, what :func:`sweep.steps.examine` returned."""

MARKS = {True: 'yes', False: 'no', None: ''}


def read_records(path: Path) -> Records:
    """The records of an earlier run, of methods that there still are; none if there is no file."""
    records: Records = json.loads(path.read_text())['methods'] if path.is_file() else {}
    return {name: record for name, record in records.items() if name in METHODS}


def write_records(path: Path, records: Records) -> None:
    """Writes all records, with the versions of the packages that they are of."""
    data = dict(packages=packages(), methods=dict(sorted(records.items())))
    write_text(path, json.dumps(data, indent=1) + '\n')


def packages() -> dict[str, str]:
    """The installed distributions of the mm packages, and their versions."""
    names = ('mmengine', 'mmcv', 'mmcv-lite', 'mmdet', 'mmsegmentation')
    names += ('onedl-mmengine', 'onedl-mmcv', 'onedl-mmdetection', 'onedl-mmsegmentation')
    found = {d.name: d.version for d in importlib.metadata.distributions()}
    return {name: found[name] for name in (*names, 'torch') if name in found}


def steps_in(records: Records) -> list[str]:
    """The steps that were tried, in their order."""
    return [step for step in STEPS if any(step in record for record in records.values())]


def totals(records: Records) -> list[str]:
    """A table of how many methods went through each step, by package."""
    steps = steps_in(records)
    kinds = sorted({name.split('/')[0] for name in records})
    lines = ['| step | ' + ' | '.join(kinds) + ' |', '|---|' + '---|' * len(kinds)]
    for step in steps:
        cells = []
        for kind in kinds:
            own = [r for name, r in records.items() if name.startswith(f'{kind}/') and step in r]
            cells.append(f'{sum(r[step] == WORKS for r in own)} of {len(own)}')
        lines.append(f'| {step} | ' + ' | '.join(cells) + ' |')
    return lines


def failures(records: Records) -> list[str]:
    """A table of the methods that did not go through all steps, with the reason of each."""
    lines = ['| method | step | reason |', '|---|---|---|']
    for name in METHODS:
        record = records.get(name, {})
        for step in STEPS:
            if record.get(step, WORKS) != WORKS:
                text = record[step].partition('. ')[0].replace('|', '\\|')
                lines.append(f'| `{name}` | {step} | {text} |')
    return lines


def by_method(records: Records, steps: Sequence[str]) -> list[str]:
    """A table of all methods and steps."""
    lines = ['| method | ' + ' | '.join(steps) + ' |', '|---|' + '---|' * len(steps)]
    for name in METHODS:
        if name in records:
            cells = [MARKS[_worked(records[name], step)] for step in steps]
            lines.append(f'| `{name}` | ' + ' | '.join(cells) + ' |')
    return lines


def _worked(record: Mapping[str, Any], step: str) -> bool | None:
    return record[step] == WORKS if step in record else None
