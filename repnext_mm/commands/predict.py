"""Predicts what is in images and videos, with a checkpoint or an exported file.

Writes pictures, a JSON file in COCO's format, and a table as CSV. Started again with the same folder,
it goes on where it was interrupted. Exported files need none of the mm packages.
"""

import argparse
import sys
from pathlib import Path

from repnext_mm.border import ToolParser
from repnext_mm.prediction import Settings, find_inputs, open_predictor, predict_all
from repnext_mm.progress import with_progress
from repnext_mm.runtime import SESSIONS
from repnext_mm.visualization.objects import DrawOptions


def parse_args() -> argparse.Namespace:
    parser = ToolParser(
        description=__doc__,
        usage='%(prog)s (CONFIG CHECKPOINT | FILE.onnx | FILE.xml) INPUT... --output FOLDER',
    )
    parser.add_argument(
        'network', help='exported file, or config; the next argument is then its checkpoint'
    )
    parser.add_argument(
        'inputs', nargs='+', help="images, videos, folders, or patterns in quotes, such as '*.jpg'"
    )
    parser.add_argument('--output', type=Path, required=True, help='folder for the results')
    parser.add_argument(
        '--score-threshold', type=float, default=0.3, help='leave out less certain objects; 0.3'
    )
    parser.add_argument('--batch', type=int, default=1, help='images at a time of a checkpoint')
    parser.add_argument('--every', type=int, default=1, help='of a video, one in so many frames')
    parser.add_argument(
        '--form', choices=('fused', 'plain'), default='fused', help='of a checkpoint'
    )
    parser.add_argument('--runtime', help='of an exported file: onnxruntime or openvino')
    parser.add_argument('--no-pictures', action='store_true', help='write JSON and CSV alone')
    parser.add_argument(
        '--captions',
        choices=('auto', 'all', 'none'),
        default='auto',
        help='auto: those that hide neither objects nor each other',
    )
    parser.add_argument(
        '--colour-by',
        choices=('auto', 'class', 'instance'),
        default='auto',
        help='auto: by class, or by instance where there is one class',
    )
    parser.add_argument(
        '--scale', type=float, help='enlarge pictures so much; default: small ones as needed'
    )
    args = parser.parse_args()
    args.checkpoint = None
    if Path(args.network).suffix not in SESSIONS:
        if len(args.inputs) < 2:
            parser.error('after a config come its checkpoint and the inputs')
        args.checkpoint, *args.inputs = args.inputs
    if args.batch > 1 and args.checkpoint is None:
        parser.error('--batch is for checkpoints: an exported file gets one image at a time')
    if args.batch < 1 or args.every < 1:
        parser.error(f'--batch and --every are at least 1, got {args.batch} and {args.every}')
    if args.scale is not None and not 0.1 <= args.scale <= 16:
        parser.error(f'--scale is from 0.1 to 16, got {args.scale}')
    return args


def identity(args: argparse.Namespace) -> str:
    """Name, size and time of the file that makes the predictions."""
    path = Path(args.checkpoint or args.network)
    if not path.is_file():
        return str(path)
    status = path.stat()
    return f'{path.name}, {status.st_size} bytes, {status.st_mtime_ns}'


def main() -> int:
    args = parse_args()
    inputs = find_inputs(args.inputs)
    options = dict(form=args.form) if args.checkpoint else {}
    predictor = open_predictor(args.network, args.checkpoint, args.runtime, **options)
    draw = DrawOptions(args.score_threshold, args.scale, args.captions, args.colour_by)
    settings = Settings(identity(args), draw, not args.no_pictures, args.batch, args.every)
    troubles = predict_all(
        predictor,
        inputs,
        args.output,
        settings,
        lambda frames, count: with_progress(frames, 'Predicting', count),
    )
    print(f'Written to {args.output}: {len(inputs) - len(troubles)} of {len(inputs)} inputs')
    for trouble in troubles:
        print(f'Not read: {trouble}', file=sys.stderr)
    return int(bool(troubles))
