"""Converts a data set of another format: objects to COCO's, label maps to mmseg's folders.

docs/own_data.md says how each format must lie in its folder.
"""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from repnext_mm.border import ToolParser
from repnext_mm.datasets.conversion import (
    SOURCE_FORMATS,
    ConversionReport,
    Options,
    convert_dataset,
)
from repnext_mm.progress import with_progress


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument('input', type=Path, help='folder of the data set')
    parser.add_argument(
        '--from', dest='format', choices=SOURCE_FORMATS, required=True, help='its format'
    )
    parser.add_argument('--output', type=Path, required=True, help='folder to make')
    parser.add_argument(
        '--classes',
        nargs='+',
        default=[],
        help="names in the order of the labels, or a file of them, as '128 64 128 road' in each line",
    )
    parser.add_argument(
        '--val',
        type=float,
        help='share of images for validation; default: 0.1, or the split there is',
    )
    parser.add_argument(
        '--test', type=float, help='share for the test; default: 0.1, or what splits there are'
    )
    parser.add_argument(
        '--tile', type=int, metavar='SIDE', help='cut large images into tiles of about SIDE pixels'
    )
    parser.add_argument(
        '--values', type=int, nargs='+', default=[], help='of label maps: the value of each class'
    )
    parser.add_argument(
        '--ignore',
        nargs='+',
        default=[],
        help='of label maps: values, or names of classes, that count in neither loss nor metric',
    )
    parser.add_argument('--skip-bad', action='store_true', help='leave out files that are bad')
    args = parser.parse_args()
    if args.tile is not None and args.tile < 32:
        parser.error(f'tiles have at least 32 pixels, got --tile {args.tile}')
    return args


def main() -> None:
    args = parse_args()
    options = Options(**{k: v for k, v in vars(args).items() if k not in ('input', 'output')})

    def progress(items: Sequence[Any]) -> Iterable[Any]:
        return with_progress(items, 'Converting')

    print_conversion(convert_dataset(args.input, args.output, options, progress), args.output)


def print_conversion(report: ConversionReport, folder: Path) -> None:
    """Tells what was written, and what was not."""
    for problem in report.skipped:
        print(f'Left out: {problem}')
    numbers = ', '.join(f'{split}: {report.images[split]:,}' for split in sorted(report.images))
    print(f'Written to {folder} (images: {numbers})')
    most = sum(report.labels.values())
    for name in report.classes:
        print(f'  {name}: {report.labels[name]:,} ({report.labels[name] / most:.1%})')
    for name in report.absent:
        print(f'Nothing is of the class {name!r}: a network cannot learn it')
