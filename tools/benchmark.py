"""Measures images per second of the training form, fused and plain, in one run.

Files of tools/export.py may join them. Prints a line for each, and writes speed.json to the work dir.
"""

import argparse
import json
from pathlib import Path

import repnext_mm.registry  # noqa: F401 (says so if mmengine is missing)

# isort: split
from mmengine.registry import init_default_scope

from repnext_mm.evaluation.exported_model import ExportedModel
from repnext_mm.evaluation.forms_speed import measure_forms
from repnext_mm.files import write_text
from repnext_mm.launch.command_line import build_parser, load_config
from repnext_mm.launch.data_checks import check_data


def parse_args() -> argparse.Namespace:
    parser = build_parser(__doc__)
    parser.add_argument('checkpoint', nargs='?', help='checkpoint of the training form')
    parser.add_argument('--images', type=int, default=32, help='how many test images')
    parser.add_argument(
        '--exported', nargs='+', default=[], help='files of tools/export.py to measure beside them'
    )
    parser.add_argument('--rounds', type=int, default=5, help='how often to time each form')
    args = parser.parse_args()
    if args.launcher != 'none':
        parser.error('the forms are measured in one process: leave --launcher out')
    return args


def main() -> None:
    args = parse_args()
    cfg = load_config(args)
    check_data(cfg, 'test')
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    exported = {path: ExportedModel(path).eval() for path in args.exported}
    results = measure_forms(cfg, args.checkpoint, args.images, args.rounds, exported)
    width = max(map(len, results))
    for form, row in results.items():
        size = '' if form in exported else f', {row["parameters"]:,} parameters'
        print(
            f'{form:>{width}}: {row["images_per_second"]:8.2f} images/s, {row["ratio"]:.2f} x '
            f'training form{size}'
        )
    path = Path(cfg.work_dir) / 'speed.json'
    write_text(path, json.dumps(results, indent=2))
    print(f'Written to {path}')


if __name__ == '__main__':
    main()
