"""Exports a model to every format that is installed, and compares size, difference and speed.

Writes the files, and formats.md and formats.json about them, to the work dir. Speeds are relative to
the merged model in torch, measured in turn in one run, for one image of one size.
"""

import argparse
import sys
from itertools import product
from pathlib import Path

import repnext_mm.registry  # noqa: F401 (says so if mmengine is missing)

# isort: split
from mmengine.registry import init_default_scope

from repnext_mm.border import program_name
from repnext_mm.checkpoints.loading import build_model, load_parts
from repnext_mm.evaluation.benchmark.machine import LoadWatch, describe_machine
from repnext_mm.evaluation.file_formats import PRECISIONS, FileKind, compare_formats
from repnext_mm.export.formats import FORMATS
from repnext_mm.export.options import PARTS, ExportOptions
from repnext_mm.export.tasks import task_of
from repnext_mm.files import to_json, write_text
from repnext_mm.launch.command_line import build_parser, load_config
from repnext_mm.reparam.forms import FORMS
from repnext_mm.timing import format_table


def parse_args() -> argparse.Namespace:
    parser = build_parser(__doc__)
    parser.add_argument('checkpoint', nargs='?', help='default: random weights')
    parser.add_argument('--form', choices=FORMS, default='fused', help='default: fused')
    parser.add_argument('--part', default='model', help=f'one of {PARTS}')
    parser.add_argument('--formats', nargs='+', choices=FORMATS, default=tuple(FORMATS))
    parser.add_argument('--precisions', nargs='+', choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        metavar=('H', 'W'),
        help='size of the image; default: that of a 4:3 image in the test pipeline',
    )
    parser.add_argument('--rounds', type=int, default=20, help='how often to time each file')
    args = parser.parse_args()
    if args.launcher != 'none':
        parser.error('measuring takes one process: leave --launcher out')
    if args.checkpoint and not Path(args.checkpoint).is_file():
        parser.error(f'there is no checkpoint {args.checkpoint!r}')
    return args


def main() -> int:
    args = parse_args()
    watch = LoadWatch()
    cfg = load_config(args)
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    model = build_model(cfg).eval()
    if args.checkpoint:
        load_parts(model, args.checkpoint, task_of(model, args.part).parts_of(args.part))
    shape = tuple(args.shape) if args.shape else None
    options = ExportOptions(form=args.form, part=args.part, shape=shape)
    kinds = [FileKind(*pair) for pair in product(args.formats, args.precisions)]
    folder = Path(cfg.work_dir) / 'formats'
    results = compare_formats(model, cfg, kinds, options, folder, args.rounds)
    header = describe_machine() | dict(
        command=' '.join([program_name('tools/compare_formats.py'), *sys.argv[1:]]),
        busy=watch.warnings(),
    )
    table = format_table([result.row() for result in results])
    content = dict(header=header, results=[result.to_json() for result in results])
    lines = [f'- {name}: {value}' for name, value in header.items()]
    write_text(folder / 'formats.json', to_json(content) + '\n')
    write_text(folder / 'formats.md', '\n'.join([*lines, '', table, '']))
    print(f'{table}\nWritten to {folder}')
    return 0 if any(result.report for result in results) else 1
