"""Exports a trained model, merged, to a file that runs without the mm packages.

Whole detectors (boxes, scores, labels, masks), segmentors and classifiers, or their
backbone. The file is kept only if it computes what the model does.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import repnext_mm.registry  # noqa: F401 (says so if mmengine is missing)

# isort: split
from mmengine.config import Config
from mmengine.registry import init_default_scope

from repnext_mm.checkpoints.files import sha256
from repnext_mm.checkpoints.identity import dataset_meta
from repnext_mm.checkpoints.loading import build_model, load_parts
from repnext_mm.evaluation.exported_model import is_exported
from repnext_mm.export.exporter import Report, export_model
from repnext_mm.export.formats import FORMATS
from repnext_mm.export.options import DYNAMIC, MAXIMUM_OPSET, MINIMUM_OPSET, PARTS, ExportOptions
from repnext_mm.export.targets import TARGETS
from repnext_mm.export.tasks import task_of
from repnext_mm.launch.command_line import add_form_option, build_parser, load_config
from repnext_mm.launch.forms import built_form
from repnext_mm.reparam.forms import AUTO, FORMS, TRAINING


def parse_args() -> argparse.Namespace:
    parser = build_parser(__doc__)
    parser.add_argument('checkpoint', help='checkpoint file, in any known layout')
    parser.add_argument('--output', required=True, help='file to write, such as model.onnx')
    add_form_option(
        parser,
        "the form to export; auto: the fastest here; default: that of the config's backbone if it "
        'is built merged, else fused',
        old='--mode',
        forms=(*FORMS, AUTO),
    )
    parser.add_argument('--part', default='model', help=f'one of {PARTS}')
    parser.add_argument(
        '--format', help=f'one of {tuple(FORMATS)}; default: by the ending of the output'
    )
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        metavar=('H', 'W'),
        help='trace with this size; default: that of a 4:3 image in the test pipeline',
    )
    parser.add_argument(
        '--static',
        action='store_true',
        help='take only this size, and one image or --batch at a time',
    )
    parser.add_argument(
        '--batch',
        type=batch_option,
        metavar=f'N|{DYNAMIC}',
        help='images at a time of a detector; default: one. Other models take any number',
    )
    parser.add_argument(
        '--opset',
        type=int,
        default=17,
        help=f'ONNX opset version, {MINIMUM_OPSET} to {MAXIMUM_OPSET}',
    )
    parser.add_argument('--half', action='store_true', help='float16')
    parser.add_argument(
        '--float-input',
        action='store_true',
        help='take float32 images (N, 3, H, W) from 0 to 255 instead of uint8 (N, H, W, 3)',
    )
    parser.add_argument(
        '--target',
        help=f'write ONNX, for one size, that this runtime takes: one of {tuple(TARGETS)}',
    )
    parser.add_argument(
        '--argmax', action='store_true', help='segmentors put out classes instead of logits'
    )
    args = parser.parse_args()
    if args.launcher != 'none':
        parser.error('exporting takes one process: leave --launcher out')
    if not args.checkpoint.startswith(('http:', 'https:')) and not Path(args.checkpoint).is_file():
        parser.error(f'there is no checkpoint {args.checkpoint!r}')
    if is_exported(args.checkpoint):
        parser.error(f'{args.checkpoint!r} is exported already: give the checkpoint it was made of')
    return args


def batch_option(text: str) -> int | str:
    """A number, or the word for any; other words are refused with the other options."""
    return int(text) if text.isdecimal() else text


def export_options(args: argparse.Namespace, cfg: Config) -> ExportOptions:
    """The options of the command line, and the form that the config tells without one."""
    built = built_form(cfg)
    return ExportOptions(
        form=args.form or ('fused' if built == TRAINING else built),
        part=args.part,
        format=args.format,
        shape=tuple(args.shape) if args.shape else None,
        static=args.static,
        batch=args.batch,
        opset=args.opset,
        half=args.half,
        float_input=args.float_input,
        target=args.target,
        argmax=args.argmax,
    )


def print_report(report: Report) -> None:
    """Prints the comparisons, a line for each image."""
    for row in report.comparisons:
        found = '' if row.count is None else f'{row.count} detections, '
        note = (
            f' (torch with other rounding: {difference_text(row.instability)})'
            if row.instability
            else ''
        )
        print(f'{row.place:>16}: {found}differences: {difference_text(row.differences)}{note}')
    if {row.count for row in report.comparisons} == {0}:
        print(
            'NOTE: nothing was detected in any image, so boxes and masks were not compared: '
            "export where the config's test data is, with a trained checkpoint"
        )
    if report.spec.details.get('choice'):
        print(f'Chosen by time: form {report.spec.form}, {report.spec.details["choice"]}')
    print(f'Written to {report.path} ({report.size / 1e6:.1f} MB)')


def difference_text(differences: Mapping[str, float]) -> str:
    return ', '.join(f'{name} {value:.1e}' for name, value in differences.items())


def main() -> None:
    args = parse_args()
    cfg = load_config(args)
    options = export_options(args, cfg)
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    model = build_model(cfg)
    parts = task_of(model, options.part).parts_of(options.part)
    meta = dataset_meta(load_parts(model, args.checkpoint, parts))
    source = dict(config=Path(args.config).name, source_sha256=sha256(args.checkpoint))
    print_report(export_model(model, args.output, cfg, options, meta, **source))
