"""The main job from beginning to end, on generated data.

Generates a dataset, trains a slim Mask R-CNN or UperNet with a RepNeXt-T backbone, tests
the training form and both merged forms, exports it to ONNX, in float and in 8 bits, tests
those files too, and shows that all in float give the same AP or mIoU.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from repnext_mm.border import ToolParser, run_tool
from repnext_mm.demo.report import draw_instance_pairs, draw_label_pairs
from repnext_mm.demo.shapes import generate_shapes
from repnext_mm.files import write_text
from repnext_mm.launch.sole_use import sole_use
from repnext_mm.reparam.forms import FORMS
from repnext_mm.timing import format_table
from repnext_mm.visualization.curves import scalar_files, write_curves

TOOLS = Path(__file__).resolve().parent
CONFIGS = TOOLS.parent / 'configs' / 'demo'
EXPORTED, QUANTIZED = 'fused, ONNX', 'fused, INT8'
WANTED_EQUALITY = 0.001
ALLOWED_LOSS = 0.01
"""Points of a metric, as a fraction, that the 8-bit file may lose."""


class Task(NamedTuple):
    """One of the two demos: its network, metrics and pictures."""

    config: Path
    network: str
    metrics: dict[str, str]
    """Column titles, and names in ``metrics.json``."""

    scale: float
    """Brings the metrics to fractions."""

    wanted: float
    """The least that every metric must reach, as a fraction."""

    draw: Callable[[Path, Path, Path], None]


TASKS = {
    'detection': Task(
        config=CONFIGS / 'mask_rcnn_repnext_slim_shapes.py',
        network='Mask R-CNN',
        metrics={'box AP': 'coco/bbox_mAP', 'mask AP': 'coco/segm_mAP'},
        scale=1.0,
        wanted=0.30,
        draw=draw_instance_pairs,
    ),
    'segmentation': Task(
        config=CONFIGS / 'upernet_repnext_slim_shapes.py',
        network='UperNet',
        metrics={'mIoU': 'mIoU', 'mAcc': 'mAcc'},
        scale=0.01,
        wanted=0.50,
        draw=draw_label_pairs,
    ),
}


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument('--task', choices=TASKS, default='detection')
    parser.add_argument('--work-dir', type=Path, help='default: work_dirs/demo_TASK')
    parser.add_argument('--train-images', type=int, default=400)
    parser.add_argument('--val-images', type=int, default=100)
    parser.add_argument('--iterations', type=int, help="override the config's number")
    parser.add_argument(
        '--any-result', action='store_true', help='do not insist on good metrics (for short runs)'
    )
    return parser.parse_args()


def say(text: str) -> None:
    print(f'\n==> {text}', flush=True)


def run(tool: str, *arguments: object, data: Path) -> None:
    """Runs one of the tools as a user would; what it prints is the progress.

    Raises:
        RuntimeError: If it fails.
    """
    command = [sys.executable, str(TOOLS / tool), *map(str, arguments)]
    environment = os.environ | {'SHAPES_ROOT': str(data), 'PYTHONWARNINGS': 'ignore'}
    status = subprocess.run(command, check=False, env=environment).returncode
    if status:
        raise RuntimeError(f'tools/{tool} ended with status {status}; what it said stands above')


def train(task: Task, work_dir: Path, data: Path, iterations: int | None) -> Path:
    """Trains and returns the last checkpoint."""
    options = []
    if iterations:
        options = [
            '--cfg-options',
            f'train_cfg.max_iters={iterations}',
            f'train_cfg.val_interval={iterations}',
            f'default_hooks.checkpoint.interval={iterations}',
        ]
    run('train.py', task.config, '--work-dir', work_dir, *options, data=data)
    return Path((work_dir / 'last_checkpoint').read_text().strip())


def test(
    task: Task, checkpoint: Path, folder: Path, data: Path, *options: object
) -> dict[str, float]:
    """Tests a checkpoint or file and returns its metrics as fractions; the predictions lie beside."""
    folder.mkdir(parents=True, exist_ok=True)
    output = ['--work-dir', folder, '--out', folder / 'predictions.pkl']
    run('test.py', task.config, checkpoint, *options, *output, data=data)
    metrics = json.loads((folder / 'metrics.json').read_text())['metrics']
    return {title: task.scale * metrics[name] for title, name in task.metrics.items()}


def export(
    task: Task, checkpoint: Path, files: dict[str, Path], work_dir: Path, data: Path
) -> dict[str, dict[str, float]]:
    """Writes the exported files and returns the metrics of each."""
    metrics = {}
    say('4/7 Exporting to ONNX, and testing the file')
    run('export.py', task.config, checkpoint, '--output', files[EXPORTED], data=data)
    metrics[EXPORTED] = test(task, files[EXPORTED], work_dir / 'test_onnx', data)
    say('5/7 Quantizing to 8 bits, and testing that file')
    options = ['--output', files[QUANTIZED], '--work-dir', work_dir / 'quantize', '--rounds', 1]
    run('quantize.py', task.config, files[EXPORTED], *options, data=data)
    metrics[QUANTIZED] = test(task, files[QUANTIZED], work_dir / 'test_int8', data)
    return metrics


def read_speed(path: Path, files: dict[str, Path]) -> dict[str, dict]:
    """What the benchmark found for each form and file, by the names in the table."""
    report = json.loads(path.read_text())
    titles = {str(file): title for title, file in files.items()}
    sizes = {size['form']: size['parameters'] for size in report['sizes']}
    return {
        titles.get(row['case']['network'], row['case']['form']): dict(
            row, parameters=sizes.get(row['case']['form'])
        )
        for row in report['tables'][0]['rows']
    }


def row(form: str, metrics: dict[str, float], speed: dict) -> dict:
    """A row of the table: column titles, and what stands there."""
    return {
        'form': form,
        **metrics,
        'images/s': f'{speed["images_per_second"]:.1f}',
        'x training': f'{speed["ratio"]:.2f}',
        'parameters': f'{speed["parameters"]:,}' if form in FORMS else '',
    }


def problems(task: Task, rows: list[dict]) -> list[str]:
    """Lists the promises of the demo that this run did not keep."""
    found = []
    for key in task.metrics:
        values = [row[key] for row in rows if row['form'] != QUANTIZED]
        (quantized,) = (row[key] for row in rows if row['form'] == QUANTIZED)
        if min(values) < task.wanted:
            found.append(f'{key} is {min(values):.3f}, below {task.wanted}')
        if quantized < max(values) - ALLOWED_LOSS:
            found.append(f'{key} in 8 bits is {quantized:.3f}, more than {ALLOWED_LOSS} lower')
        if max(values) - min(values) > WANTED_EQUALITY:
            found.append(f'{key} differs between the forms: {values}')
    return found


def main() -> int:
    args = parse_args()
    work_dir = (args.work_dir or Path(f'work_dirs/demo_{args.task}')).resolve()
    with sole_use(work_dir):
        return demonstrate(TASKS[args.task], work_dir, args)


def demonstrate(task: Task, work_dir: Path, args: argparse.Namespace) -> int:
    """Goes all the way in a folder; returns the exit status."""
    start = time.monotonic()
    say(f'1/7 Generating {args.train_images} + {args.val_images} images')
    data = generate_shapes(
        work_dir / f'shapes_{args.train_images}_{args.val_images}',
        args.train_images,
        args.val_images,
    )
    say(f'2/7 Training {task.network} with a slim RepNeXt-T')
    run_dir = work_dir / 'train'
    checkpoint = train(task, run_dir, data, args.iterations)
    metrics = {}
    for form in FORMS:
        say(f'3/7 Testing the form {form!r}')
        folder = work_dir / f'test_{form}'
        metrics[form] = test(task, checkpoint, folder, data, '--form', form)
    files = {EXPORTED: work_dir / 'model.onnx', QUANTIZED: work_dir / 'model_int8.onnx'}
    metrics |= export(task, checkpoint, files, work_dir, data)
    say('6/7 Measuring speed, all in turn')
    options = ['--work-dir', work_dir, '--exported', *files.values()]
    run('benchmark.py', task.config, checkpoint, *options, data=data)
    speed = read_speed(work_dir / 'benchmark_model.json', files)

    say('7/7 Drawing')
    write_curves(scalar_files(run_dir), work_dir / 'curves.png')
    task.draw(data, work_dir / 'test_fused' / 'predictions.pkl', work_dir / 'predictions.png')
    rows = [row(form, metrics[form], speed[form]) for form in metrics]
    table = format_table(rows)
    write_text(work_dir / 'summary.md', table + '\n')
    print(f'\n{table}\n')
    print(f'Pictures: {work_dir}/predictions.png and curves.png')
    print(f'Checkpoint: {checkpoint}')
    print(f'Exported: {files[EXPORTED]} and {files[QUANTIZED].name}')
    print(f'Took {(time.monotonic() - start) / 60:.1f} minutes')
    failures = [] if args.any_result else problems(task, rows)
    for failure in failures:
        print(f'NOT AS PROMISED: {failure}')
    return 1 if failures else 0


if __name__ == '__main__':
    run_tool(main)
