"""Says what lies behind the number of a test: classes, sizes, errors, thresholds, images.

Writes analysis.html, which needs no other file, analysis.json and pictures.
"""

import argparse
from pathlib import Path
from typing import Any

import repnext_mm.registry  # noqa: F401 (says so if mmengine is missing)

# isort: split
from mmengine.config import Config
from mmengine.logging import print_log

from repnext_mm.analysis.report import AnalysisReport, write_analysis
from repnext_mm.analysis.samples import AnalysisHook, read_predictions
from repnext_mm.analysis.sections import metrics_section
from repnext_mm.analysis.settings import AnalysisSettings
from repnext_mm.analysis.tasks import Analysis, build_analysis
from repnext_mm.checks.batches import explained_batch_errors
from repnext_mm.commands.test import (
    CHECKPOINT_HELP,
    add_test_options,
    build_test_runner,
    check_test_options,
    tested_form,
    use_tested,
)
from repnext_mm.launch.command_line import build_parser, load_config

FOLDER = 'analysis'
"""In the work dir, where nothing else is said."""


def parse_args() -> argparse.Namespace:
    parser = build_parser(__doc__)
    parser.add_argument('checkpoint', nargs='?', help=f'{CHECKPOINT_HELP}; not with --predictions')
    add_test_options(parser)
    parser.add_argument(
        '--predictions',
        metavar='FILE',
        help='analyse these predictions of the test data, which tools/test.py --out wrote; with '
        '--trust-file, because a pickle file can run code',
    )
    parser.add_argument('--output', help=f'folder for what is written; default: WORK_DIR/{FOLDER}')
    parser.add_argument(
        '--pictures', type=int, default=8, help='how many worst and best images to show; default: 8'
    )
    parser.add_argument(
        '--score-threshold',
        type=float,
        help='detections that count as predicted in the confusion matrix and on pictures; default: '
        'the threshold that is best for each class',
    )
    args = parser.parse_args()
    if bool(args.checkpoint) == bool(args.predictions):
        parser.error('give either a checkpoint or an exported file, or --predictions')
    if args.launcher != 'none':
        parser.error(
            'an analysis runs in one process: leave --launcher out, or test in several with '
            'tools/test.py --out FILE.pkl, and analyse that file with --predictions'
        )
    if args.pictures < 0:
        parser.error(f'--pictures is a number of images from 0 on, got {args.pictures}')
    if args.score_threshold is not None and not 0 <= args.score_threshold <= 1:
        parser.error(f'--score-threshold lies between 0 and 1, got {args.score_threshold}')
    if args.checkpoint:
        check_test_options(parser, args)
    elif not Path(args.predictions).is_file():
        parser.error(f'there is no file {args.predictions!r}')
    elif not args.trust_file:
        parser.error(
            f'{args.predictions} is a pickle file, which can run code when it is read: if you know who '
            'made it, say --trust-file'
        )
    return args


def main() -> None:
    args = parse_args()
    cfg = load_config(args)
    settings = AnalysisSettings(args.pictures, args.score_threshold)
    if args.predictions:
        analysis = build_analysis(cfg, settings)
        for sample in read_predictions(args.predictions):
            analysis.take(sample)
        report = analysis.report()
        source: dict[str, Any] = dict(config=args.config, predictions=args.predictions)
    else:
        report, source = run_test(cfg, args, settings)
    folder = Path(args.output or Path(cfg.work_dir) / FOLDER)
    title = f'Analysis of {Path(args.config).stem}'
    path = write_analysis(report, folder, title, source)
    print_log(f'Analysis written to {path}', logger='current')


def run_test(
    cfg: Config, args: argparse.Namespace, settings: AnalysisSettings
) -> tuple[AnalysisReport, dict[str, Any]]:
    """Tests a checkpoint or exported file, and analyses its predictions.

    Returns:
        What was found, with the evaluator's metrics; and what was analysed.
    """
    form = use_tested(cfg, args)
    analysis: Analysis = build_analysis(cfg, settings)
    runner = build_test_runner(cfg, args)
    runner.register_hook(AnalysisHook(analysis.take))
    with explained_batch_errors():
        metrics = runner.test()
    report = analysis.report()
    form, _ = tested_form(runner, form)
    report = AnalysisReport(
        dict(metrics=metrics, **report.numbers), [*report.sections, metrics_section(metrics)]
    )
    source = dict(
        config=args.config,
        checkpoint=args.checkpoint,
        form=form,
        runtime=args.runtime,
        test_time_augmentation=args.tta,
    )
    return report, source
