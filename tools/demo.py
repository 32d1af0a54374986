"""The main job from beginning to end, on generated data.

Generates a dataset, trains a slim Mask R-CNN with a RepNeXt-T backbone, tests the
training form and both merged forms, and shows that they give the same AP.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from repnext_mm.demo.report import draw_curves, draw_predictions, format_table
from repnext_mm.demo.shapes import generate_shapes
from repnext_mm.files import write_text

TOOLS = Path(__file__).resolve().parent
CONFIG = TOOLS.parent / 'configs' / 'demo' / 'mask_rcnn_repnext_slim_shapes.py'
FORMS = {'training': 'none', 'fused': 'fused', 'plain': 'plain'}
WANTED_AP = 0.30
WANTED_EQUALITY = 0.001


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/demo'))
    parser.add_argument('--train-images', type=int, default=400)
    parser.add_argument('--val-images', type=int, default=100)
    parser.add_argument('--iterations', type=int, help="override the config's number")
    parser.add_argument(
        '--any-ap', action='store_true', help='do not insist on a good AP (for short runs)'
    )
    return parser.parse_args()


def say(text: str) -> None:
    print(f'\n==> {text}', flush=True)


def run(tool: str, *arguments: object, data: Path) -> None:
    """Runs one of the tools as a user would; what it prints is the progress."""
    command = [sys.executable, str(TOOLS / tool), *map(str, arguments)]
    environment = os.environ | {'SHAPES_ROOT': str(data), 'PYTHONWARNINGS': 'ignore'}
    subprocess.run(command, check=True, env=environment)


def train(work_dir: Path, data: Path, iterations: int | None) -> Path:
    """Trains and returns the last checkpoint."""
    options = []
    if iterations:
        options = [
            '--cfg-options',
            f'train_cfg.max_iters={iterations}',
            f'train_cfg.val_interval={iterations}',
            f'default_hooks.checkpoint.interval={iterations}',
        ]
    run('train.py', CONFIG, '--work-dir', work_dir, *options, data=data)
    return Path((work_dir / 'last_checkpoint').read_text().strip())


def test(form: str, checkpoint: Path, work_dir: Path, data: Path) -> dict[str, float]:
    """Tests one form and returns its metrics; the predictions lie beside them."""
    folder = work_dir / f'test_{form}'
    folder.mkdir(parents=True, exist_ok=True)
    options = ['--deploy', FORMS[form], '--work-dir', folder, '--out', folder / 'predictions.pkl']
    run('test.py', CONFIG, checkpoint, *options, data=data)
    return json.loads((folder / 'metrics.json').read_text())['metrics']


def problems(rows: list[dict]) -> list[str]:
    """What the demo promises and this run did not keep."""
    found = []
    for key in ('box AP', 'mask AP'):
        values = [row[key] for row in rows]
        if min(values) < WANTED_AP:
            found.append(f'{key} is {min(values):.3f}, below {WANTED_AP}')
        if max(values) - min(values) > WANTED_EQUALITY:
            found.append(f'{key} differs between the forms: {values}')
    return found


def main() -> int:
    args = parse_args()
    start = time.monotonic()
    work_dir = args.work_dir.resolve()
    say(f'1/5 Generating {args.train_images} + {args.val_images} images in COCO format')
    data = generate_shapes(
        work_dir / f'shapes_{args.train_images}_{args.val_images}',
        args.train_images,
        args.val_images,
    )
    say('2/5 Training Mask R-CNN with a slim RepNeXt-T')
    run_dir = work_dir / 'train'
    checkpoint = train(run_dir, data, args.iterations)
    metrics = {}
    for form in FORMS:
        say(f'3/5 Testing the form {form!r}')
        metrics[form] = test(form, checkpoint, work_dir, data)
    say('4/5 Measuring speed, all forms in turn')
    run('benchmark.py', CONFIG, checkpoint, '--work-dir', work_dir, data=data)
    speed = json.loads((work_dir / 'speed.json').read_text())

    say('5/5 Drawing')
    scalars = max(run_dir.glob('*/vis_data/scalars.json'))
    draw_curves(scalars, work_dir / 'curves.png')
    draw_predictions(
        data, work_dir / 'test_fused' / 'predictions.pkl', work_dir / 'predictions.png'
    )
    rows = [
        {
            'form': form,
            'box AP': metrics[form]['coco/bbox_mAP'],
            'mask AP': metrics[form]['coco/segm_mAP'],
            'images/s': f'{speed[form]["images_per_second"]:.1f}',
            'x training': f'{speed[form]["ratio"]:.2f}',
            'parameters': f'{speed[form]["parameters"]:,}',
        }
        for form in FORMS
    ]
    table = format_table(rows)
    write_text(work_dir / 'summary.md', table + '\n')
    print(f'\n{table}\n')
    print(f'Pictures: {work_dir}/predictions.png and curves.png')
    print(f'Checkpoint: {checkpoint}')
    print(f'Took {(time.monotonic() - start) / 60:.1f} minutes')
    failures = [] if args.any_ap else problems(rows)
    for failure in failures:
        print(f'NOT AS PROMISED: {failure}')
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
