"""The checks that the tools run before anything slow."""

import os
import time
from collections.abc import Callable, Iterable, Iterator

from mmengine.config import Config
from mmengine.logging import print_log

from repnext_mm.checks.batches import check_batches
from repnext_mm.checks.data import check_datasets
from repnext_mm.checks.findings import Finding, report
from repnext_mm.checks.kinds import ALL, check_kinds
from repnext_mm.checks.metric_keys import check_metric_keys
from repnext_mm.checks.presence import check_data, check_pretrained
from repnext_mm.checks.schedule import check_schedule
from repnext_mm.checks.settings import check_settings

Check = Callable[[Config, tuple[str, ...]], Iterable[Finding]]


def find_in_settings(cfg: Config, splits: tuple[str, ...]) -> Iterator[Finding]:
    """Findings in the config alone."""
    yield from check_settings(cfg, *splits)
    if 'train' in splits:
        yield from check_metric_keys(cfg)
        yield from check_schedule(cfg)


def find_in_data(cfg: Config, splits: tuple[str, ...]) -> list[Finding]:
    """Findings in data, and in the config against it."""
    return check_datasets(cfg, *splits).findings


def find_in_batches(cfg: Config, splits: tuple[str, ...]) -> Iterator[Finding]:
    """Findings in the batches that pipelines will make of the images."""
    return check_batches(cfg, *splits)


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
    others = cfg.get('launcher') == 'pytorch' and os.environ.get('RANK', '0') != '0'
    looks = ALL not in skipped and not others
    if looks:
        _report(cfg, splits, skipped, find_in_settings)
    check_data(cfg, *splits)
    if 'train' in splits:
        check_pretrained(cfg)
    if not looks:
        return
    began = time.perf_counter()
    _report(cfg, splits, skipped, find_in_data, find_in_batches)
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


def _report(cfg: Config, splits: tuple[str, ...], skipped: list[str], *checks: Check) -> None:
    """Reports what checks find, but for the kinds that are skipped."""
    findings = [finding for check in checks for finding in _run(check, cfg, splits)]
    report(finding for finding in findings if finding.kind not in skipped)


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
                'Nothing is known of what it looks at, good or bad; please report this',
            )
        ]
