"""What was found for every row, in one file that is whole at any time."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from repnext_mm.experiments.specification import Experiment
from repnext_mm.files import to_plain, write_text

DONE, FAILED = 'done', 'failed'
"""Status of a step in the file; a step that was interrupted is not there."""


class Results:
    """The contents of ``results.json``, written anew with every addition.

    Args:
        path: Of the file, which is read if it is there.
        experiment: Whose results they are; its columns replace those of the file.
    """

    def __init__(self, path: Path, experiment: Experiment):
        self.path = path
        self.data: dict[str, Any] = dict(rows={}, speed={})
        if path.is_file():
            self.data = json.loads(path.read_text(encoding='utf-8'))
        self.data['experiment'] = experiment.as_record()

    def row(self, name: str) -> dict[str, Any]:
        """The record of a row: ``seeds``, ``sizes``, ``speed`` and what identifies its config."""
        empty: dict[str, Any] = dict(seeds={}, sizes={}, speed={})
        return self.data['rows'].setdefault(name, empty)

    def step(self, name: str, seed: int, step: str) -> dict[str, Any]:
        """The record of a step; empty if it has not ended yet."""
        return self.row(name)['seeds'].get(str(seed), {}).get(step, {})

    def is_done(self, name: str, seed: int, step: str) -> bool:
        """Whether a step has ended well."""
        return self.step(name, seed, step).get('status') == DONE

    def record(self, name: str, seed: int, step: str, status: str, **found: Any) -> None:
        """Keeps the end of a step and writes the file."""
        steps = self.row(name)['seeds'].setdefault(str(seed), {})
        steps[step] = dict(status=status, date=now(), **found)
        self.write()

    def update_row(self, name: str, **found: Any) -> None:
        """Keeps what is known of a row and writes the file."""
        self.row(name).update(found)
        self.write()

    def write(self) -> None:
        """Writes the file."""
        write_text(self.path, json.dumps(self.data, indent=1, default=to_plain) + '\n')


def read_results(path: Path) -> Mapping[str, Any]:
    """Reads the contents of a file of results.

    Raises:
        FileNotFoundError: If there is none.
    """
    if not path.is_file():
        raise FileNotFoundError(f'there are no results {path}: tools/experiment.py writes them')
    return json.loads(path.read_text(encoding='utf-8'))


def now() -> str:
    """The date and time, to the minute, with its zone."""
    return datetime.now().astimezone().isoformat(timespec='minutes')
