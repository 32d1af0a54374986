"""Checks the data of a config: every kind of trouble that training would meet, and a page about it.

Writes index.html, which needs no other file, and report.json into work_dirs/check/NAME_OF_CONFIG or
--work-dir. The exit status is 1 if something is certainly wrong.
"""

import argparse
import logging
from pathlib import Path

import repnext_mm.registry  # noqa: F401 (says so if mmengine is missing)

# isort: split
from mmengine.logging import MMLogger

from repnext_mm.checks.inspection.inspector import inspect_data
from repnext_mm.checks.presence import check_data
from repnext_mm.checks.run import skipped_kinds
from repnext_mm.launch.command_line import add_checks_option, build_parser, load_config


def parse_args() -> argparse.Namespace:
    parser = build_parser(__doc__)
    add_checks_option(parser)
    parser.add_argument(
        '--all', action='store_true', help='read every image and label map whole, and not only some'
    )
    parser.add_argument(
        '--strict', action='store_true', help='exit with status 1 after warnings too'
    )
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    name = Path(args.config).stem
    folder = Path(args.work_dir or f'work_dirs/check/{name}')
    cfg = load_config(args)
    skipped = skipped_kinds(cfg)
    check_data(cfg, 'train', 'val', 'test')
    findings = inspect_data(cfg, folder, name, args.all, skipped)
    logger = MMLogger.get_current_instance()
    for finding in findings:
        level = logging.ERROR if finding.level == 'error' else logging.WARNING
        logger.log(level, f'{finding} [{finding.kind}]')
    errors = sum(finding.level == 'error' for finding in findings)
    logger.info(
        f'{errors} error(s), {len(findings) - errors} warning(s); the page is {folder}/index.html'
    )
    return int(errors > 0 or (args.strict and bool(findings)))
