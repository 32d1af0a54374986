"""The checks that the tools run before anything slow."""

import os
import time
from collections.abc import Callable, Iterable

from mmengine.config import Config
from mmengine.logging import print_log

from repnext_mm.checks.data import check_datasets
from repnext_mm.checks.findings import Finding, report
from repnext_mm.checks.kinds import ALL, check_kinds
from repnext_mm.checks.presence import check_data, check_pretrained

Check = Callable[[Config, tuple[str, ...]], Iterable[Finding]]


def find_in_data(cfg: Config, splits: tuple[str, ...]) -> list[Finding]:
    """Findings in data, and in the config against it."""
    return check_datasets(cfg, *splits).findings


RUN_CHECKS: tuple[Check, ...] = (find_in_data,)
"""Each takes a config and the splits that will be used, and gives findings."""


def check_run(cfg: Config, *splits: str) -> None:
    """Makes sure that data and weights are there, and that they and the config fit each other.

    In distributed training the first process checks for all, as they end together.

    Args:
        cfg: A config; kinds of findings in ``cfg.checks.skip`` are left out.
        splits: Of ``'train'``, ``'val'`` and ``'test'``: those that the run will use.

    Raises:
        FileNotFoundError: If a file or folder is missing.
        ChecksFailedError: If something is certainly wrong; what is only likely is a warning in
            the log.
        ValueError: If there is no such kind to skip.
    """
    skipped = skipped_kinds(cfg)
    check_data(cfg, *splits)
    if 'train' in splits:
        check_pretrained(cfg)
    if ALL in skipped:
        return
    if cfg.get('launcher') == 'pytorch' and os.environ.get('RANK', '0') != '0':
        return
    began = time.perf_counter()
    findings = [finding for check in RUN_CHECKS for finding in _run(check, cfg, splits)]
    report(finding for finding in findings if finding.kind not in skipped)
    print_log(
        f'Config and data were checked in {time.perf_counter() - began:.1f} s', logger='current'
    )


def skipped_kinds(cfg: Config) -> list[str]:
    """The kinds of findings that a config leaves out.

    Raises:
        ValueError: If there is no such kind.
    """
    skipped = (cfg.get('checks') or {}).get('skip') or []
    kinds = [skipped] if isinstance(skipped, str) else list(skipped)
    check_kinds(kinds)
    return kinds


def _run(check: Check, cfg: Config, splits: tuple[str, ...]) -> Iterable[Finding]:
    """Findings of a check; one that breaks on data nobody has foreseen must not end a run."""
    try:
        return list(check(cfg, splits))
    except Exception as error:
        return [
            Finding(
                'warning',
                'unchecked',
                f'repnext_mm.checks.{check.__name__}',
                f'the check itself failed with {type(error).__name__}: {error}',
                'Nothing is known about the data, good or bad; please report this',
            )
        ]
