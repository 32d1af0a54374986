"""Prepares a small published data set for the configs of configs/small, from its archive."""

import argparse
from pathlib import Path

from repnext_mm.border import ToolParser
from repnext_mm.datasets import DATASETS, prepare_dataset


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument('dataset', choices=DATASETS)
    parser.add_argument('archive', type=Path, help='.tar.gz file; docs/results.md says where from')
    parser.add_argument(
        '--out', type=Path, default=Path('data'), help='folder of all data sets; default: data'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    folder, numbers = prepare_dataset(args.dataset, args.archive, args.out)
    listed = ', '.join(f'{name}: {number:,}' for name, number in numbers.items())
    print(f'Written to {folder} ({listed})')
