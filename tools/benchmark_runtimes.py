"""Measures a network in torch, ONNX Runtime and OpenVINO, in float32 and INT8, in one run.

Exports what it needs to a temporary folder. Prints a table for each part and image size, and
writes them to runtimes.json in the work dir. On a GPU torch alone is measured, with the
given precision, batch and compiler.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import repnext_mm.registry  # noqa: F401 (says so if mmengine is missing)

# isort: split
import torch
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint

from repnext_mm.checkpoints.loading import build_model
from repnext_mm.evaluation.speed import Measurement, TorchSettings, measure_runtimes
from repnext_mm.files import write_text
from repnext_mm.launch.command_line import build_parser, load_config
from repnext_mm.reparam import inference_forms
from repnext_mm.timing import format_table

DTYPES = {'float32': torch.float32, 'float16': torch.float16, 'bfloat16': torch.bfloat16}


def parse_args() -> argparse.Namespace:
    parser = build_parser(__doc__)
    parser.add_argument('checkpoint', nargs='?', help='weights; else those of initialization')
    parser.add_argument(
        '--shapes', nargs='+', type=parse_shape, default=[(224, 224), (800, 1216)], metavar='HxW'
    )
    parser.add_argument(
        '--parts', nargs='+', choices=['backbone', 'model'], default=['backbone', 'model']
    )
    parser.add_argument('--batch', type=int, default=1, help='images at a time, for backbones')
    parser.add_argument('--rounds', type=int, default=5, help='how often to time each')
    parser.add_argument('--device', default='cpu', help='for torch, such as cuda')
    parser.add_argument('--dtype', choices=DTYPES, default='float32', help='for torch')
    parser.add_argument(
        '--compile',
        choices=['default', 'reduce-overhead', 'max-autotune'],
        help='torch.compile for backbones; reduce-overhead uses CUDA graphs',
    )
    args = parser.parse_args()
    if args.launcher != 'none':
        parser.error('all are measured in one process: leave --launcher out')
    if 'model' in args.parts and (args.batch, args.dtype, args.compile) != (1, 'float32', None):
        parser.error('--batch, --dtype and --compile are for backbones: add --parts backbone')
    return args


def parse_shape(text: str) -> tuple[int, int]:
    """``'800x1216'`` as height and width."""
    height, width = text.split('x')
    return int(height), int(width)


def main() -> None:
    args = parse_args()
    cfg = load_config(args)
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    torch.manual_seed(0)
    model = build_model(cfg)
    model.init_weights()
    if args.checkpoint:
        load_checkpoint(model, args.checkpoint, map_location='cpu')
    settings = TorchSettings(args.device, DTYPES[args.dtype], args.compile)
    results = {}
    for part in args.parts:
        for shape in args.shapes:
            title = f'{part} at {shape[0]}x{shape[1]}, batch {args.batch}'
            what = Measurement(part, shape, args.batch, args.rounds, inference_forms(model))
            with tempfile.TemporaryDirectory() as folder:
                results[title] = measure_runtimes(model, cfg, Path(folder), what, settings)
            print(f'\n{title}\n\n{format_table(rows(results[title]))}\n', flush=True)
    path = Path(cfg.work_dir) / 'runtimes.json'
    write_text(path, json.dumps(results, indent=2))
    print(f'Written to {path}')


def rows(results: dict[str, dict[str, Any]]) -> list[dict[str, str]]:
    """The rows of a table, one for each form and runtime."""
    return [
        {
            'form': name if ',' in name else f'{name}, torch',
            'ms': f'{row["milliseconds"]:.1f}',
            'from to': '{:.1f} to {:.1f}'.format(*row['spread']),
            'x training': f'{row["ratio"]:.2f}',
        }
        for name, row in results.items()
    ]


if __name__ == '__main__':
    main()
