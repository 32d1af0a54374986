"""Measures images per second of the training form, fused and plain, in turn in one run.

Files of tools/export.py may join them. Prints a table, and writes speed.json to the work dir.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import repnext_mm.registry  # noqa: F401 (says so if mmengine is missing)

# isort: split
from mmengine.registry import init_default_scope

from repnext_mm.evaluation.exported_model import ExportedModel
from repnext_mm.evaluation.speed import measure_forms
from repnext_mm.files import write_text
from repnext_mm.launch.command_line import build_parser, load_config
from repnext_mm.launch.data_checks import check_data
from repnext_mm.timing import format_table


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


def table_row(name: str, row: dict[str, Any]) -> dict[str, str]:
    """A row of the table; files have no parameters that could be counted."""
    slow, fast = row['spread']
    return {
        'form': name,
        'images/s': f'{row["images_per_second"]:.2f}',
        'from to': f'{slow:.2f} to {fast:.2f}',
        'x training': f'{row["ratio"]:.2f}',
        'parameters': f'{row["parameters"]:,}' if row['parameters'] else '',
    }


def main() -> None:
    args = parse_args()
    cfg = load_config(args)
    check_data(cfg, 'test')
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    exported = {path: ExportedModel(path).eval() for path in args.exported}
    results = measure_forms(cfg, args.checkpoint, args.images, args.rounds, exported)
    print(f'\n{format_table([table_row(name, row) for name, row in results.items()])}\n')
    path = Path(cfg.work_dir) / 'speed.json'
    write_text(path, json.dumps(results, indent=2))
    print(f'Written to {path}')


if __name__ == '__main__':
    main()
