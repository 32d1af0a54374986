"""Tests a checkpoint: AP, mIoU or accuracy, on the merged network unless told otherwise.

In the checkpoint's place may stand a file of tools/export.py, which is tested as it is.
"""

import argparse
from pathlib import Path

import repnext_mm.registry  # noqa: F401 (says so if mmengine is missing)

# isort: split
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.runner import Runner

from repnext_mm.checks.batches import explained_batch_errors
from repnext_mm.checks.checkpoint_fit import CheckpointFitHook
from repnext_mm.checks.run import check_run
from repnext_mm.evaluation.exported_model import is_exported, use_exported
from repnext_mm.files import to_json, write_text
from repnext_mm.hooks import ReparameterizeHook
from repnext_mm.launch.command_line import (
    add_checks_option,
    add_form_option,
    add_trust_option,
    build_parser,
    build_runner,
    check_trust,
    load_config,
)
from repnext_mm.launch.forms import choose_form
from repnext_mm.launch.pictures import enable_pictures
from repnext_mm.launch.predictions import PredictionHook
from repnext_mm.launch.test_time_augmentation import enable_tta
from repnext_mm.reparam.fastest import LAYOUTS
from repnext_mm.reparam.forms import AUTO, FORMS

CHECKPOINT_HELP = 'checkpoint file, in any known layout, or a file of tools/export.py'


def parse_args() -> argparse.Namespace:
    parser = build_parser(__doc__)
    parser.add_argument('checkpoint', help=CHECKPOINT_HELP)
    add_test_options(parser)
    parser.add_argument('--out', help='write the predictions to this .pkl file')
    parser.add_argument('--show', action='store_true', help='show predictions in a window')
    parser.add_argument(
        '--show-dir',
        help='draw predictions, beside the ground truth if there is one, in this folder',
    )
    parser.add_argument('--wait-time', type=float, default=2, help='seconds for each --show')
    args = parser.parse_args()
    if args.out and not args.out.endswith(('.pkl', '.pickle')):
        parser.error(f'--out writes a pickle file, so it must end in .pkl; got {args.out!r}')
    check_test_options(parser, args)
    return args


def add_test_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say what is tested, and how; for all that runs a test."""
    add_checks_option(parser)
    add_form_option(
        parser,
        'test the training form, or merged to this form; auto: to the fastest on the first batch; '
        "default: that of the config's backbone or ReparameterizeHook, or fused",
        old='--deploy',
        forms=(*FORMS, AUTO),
    )
    parser.add_argument(
        '--layout', choices=LAYOUTS, help='of the merged weights; what --form auto has chosen'
    )
    parser.add_argument(
        '--runtime',
        help='for an exported file: openvino for ONNX, where onnxruntime is the default',
    )
    add_trust_option(parser)
    parser.add_argument(
        '--allow-partial',
        action='store_true',
        help='test a checkpoint that lacks a part of the model, which stays random',
    )
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')


def check_test_options(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Ends the program if options and file do not fit; sets ``args.exported``."""
    args.exported = is_exported(args.checkpoint)
    path = Path(args.checkpoint)  # a package of Core ML is a folder
    there = path.exists() if args.exported else path.is_file()
    if not there and not args.checkpoint.startswith(('http:', 'https:')):
        parser.error(f'there is no checkpoint {args.checkpoint!r}')
    if args.exported and (args.form or args.layout or args.tta):
        parser.error(
            'an exported file has one form, and takes images as they are: leave --form, --layout '
            'and --tta out'
        )
    if args.exported:
        check_trust(parser, args, [args.checkpoint])
    if args.exported and args.launcher != 'none':
        parser.error('an exported file is tested in one process: leave --launcher out')
    if args.runtime and not args.exported:
        parser.error(f'--runtime is for exported files, {args.checkpoint!r} is none')


def use_tested(cfg: Config, args: argparse.Namespace) -> str:
    """Makes a config test the checkpoint or file of the command line; returns its form."""
    cfg.resume = False  # a config that a resumed training left behind says otherwise
    if args.exported:
        form = use_exported(cfg, args.checkpoint, args.runtime, args.trust_file).form
    else:
        cfg.load_from = args.checkpoint
        form = choose_form(cfg, args.form, args.layout)
    check_run(cfg, 'test')
    return form


def build_test_runner(cfg: Config, args: argparse.Namespace) -> Runner:
    """Builds the Runner of a config that :func:`use_tested` has changed."""
    if args.tta:
        enable_tta(cfg)
    runner = build_runner(cfg, summary=True)
    if not args.exported:
        runner.register_hook(CheckpointFitHook(args.checkpoint, args.allow_partial))
    return runner


def tested_form(runner: Runner, form: str) -> tuple[str, dict | None]:
    """The form that was tested, and what ``'auto'`` has measured for the choice."""
    hooks = [hook for hook in runner.hooks if isinstance(hook, ReparameterizeHook)]
    choice = hooks[0].choice if hooks else None
    return (choice.form, choice.to_json()) if choice else (form, None)


def main() -> None:
    args = parse_args()
    cfg = load_config(args)
    form = use_tested(cfg, args)
    if args.show or args.show_dir:
        enable_pictures(cfg, args.show_dir, args.show, args.wait_time)
    runner = build_test_runner(cfg, args)
    if args.out:
        runner.register_hook(PredictionHook(cfg.get('default_scope'), args.out))
    with explained_batch_errors():
        metrics = runner.test()
    if is_main_process():
        form, choice = tested_form(runner, form)
        summary = dict(
            config=args.config,
            checkpoint=args.checkpoint,
            form=form,
            choice=choice,
            runtime=args.runtime,
            tta=args.tta,
            metrics=metrics,
        )
        path = Path(runner.work_dir) / 'metrics.json'
        write_text(path, to_json(summary))
        runner.logger.info(f'Metrics written to {path}')
