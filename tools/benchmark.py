"""Measures images per second of the training form, fused and plain, in one run."""

import argparse
import json
from pathlib import Path

from mmengine.registry import init_default_scope

from repnext_mm.engine.benchmark import measure_forms
from repnext_mm.engine.launch import build_parser, check_data, load_config
from repnext_mm.files import write_text


def parse_args() -> argparse.Namespace:
    parser = build_parser(__doc__)
    parser.add_argument('checkpoint', nargs='?', help='checkpoint of the training form')
    parser.add_argument('--images', type=int, default=32, help='how many test images')
    parser.add_argument('--rounds', type=int, default=5, help='how often to time each form')
    parser.add_argument('--out', type=Path, help='also write the numbers to this JSON file')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = load_config(args)
    check_data(cfg, 'test')
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    results = measure_forms(cfg, args.checkpoint, args.images, args.rounds)
    for form, row in results.items():
        print(
            f'{form:>8}: {row["images_per_second"]:8.2f} images/s, {row["ratio"]:.2f} x training '
            f'form, {row["parameters"]:,} parameters'
        )
    if args.out:
        write_text(args.out, json.dumps(results, indent=2))


if __name__ == '__main__':
    main()
