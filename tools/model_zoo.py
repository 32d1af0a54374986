"""Writes docs/model_zoo.md, with a row for each config, from the metafiles and the code.

What tools/benchmark.py --what backbone has measured joins it with --results, and stays in
docs/model_zoo_speed.json for the next time.
"""

import argparse
import json
from pathlib import Path

import repnext_mm.registry  # noqa: F401 (says so if mmengine is missing)

# isort: split
from repnext_mm.border import ToolParser, run_tool
from repnext_mm.evaluation.model_zoo import (
    Speeds,
    draw_accuracy,
    entry_of,
    read_metafiles,
    reduce_benchmark,
    zoo_page,
)
from repnext_mm.files import write_text

ROOT = Path(__file__).resolve().parents[1]


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument(
        '--results', type=Path, help='benchmark_backbone.json of tools/benchmark.py'
    )
    parser.add_argument('--output', type=Path, default=ROOT / 'docs' / 'model_zoo.md')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    speed_file = args.output.with_name(f'{args.output.stem}_speed.json')
    if args.results:
        reduced = reduce_benchmark(json.loads(args.results.read_text()))
        write_text(speed_file, json.dumps(reduced, indent=2) + '\n')
    speeds = Speeds(**json.loads(speed_file.read_text())) if speed_file.is_file() else None
    models = read_metafiles(ROOT)
    entries = []
    for number, model in enumerate(models, 1):
        print(f'{number}/{len(models)} {model["Name"]}', flush=True)
        entries.append(entry_of(model, ROOT))
    write_text(args.output, zoo_page(entries, speeds, ROOT))
    if speeds is not None:
        draw_accuracy(entries, speeds, ROOT, args.output.with_suffix('.png'))
    print(f'Written to {args.output}')


if __name__ == '__main__':
    run_tool(main)
