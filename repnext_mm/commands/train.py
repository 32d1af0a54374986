"""Trains a detector, segmentor or classifier from a config."""

import argparse

import repnext_mm.registry  # noqa: F401 (says so if mmengine is missing)

# isort: split
from mmengine.config import Config

from repnext_mm.checks.batches import explained_batch_errors
from repnext_mm.checks.run import check_run
from repnext_mm.launch.command_line import (
    add_checks_option,
    add_own_data_options,
    build_parser,
    build_runner,
    check_own_data_options,
    load_config,
    write_reasons,
)
from repnext_mm.launch.replaced_weights import drop_replaced_weights
from repnext_mm.launch.sole_use import sole_use
from repnext_mm.launch.watching import add_watching_options, use_watching_options
from repnext_mm.training.resume import LATEST, make_deterministic, prepare_resume


def parse_args() -> argparse.Namespace:
    parser = build_parser(__doc__)
    add_checks_option(parser)
    add_own_data_options(parser)
    parser.add_argument('--amp', action='store_true', help='train with mixed precision')
    parser.add_argument(
        '--auto-scale-lr', action='store_true', help='scale the learning rate with the batch size'
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const=LATEST,
        help='resume from this checkpoint, or from the latest good one of the work dir, if any',
    )
    parser.add_argument(
        '--new-schedule',
        action='store_true',
        help="when resuming: learning rate and schedule of the config, not the checkpoint's",
    )
    add_watching_options(parser)
    args = parser.parse_args()
    check_own_data_options(parser, args)
    return args


def main() -> None:
    args = parse_args()
    cfg = load_config(args)
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise ValueError(
                f'--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) in {args.config}'
            )
        cfg.auto_scale_lr.enable = True
    with sole_use(cfg.work_dir, args.launcher):
        write_reasons(cfg, args)
        train(cfg, args)


def train(cfg: Config, args: argparse.Namespace) -> None:
    """Trains by a config and the options that are not in it yet."""
    prepare_resume(cfg, args.resume)
    if args.new_schedule:
        hooks = list(cfg.get('custom_hooks') or [])
        cfg.custom_hooks = [*hooks, dict(type='repnext_mm.ConfigScheduleHook')]
    drop_replaced_weights(cfg)
    use_watching_options(cfg, args)
    make_deterministic(cfg)
    check_run(cfg, 'train', 'val')
    with explained_batch_errors():
        build_runner(cfg, summary=True).train()
