"""Quantizes an exported ONNX file to 8 bits, and measures what that costs and gives.

Calibrated on images of the training data. Layers that cost more than --max-loss on the validation
data are found and stay in float; the result is measured on the test data. Writes quantization.json to
the work dir.
"""

import argparse
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import repnext_mm.registry  # noqa: F401 (says so if mmengine is missing)

# isort: split
from mmengine.config import Config
from mmengine.registry import init_default_scope

from repnext_mm.checks.presence import check_data
from repnext_mm.evaluation.exported_model import check_config
from repnext_mm.evaluation.file_metrics import Candidates, FileEvaluator, Metrics
from repnext_mm.evaluation.quantization_report import (
    FLOAT,
    INT8,
    images_per_second,
    loss_summary,
    measure_files,
    search_lines,
    table_lines,
)
from repnext_mm.evaluation.sample_images import SampleImages, have_same_images
from repnext_mm.export.data import innermost_dataset
from repnext_mm.export.tasks import TASKS, task_named
from repnext_mm.files import replaced, to_json, write_text
from repnext_mm.launch.command_line import build_parser, build_runner, load_config
from repnext_mm.quantization import Quantizer, Search, search
from repnext_mm.quantization.calibration import METHODS
from repnext_mm.quantization.nncf_file import METHOD, nncf_source, quantize_with_nncf
from repnext_mm.quantization.sensitivity import MAX_LOSS
from repnext_mm.quantization.source_file import SourceFile, check_quantized_path
from repnext_mm.runtime import SESSIONS, FileSpec, open_session

ONNX_RUNTIMES = tuple(name for name in SESSIONS['.onnx'] if name != 'opencv')
"""OpenCV has no layers of 8 bits for these files."""
RANKED = 8
"""Images on which layers are ranked."""

TIMED = 32
"""Images of the test data on which the files are timed, at most."""


def parse_args() -> argparse.Namespace:
    parser = build_parser(__doc__)
    parser.add_argument('model', help='float .onnx file of tools/export.py; for NNCF also .xml')
    parser.add_argument(
        '--output', required=True, help='file to write, such as model_int8.onnx; .xml with NNCF'
    )
    parser.add_argument('--images', type=int, default=64, help='how many to calibrate with')
    parser.add_argument(
        '--split', default='train', choices=['train', 'val', 'test'], help='where they come from'
    )
    parser.add_argument(
        '--method',
        default='minmax',
        help=f'for ranges, one of {METHODS}; or {METHOD}, which writes a file for OpenVINO',
    )
    parser.add_argument(
        '--symmetric',
        action='store_true',
        help='for TensorRT: int8 activations with zero point 0, weights rounded in the graph',
    )
    parser.add_argument(
        '--max-loss', type=float, default=MAX_LOSS, help='of the metric, on the scale of 0 to 1'
    )
    parser.add_argument(
        '--keep-float', nargs='+', default=[], metavar='NAME', help='layers, or parts of the model'
    )
    parser.add_argument('--no-search', action='store_true', help='take the first result')
    parser.add_argument(
        '--no-repair', action='store_true', help="leave weights as they are (ONNX Runtime's recipe)"
    )
    parser.add_argument(
        '--full-range',
        action='store_true',
        help='weights of 8 bits instead of 7; overflows on x86 processors without VNNI',
    )
    parser.add_argument('--metric', help=f'that counts; default: by the task, of {metric_names()}')
    parser.add_argument(
        '--runtimes',
        nargs='+',
        choices=ONNX_RUNTIMES,
        default=[ONNX_RUNTIMES[0]],
        help=f'in which both files are measured, the first of them in the search too; {ONNX_RUNTIMES[0]}',
    )
    parser.add_argument('--rounds', type=int, default=5, help='how often to time each file')
    args = parser.parse_args()
    args.runtimes = list(dict.fromkeys(args.runtimes))
    if args.method == METHOD:
        set_for_nncf(parser, args)
    if args.launcher != 'none':
        parser.error('quantizing takes one process: leave --launcher out')
    if min(args.images, args.rounds) < 1:
        parser.error('--images and --rounds must be positive')
    if not args.max_loss >= 0:
        parser.error(f'--max-loss must be 0 or more, got {args.max_loss}')
    return args


def set_for_nncf(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Settles what NNCF decides by itself, and refuses what it is not asked."""
    given = ('keep_float', 'no_repair', 'full_range', 'symmetric')
    options = [f'--{name.replace("_", "-")}' for name in given if getattr(args, name)]
    if options:
        parser.error(f'NNCF decides by itself: leave {", ".join(options)} out')
    args.runtimes, args.no_search = ['openvino'], True


def metric_names() -> list[str]:
    """The metrics that count by default, of all tasks."""
    return sorted({name for task in TASKS for name in task.metrics})


class Written(NamedTuple):
    """The 8-bit file, and what was found on the way to it."""

    search: Search | None
    """None without a search."""

    decided_on: str | None
    """The split whose images decided which layers stay in float; None without a search."""

    known: dict[tuple[str, str], Metrics]
    """Metrics on the test data by name of the file and runtime, as far as they were measured."""


def main() -> int:
    args = parse_args()
    spec = read_source(args)
    for runtime in args.runtimes:
        open_session(args.model, runtime)  # before anything slow
    cfg = load_config(args)
    check_data(cfg, 'test', 'val', args.split)
    check_config(cfg, args.model, spec)
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    if have_same_images(cfg, args.split, 'test'):
        print(f'NOTE: the {args.split} images are those of the test: calibrate with --split train')
    evaluator = FileEvaluator(cfg, task_named(spec.task), build_runner, args.metric)
    written = write_file(args, cfg, evaluator)
    if written.search:
        print(*search_lines(written.search, args.max_loss, str(written.decided_on)), sep='\n')
    report = build_report(args, cfg, evaluator, written)
    print(*table_lines(report), *notes(args, report), sep='\n')
    path = Path(cfg.work_dir) / 'quantization.json'
    write_text(path, to_json(report))
    print(f'Written to {args.output} and {path}')
    return 0 if written.search is None or written.search.reached else 1


def read_source(args: argparse.Namespace) -> FileSpec:
    """The contract of the float file, after a look at what is to be read and written."""
    if args.method == METHOD:
        return nncf_source(args.model, args.output)
    check_quantized_path(args.model, args.output)
    return SourceFile(args.model).spec


def write_file(args: argparse.Namespace, cfg: Config, evaluator: FileEvaluator) -> Written:
    """Calibrates, and writes the 8-bit file: the first one, or the one that a search finds."""
    images = SampleImages(cfg, args.split, args.images, args.model)
    if args.method == METHOD:
        quantize_with_nncf(args.model, args.output, images)
        return Written(None, None, {})
    quantizer = Quantizer(
        args.model, images, args.method, not args.full_range, not args.no_repair, args.symmetric
    )
    quantizer.find_layers(args.keep_float)
    if args.no_search:
        quantizer.write(args.output, args.keep_float)
        return Written(None, None, {})
    split, runtime = deciding_split(cfg), args.runtimes[0]
    candidates = Candidates(evaluator, args.model, split, runtime)
    with replaced(args.output) as draft:
        result = search(
            quantizer,
            draft,
            candidates.change,
            float_metric=0.0,
            ranking_images=list(islice(images, RANKED)),
            max_loss=args.max_loss,
            keep_float=args.keep_float,
        )
    known = {}
    if split == 'test':
        best = candidates.measured[result.trials.index(result.result)]
        known = {(FLOAT, runtime): candidates.reference, (INT8, runtime): best}
    return Written(result, split, known)


def deciding_split(cfg: Config) -> str:
    """The split whose images decide: the test's only where the config has no others for validation."""
    has_own = innermost_dataset(cfg, 'val') and not have_same_images(cfg, 'val', 'test')
    return 'val' if has_own else 'test'


def build_report(
    args: argparse.Namespace, cfg: Config, evaluator: FileEvaluator, written: Written
) -> dict[str, Any]:
    """What was measured, JSON-able."""
    files = {FLOAT: args.model, INT8: args.output}
    timed = list(SampleImages(cfg, 'test', min(args.images, TIMED), args.model))
    rows = measure_files(files, evaluator, args.runtimes, written.known)
    found = written.search
    return dict(
        **rows,
        images_per_second=images_per_second(files, timed, args.runtimes, args.rounds),
        quantization=open_session(args.output).metadata['quantization'],
        calibrated_on=args.split,
        decided_on=written.decided_on,
        measured_on='test',
        max_loss=args.max_loss,
        **loss_summary(rows, args.max_loss),
        trials=[trial._asdict() for trial in found.trials] if found else [],
        errors=found.errors if found else {},
    )


def notes(args: argparse.Namespace, report: dict[str, Any]) -> list[str]:
    """What whoever reads the table should know."""
    found = []
    loss, decided_on = report['loss'], report['decided_on']
    if loss is None:
        found.append(
            f'NOTE: {args.model} reaches nothing on the test data, so what 8 bits cost cannot be '
            'measured: export a trained checkpoint'
        )
    elif decided_on == 'test' and len(report['trials']) > 1:
        found.append(
            'NOTE: the layers in float were chosen on the same images, as the config has no others '
            'for validation: on new images the loss may be larger'
        )
    elif decided_on == 'val' and loss > args.max_loss:
        found.append(
            f'NOTE: the loss on the test data is {loss:.4f}, more than the {args.max_loss} that the '
            'layers in float were chosen for on the validation data'
        )
    return found
