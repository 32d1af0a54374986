"""Prunes a trained network: fewer channels, in a checkpoint and a config that rebuilds it.

Beside the checkpoint lies a config of the same name, which train.py (to fine-tune), test.py,
export.py and quantize.py take.
"""

import argparse
from pathlib import Path

import repnext_mm.registry  # noqa: F401 (says so if mmengine is missing)

# isort: split
from mmengine.registry import init_default_scope

from repnext_mm.checkpoints.files import check_checkpoint_path
from repnext_mm.checkpoints.loading import build_model
from repnext_mm.checks.presence import check_data
from repnext_mm.evaluation.complexity import complexity_of
from repnext_mm.launch.command_line import build_parser, load_config
from repnext_mm.pruning.channels import CRITERIA, torch_pruning
from repnext_mm.pruning.pipeline import (
    PRUNABLE_FORMS,
    Request,
    check_output,
    prune_checkpoint,
    write_pruned,
)
from repnext_mm.pruning.targets import SCOPES
from repnext_mm.reparam import TRAINING, reparameterize_model


def parse_args() -> argparse.Namespace:
    parser = build_parser(__doc__)
    parser.add_argument('checkpoint', help='trained checkpoint, in any known layout')
    parser.add_argument(
        '--ratio', type=float, required=True, help='share of channels that each layer loses: 0.3'
    )
    parser.add_argument('--output', required=True, help='file to write: .pth or .safetensors')
    parser.add_argument(
        '--criterion', default='magnitude', help=f'one of {CRITERIA}; default: magnitude'
    )
    parser.add_argument(
        '--form',
        default=TRAINING,
        help=f'form to prune, one of {PRUNABLE_FORMS}; default: {TRAINING}',
    )
    parser.add_argument(
        '--scope',
        default='hidden',
        help=f'one of {SCOPES}: widths inside of layers (default), or those of the stages too',
    )
    parser.add_argument(
        '--batches', type=int, default=8, help='batches of training data for taylor; default: 8'
    )
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        default=(224, 224),
        metavar=('HEIGHT', 'WIDTH'),
        help='image for which the arithmetic is counted',
    )
    args = parser.parse_args()
    if args.launcher != 'none':
        parser.error('pruning takes one process: leave --launcher out')
    if not Path(args.checkpoint).is_file():
        parser.error(f'there is no checkpoint {args.checkpoint!r}')
    try:
        args.request = Request(args.ratio, args.criterion, args.form, args.scope, args.batches)
    except ValueError as error:
        parser.error(str(error))
    return args


def main() -> None:
    args = parse_args()
    torch_pruning()
    check_checkpoint_path(args.output)
    check_output(args.output, args.config)
    cfg = load_config(args)
    if args.criterion == 'taylor':
        check_data(cfg, 'train')
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    pruned = prune_checkpoint(cfg, args.checkpoint, args.request)
    dense = build_model(cfg).eval()
    if args.form != TRAINING:
        dense = reparameterize_model(dense, args.form, fold_conv_bn=False)
    before, after = (complexity_of(m, tuple(args.shape)) for m in (dense, pruned.model))
    config = write_pruned(pruned, args.output, args.config, args.cfg_options)
    for name in ('parameters', 'multiply_adds'):
        old, new = getattr(before, name), getattr(after, name)
        print(f'{name.replace("_", "-")}: {old:,} -> {new:,} ({new / old:.1%})')
    print(f'Written to {args.output} and {config}: fine-tune with tools/train.py {config}')
