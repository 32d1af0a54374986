"""Quantizes an exported ONNX file to 8 bits, and measures what that costs and gives.

Calibrated on images of the training data, evaluated on those of the test data. Layers that
cost more than --max-loss are found and stay in float. Writes quantization.json to the work dir.
"""

import argparse
import uuid
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

import repnext_mm.registry  # noqa: F401 (says so if mmengine is missing)

# isort: split
from mmengine.config import Config
from mmengine.registry import init_default_scope

from repnext_mm.checks.presence import check_data
from repnext_mm.compat import is_installed
from repnext_mm.evaluation.benchmark.cases import RUNTIMES
from repnext_mm.evaluation.exported_model import check_config, use_exported
from repnext_mm.export.data import dataset_images, innermost_dataset
from repnext_mm.export.tasks import TASKS, Task, task_named
from repnext_mm.files import replaced, to_json, write_text
from repnext_mm.launch.command_line import build_parser, build_runner, load_config
from repnext_mm.quantization import Quantizer, Search, search
from repnext_mm.quantization.calibration import METHODS
from repnext_mm.quantization.sensitivity import MAX_LOSS
from repnext_mm.quantization.source_file import SourceFile, check_quantized_path
from repnext_mm.runtime import Session, open_reader, open_session
from repnext_mm.timing import take_turns

RANKED = 8
"""Images on which layers are ranked."""


def parse_args() -> argparse.Namespace:
    parser = build_parser(__doc__)
    parser.add_argument('model', help='float .onnx file of tools/export.py')
    parser.add_argument('--output', required=True, help='file to write, such as model_int8.onnx')
    parser.add_argument('--images', type=int, default=64, help='how many to calibrate with')
    parser.add_argument(
        '--split', default='train', choices=['train', 'val', 'test'], help='where they come from'
    )
    parser.add_argument('--method', default='minmax', help=f'for ranges, one of {METHODS}')
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
    parser.add_argument('--rounds', type=int, default=5, help='how often to time each file')
    args = parser.parse_args()
    if args.launcher != 'none':
        parser.error('quantizing takes one process: leave --launcher out')
    if min(args.images, args.rounds) < 1:
        parser.error('--images and --rounds must be positive')
    if not args.max_loss >= 0:
        parser.error(f'--max-loss must be 0 or more, got {args.max_loss}')
    return args


def metric_names() -> list[str]:
    """The metrics that count by default, of all tasks."""
    return sorted({name for task in TASKS for name in task.metrics})


class SampleImages:
    """Images of a split as the exported network takes them, read whenever they are gone through.

    Args:
        cfg: The config.
        split: Of ``'train'``, ``'val'`` and ``'test'``.
        count: How many, spread over the split.
        model: The exported file.
    """

    def __init__(self, cfg: Config, split: str, count: int, model: str):
        self.source = (cfg, split, count)
        self.reader = open_reader(model)

    def __iter__(self) -> Iterator[np.ndarray]:
        for image in dataset_images(*self.source):
            yield self.reader.fit(self.reader.prepare(image).image).image


class Evaluation:
    """The config's evaluator on exported files.

    Args:
        cfg: The config.
        task: Of the exported file.
        metric: Name of the metric that counts; None for those of the task.
    """

    def __init__(self, cfg: Config, task: Task, metric: str | None):
        self.cfg = cfg
        self.names = (metric,) if metric else task.metrics
        self.scale = task.metric_scale
        self.reference: dict[str, float] = {}

    def measure(self, path: str | Path, runtime: str = 'onnxruntime') -> dict[str, float]:
        """The metrics that count, on the scale of 0 to 1."""
        cfg = self.cfg.copy()
        use_exported(cfg, str(path), runtime)
        # Those that persist are only noticed to be useless by the garbage collector, which then
        # waits five seconds for each.
        cfg.test_dataloader.persistent_workers = False
        # mmengine keeps what has a name for as long as the process lives.
        cfg.experiment_name = f'quantize_{uuid.uuid4().hex}'
        if cfg.get('visualizer'):
            cfg.visualizer.name = cfg.experiment_name
        metrics = build_runner(cfg).test()
        found = {name: metrics[name] * self.scale for name in self.names if name in metrics}
        if not self.reference and metrics and not found:
            raise ValueError(
                f'the evaluator gives none of {self.names}: choose one of {sorted(metrics)} '
                'with --metric'
            )
        return found

    @property
    def measures(self) -> bool:
        """Whether the float file has anything to lose."""
        return any(value > 0 for value in self.reference.values())

    def loss(self, metrics: dict[str, float]) -> float:
        """How much the worst metric loses; one that is missing is zero, as nothing was found."""
        losses = [value - metrics.get(name, 0.0) for name, value in self.reference.items()]
        return max(losses, default=0.0)


def images_per_second(
    files: dict[str, str], images: list[np.ndarray], rounds: int
) -> dict[str, dict[str, float]]:
    """The speed of each file in each runtime that is installed, the files in turn."""
    speeds = {}
    for runtime in filter(is_installed, RUNTIMES):
        sessions = {name: open_session(path, runtime) for name, path in files.items()}
        runs = {name: on_each(images, session) for name, session in sessions.items()}
        timings = take_turns(runs, rounds)
        speeds[runtime] = {name: row.per_second(len(images)) for name, row in timings.items()}
    return speeds


def on_each(images: list[np.ndarray], session: Session) -> Callable[[], None]:
    """Runs a file on all images, one at a time."""

    def run() -> None:
        for image in images:
            session(image[None])

    return run


def print_search(result: Search, max_loss: float) -> None:
    """What was tried, a line for each."""
    for trial in result.trials:
        names = ', '.join(trial.keep_float) or 'none'
        print(f'worst change of a metric {trial.metric:+.4f} with in float: {names}')
    for layer, error in list(result.errors.items())[:10]:
        print(f'{layer:>50}: relative squared error {error:.1e}')
    if not result.reached:
        print(
            f'NOT REACHED: no choice of layers keeps the loss within {max_loss}, so the best is '
            'written; more images may help, or the metric is too noisy on so few test images'
        )


def print_table(report: dict[str, Any]) -> None:
    """Float against 8 bits."""
    for name in ('float', 'int8'):
        row = report[name]
        for runtime, metrics in row['metrics'].items():
            values = ', '.join(f'{key} {value:.4f}' for key, value in metrics.items())
            speed = report['images_per_second'][runtime]
            print(
                f'{name:>6} {runtime:>12}: {values}, {row["megabytes"]:.1f} MB, '
                f'{speed[name]:.1f} images/s, {speed[name] / speed["float"]:.2f} x float'
            )


def overlap(cfg: Config, split: str) -> bool:
    """Whether the calibration images are those of the test data."""
    keys = ('data_root', 'data_prefix', 'ann_file')
    ours, theirs = (
        [dataset.get(key) for key in keys]
        for dataset in (innermost_dataset(cfg, split), innermost_dataset(cfg))
    )
    return ours == theirs


def main() -> int:
    args = parse_args()
    spec = SourceFile(args.model).spec
    check_quantized_path(args.model, args.output)
    cfg = load_config(args)
    check_data(cfg, 'test', args.split)
    check_config(cfg, args.model, spec)
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    if overlap(cfg, args.split):
        print(f'NOTE: the {args.split} images are those of the test: calibrate with --split train')
    images = SampleImages(cfg, args.split, args.images, args.model)
    quantizer = Quantizer(args.model, images, args.method, not args.full_range, not args.no_repair)
    quantizer.find_layers(args.keep_float)
    evaluation = Evaluation(cfg, task_named(spec.task), args.metric)
    evaluation.reference = evaluation.measure(args.model)
    with replaced(args.output) as draft:
        result = search(
            quantizer,
            draft,
            lambda path: -evaluation.loss(evaluation.measure(path)),
            float_metric=0.0,
            ranking_images=list(islice(images, RANKED)),
            max_loss=float('inf') if args.no_search else args.max_loss,
            keep_float=args.keep_float,
        )
    print_search(result, args.max_loss)
    if not evaluation.measures:
        print(
            f'NOTE: {args.model} reaches {evaluation.reference or "nothing"} on the test data, so '
            'what 8 bits cost cannot be measured: export a trained checkpoint'
        )
    report = build_report(args, cfg, evaluation, result)
    print_table(report)
    path = Path(cfg.work_dir) / 'quantization.json'
    write_text(path, to_json(report))
    print(f'Written to {args.output} and {path}')
    return 0 if result.reached else 1


def build_report(
    args: argparse.Namespace, cfg: Config, evaluation: Evaluation, result: Search
) -> dict[str, Any]:
    """What was measured, JSON-able."""
    files = {'float': args.model, 'int8': args.output}
    tests = list(SampleImages(cfg, 'test', min(args.images, 32), args.model))
    rows: dict[str, Any] = {}
    for name, path in files.items():
        metrics = {
            runtime: evaluation.measure(path, runtime) for runtime in filter(is_installed, RUNTIMES)
        }
        rows[name] = dict(file=path, megabytes=Path(path).stat().st_size / 1e6, metrics=metrics)
    return dict(
        **rows,
        images_per_second=images_per_second(files, tests, args.rounds),
        quantization=open_session(args.output).metadata['quantization'],
        calibrated_on=args.split,
        max_loss=args.max_loss,
        within_max_loss=evaluation.measures
        and evaluation.loss(rows['int8']['metrics']['onnxruntime']) <= args.max_loss,
        trials=[trial._asdict() for trial in result.trials],
        errors=result.errors,
    )
