"""Trains a detector, segmentor or classifier from a config."""

import argparse

from repnext_mm.checks.batches import explained_batch_errors
from repnext_mm.checks.run import check_run
from repnext_mm.launch.command_line import (
    add_checks_option,
    build_parser,
    build_runner,
    load_config,
)
from repnext_mm.launch.replaced_weights import drop_replaced_weights
from repnext_mm.training.resume import LATEST, make_deterministic, prepare_resume


def parse_args() -> argparse.Namespace:
    parser = build_parser(__doc__)
    add_checks_option(parser)
    parser.add_argument(
        '--data',
        metavar='FOLDER',
        help='for configs/own: the data to train on; classes, sizes and schedule follow from them',
    )
    parser.add_argument(
        '--class-weights',
        action='store_true',
        help='with --data and label maps: let rare classes count more in the loss',
    )
    parser.add_argument(
        '--iterations', type=int, help='with --data: instead of the number that is suggested'
    )
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
    args = parser.parse_args()
    if not args.data and (args.class_weights or args.iterations is not None):
        parser.error('--class-weights and --iterations need --data')
    if args.iterations is not None and args.iterations < 2:
        parser.error(f'--iterations is at least 2, got {args.iterations}')
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
    prepare_resume(cfg, args.resume)
    if args.new_schedule:
        hooks = list(cfg.get('custom_hooks') or [])
        cfg.custom_hooks = [*hooks, dict(type='repnext_mm.ConfigScheduleHook')]
    drop_replaced_weights(cfg)
    make_deterministic(cfg)
    check_run(cfg, 'train', 'val')
    with explained_batch_errors():
        build_runner(cfg).train()
