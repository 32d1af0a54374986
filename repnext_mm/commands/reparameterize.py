"""Merges a trained checkpoint: the branches of RepNeXt become one convolution each.

The result fits the same config with deploy=FORM in its backbone. It is written only if
both forms give the same features on a batch of random images.
"""

import argparse
from pathlib import Path

import repnext_mm.registry  # noqa: F401 (says so if mmengine is missing)

# isort: split
from mmengine.registry import init_default_scope

from repnext_mm.checkpoints.files import check_checkpoint_path, write_checkpoint
from repnext_mm.checkpoints.merging import TOLERANCE, form_aware_parts, merge_checkpoint
from repnext_mm.export.data import read_test_data
from repnext_mm.launch.command_line import add_form_option, build_parser, load_config
from repnext_mm.reparam import INFERENCE_FORMS
from repnext_mm.reparam.forms import AUTO


def parse_args() -> argparse.Namespace:
    parser = build_parser(__doc__)
    parser.add_argument('source', help='checkpoint of the training form, in any known layout')
    parser.add_argument('target', help='file to write: .pth or .safetensors')
    add_form_option(
        parser,
        'form to merge to; auto: to the fastest here; default: fused',
        '--mode',
        (*INFERENCE_FORMS, AUTO),
        default='fused',
    )
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        metavar=('H', 'W'),
        help='of the image for --form auto; default: that of a 4:3 image in the test pipeline',
    )
    parser.add_argument(
        '--tolerance', type=float, default=TOLERANCE, help='relative, for the features'
    )
    args = parser.parse_args()
    if args.launcher != 'none':
        parser.error('merging takes one process: leave --launcher out')
    if args.shape and args.form != AUTO:
        parser.error('--shape is for --form auto')
    if not Path(args.source).is_file():
        parser.error(f'there is no checkpoint {args.source!r}')
    if Path(args.target).resolve() == Path(args.source).resolve():
        parser.error('source and target are the same file')
    return args


def main() -> None:
    args = parse_args()
    check_checkpoint_path(args.target)
    cfg = load_config(args)
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    shape = None
    if args.form == AUTO:
        shape = args.shape or read_test_data(cfg, keeps_positions=False, count=0).usual_shape()
    state, meta = merge_checkpoint(cfg, args.source, args.form, args.tolerance, shape)
    write_checkpoint(args.target, state, meta)
    options = ' '.join(f'{path}.deploy={meta["form"]}' for path in form_aware_parts(cfg.model))
    print(
        f'Features differ by {meta["difference"]:.1e} at most. Written to {args.target}: test it '
        f'with --cfg-options {options}'
    )
