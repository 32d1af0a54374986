"""What a check has found, and how a run ends or goes on with it."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from mmengine.logging import print_log

Level = Literal['error', 'warning']


@dataclass(frozen=True)
class Finding:
    """One kind of trouble in one place."""

    level: Level
    """``'error'``: certainly wrong. ``'warning'``: likely wrong, and some people mean it."""

    kind: str
    """Short name of the check, such as ``'order-of-classes'``, to count and to leave out by."""

    place: str
    """File or setting that is wrong, such as ``'data/train.json'``."""

    message: str
    """Trouble and an example of it, in a sentence that names the bad value."""

    remedy: str
    """Next step of the user, in a sentence."""

    def __str__(self) -> str:
        return f'{self.place}: {self.message}. {self.remedy}'


class ChecksFailedError(ValueError):
    """Config, data and checkpoint certainly do not fit each other.

    Attributes:
        findings: The errors among the findings, in order.
    """

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings
        lines = [f'- {finding} [{finding.kind}]' for finding in findings]
        super().__init__('\n'.join([f'{len(findings)} problem(s) found:', *lines]))


def report(findings: Iterable[Finding]) -> None:
    """Logs the warnings among findings, then raises for the errors.

    Args:
        findings: Results of one or several checks; equal ones count once.

    Raises:
        ChecksFailedError: If any of them is an error; its message lists them all.
    """
    unique = list(dict.fromkeys(findings))
    for finding in unique:
        if finding.level == 'warning':
            print_log(f'{finding} [{finding.kind}]', logger='current', level=logging.WARNING)
    errors = [finding for finding in unique if finding.level == 'error']
    if errors:
        raise ChecksFailedError(errors)
