"""One page about a chain: what came out, how training went, pictures, settings and commands."""

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from repnext_mm.experiments.commands import config_options, shown_command
from repnext_mm.experiments.report import machine_text
from repnext_mm.experiments.results import DONE, FAILED
from repnext_mm.experiments.running import FILES, PICTURES, TEST, TRAIN
from repnext_mm.experiments.specification import EXPORTED_KINDS
from repnext_mm.experiments.tables import MAKING_STEPS, NOT_YET, loss_lines
from repnext_mm.export.tasks import TASKS
from repnext_mm.html_page import (
    Cell,
    Markup,
    Number,
    as_markup,
    figure,
    gallery,
    heading,
    note,
    page,
    paragraph,
    picture,
    table,
)
from repnext_mm.reparam.forms import FORMS
from repnext_mm.visualization.curves import draw_curves, scalar_files
from repnext_mm.visualization.saving import figure_png

METRIC_TITLES = {
    'coco/bbox_mAP': 'box AP',
    'coco/segm_mAP': 'mask AP',
    'mIoU': 'mIoU',
    'accuracy/top1': 'top-1 accuracy',
}
FORM_NAMES = {
    'training': 'training form',
    'fused': 'fused form',
    'plain': 'plain form',
    'onnx': 'ONNX file',
    'int8': 'INT8 file',
}
WIDEST = 1200
"""Pixels of a picture; larger ones are shrunk."""

PICTURE_SUFFIXES = ('.png', '.jpg', '.jpeg')

Steps = Mapping[str, Mapping[str, Any]]
"""What was recorded of each step."""


def write_run_page(
    data: Mapping[str, Any], work_dir: Path, reasons: Sequence[str], pictures: int
) -> str:
    """The page as text.

    Args:
        data: The contents of ``results.json``, of an experiment with one row and one seed.
        work_dir: Where the training and the pictures lie.
        reasons: Settings that were chosen for own data, and why; none for other data.
        pictures: How many to show.
    """
    ((name, row),) = data['rows'].items()
    steps: Steps = next(iter(row['seeds'].values()), {})
    scales = metric_scales(steps)
    failed = [
        (step, record['reason']) for step, record in steps.items() if record['status'] == FAILED
    ]
    parts = [note(f'The step {step} failed: {reason}', 'error') for step, reason in failed]
    parts += [note(f'Lossy: {line}', 'warning') for line in loss_lines(data)]
    rows = result_table(row, steps, scales)
    if rows:
        cells = [list(cells.values()) for cells in rows]
        parts += [heading('Forms and files'), table(list(rows[0]), cells), *_notes(data, steps)]
    curves = draw_curves(scalar_files(work_dir / TRAIN))
    if curves:
        shown = picture(figure_png(curves, dots=100), 'losses and metrics over the iterations')
        parts += [heading('Training'), shown]
    figures = list(_figures(work_dir, pictures)) if steps.get(PICTURES) else []
    if figures:
        parts += [heading('Test images'), gallery(figures)]
    if reasons:
        items = ''.join(f'<li>{as_markup(reason)}</li>' for reason in reasons)
        parts += [heading('Settings chosen for the data'), Markup(f'<ul>{items}</ul>')]
    commands = [record['command'] for record in steps.values() if record.get('command')]
    commands += (
        [speed_command(row, steps, work_dir)]
        if row['speed'] and 'checkpoint' in steps[TRAIN]
        else []
    )
    if commands:
        listed = as_markup('\n'.join(commands))
        parts += [heading('Commands'), Markup(f'<pre>{listed}</pre>')]
    return page(name, parts)


def metric_scales(steps: Steps) -> dict[str, float]:
    """The metrics to show, with the factors that bring them to percent.

    Those of the tasks where there are any, else all that the evaluator gave, as they are.
    """
    known = {metric: 100 * task.metric_scale for task in TASKS for metric in task.metrics}
    found = [metric for record in steps.values() for metric in record.get('metrics', {})]
    return {m: known[m] for m in known if m in found} or dict.fromkeys(found, 1.0)


def title_of(metric: str) -> str:
    """What a metric is called on the page."""
    return METRIC_TITLES.get(metric, metric)


def result_table(
    row: Mapping[str, Any], steps: Steps, scales: Mapping[str, float]
) -> list[dict[str, Cell]]:
    """A row for each form and file that was tested, made or timed; cells by title."""
    rows = []
    for what in (*FORMS, *EXPORTED_KINDS):
        tested, speed = steps.get(TEST + what, {}), row['speed'].get(what, {})
        made = steps.get(MAKING_STEPS.get(what, ''), {})
        if DONE not in (tested.get('status'), made.get('status')) and not speed:
            continue
        size = row['sizes'].get(what)
        metrics = tested.get('metrics', {})
        rows.append(
            {
                'form or file': FORM_NAMES[what],
                **{
                    title_of(m): _number(scale * metrics[m], '.2f') if m in metrics else NOT_YET
                    for m, scale in scales.items()
                },
                'parameters': _number(size['parameters'], ',') if size else NOT_YET,
                'MB': _number(made['megabytes'], '.1f') if 'megabytes' in made else NOT_YET,
                **_milliseconds(speed),
            }
        )
    return rows


def speed_command(row: Mapping[str, Any], steps: Steps, work_dir: Path) -> str:
    """What measures forms and files again, with the options of their config."""
    files = [work_dir / name for name in FILES.values() if (work_dir / name).is_file()]
    arguments = [row['config'], work_dir / TRAIN / steps[TRAIN]['checkpoint']]
    arguments += ['--backbone', row['backbone']] if row['backbone'] else []
    arguments += ['--exported', *files] if files else []
    return shown_command('benchmark.py', arguments + config_options(row['options']))


def _number(value: float, shown: str) -> Number:
    return Number(value, format(value, shown))


def _milliseconds(speed: Mapping[str, Any]) -> dict[str, Cell]:
    """The time of an image, and where most measurements lie."""
    if 'images_per_second' not in speed:
        return {'ms per image': speed.get('failure', NOT_YET), '5 % to 95 %': NOT_YET}
    slow, fast = speed['spread']
    return {
        'ms per image': _number(1000 / speed['images_per_second'], '.1f'),
        '5 % to 95 %': f'{1000 / fast:.1f} to {1000 / slow:.1f}',
    }


def _notes(data: Mapping[str, Any], steps: Steps) -> Iterator[Markup]:
    """What the numbers mean, and where they were measured."""
    checkpoint = steps.get(TRAIN, {}).get('checkpoint')
    if checkpoint:
        yield paragraph(f'Metrics in percent, of the last checkpoint, {checkpoint}.')
    speed = data['speed']
    if speed:
        yield paragraph(
            f'Time of a whole model with post-processing, one image at a time, {speed["images"]} '
            f'test images, all in turn, {speed["rounds"]} rounds ({machine_text(speed["machine"])}).'
        )
        yield from (
            note(f'Busy machine: {text}', 'warning') for text in dict.fromkeys(speed['warnings'])
        )


def _figures(work_dir: Path, count: int) -> Iterator[Markup]:
    """The drawn test images, shrunk if they are large."""
    paths = sorted(
        p for p in (work_dir / PICTURES).rglob('*') if p.suffix.lower() in PICTURE_SUFFIXES
    )
    for path in paths[:count]:
        content = io.BytesIO()
        with Image.open(path) as image:
            image.thumbnail((WIDEST, WIDEST))
            image.convert('RGB').save(content, 'JPEG', quality=88)
        yield figure(content.getvalue(), path.name, path.name)
