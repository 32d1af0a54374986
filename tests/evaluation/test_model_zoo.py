"""docs/model_zoo.md is what tools/model_zoo.py would write."""

import json
import re
from itertools import combinations
from pathlib import Path

import pytest
from helpers import without_values
from matplotlib.figure import Figure

from repnext_mm.evaluation.complexity import Complexity
from repnext_mm.evaluation.model_zoo import (
    REFERENCE,
    Speeds,
    ZooEntry,
    arithmetic_shape,
    backbone_key,
    draw_accuracy,
    entry_of,
    read_metafiles,
    reduce_benchmark,
    speeds_by_backbone,
    zoo_page,
    zoo_row,
)
from repnext_mm.evaluation.point_labels import label_points

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / 'docs' / 'model_zoo.md').read_text()
SPEEDS = ROOT / 'docs' / 'model_zoo_speed.json'
MODELS = read_metafiles(ROOT)
COUNTED = [
    'mask_rcnn_repnext_tiny_coco',
    'fpn_repnext_m3_ade20k',
    'repnext_m5_distill_imagenet',
    'repnext_tiny_cifar100',
    'cascade_mask_rcnn_repvgg_a2_coco',
    'upernet_swin_tiny_ade20k',
]
"""One of each kind of model and head; to count all takes minutes."""


def measured() -> Speeds | None:
    return Speeds(**json.loads(SPEEDS.read_text())) if SPEEDS.exists() else None


def row_of(name: str) -> list[str]:
    (line,) = re.findall(rf'^\| \[{name}\]\(.*$', PAGE, re.MULTILINE)
    return [cell.strip() for cell in line.split('|')[1:-1]]


@pytest.mark.parametrize('name', COUNTED)
def test_rows_are_what_the_code_counts(name):
    (model,) = (model for model in MODELS if model['Name'] == name)
    with without_values():
        entry = entry_of(model, ROOT)
    ratios = speeds_by_backbone(measured(), ROOT).get(entry.backbone, {})
    assert zoo_row(entry, ratios) in PAGE


@pytest.mark.parametrize('model', MODELS, ids=lambda model: model['Name'])
def test_rows_agree_with_the_metafiles(model):
    """All forms are there, published numbers are the metafile's, and heads are alike in all forms."""
    metadata = model['Metadata']
    row = row_of(model['Name'])
    parameters = [float(number) for number in row[2].split(' / ')]
    backbones = [v / 1e6 for k, v in metadata.items() if k.endswith('Backbone Parameters')]
    assert len(parameters) == len(row[3].split(' at ')[0].split(' / ')) == len(backbones)
    if len(backbones) == 3:
        difference = parameters[2] - parameters[1]
        assert difference == pytest.approx(backbones[2] - backbones[1], abs=0.011)
    assert all(whole > part for whole, part in zip(parameters, backbones, strict=True))
    stated = [
        f'{k} {v}' for result in model.get('Results', []) for k, v in result['Metrics'].items()
    ]
    assert row[5] == ', '.join(stated)
    assert row[1].startswith(str(metadata.get('Epochs', metadata.get('Iterations'))))


def test_text_is_that_of_the_command():
    """Everything above the first table, with the machine and what was wrong with it."""
    assert PAGE.startswith(zoo_page([], measured(), ROOT).split('\n## Detectors')[0])


@pytest.mark.parametrize(
    ('config', 'shape'),
    [
        ('repnext_tiny_cifar100', (96, 96)),
        ('repnext_m0_imagenet', (224, 224)),
        ('repnext_tiny_imagewoof', (224, 224)),
        ('fpn_repnext_m0_ade20k', (512, 512)),
        ('mask_rcnn_repnext_m0_coco', (800, 1280)),
    ],
)
def test_arithmetic_is_at_the_size_of_the_recipe(config, shape):
    from mmengine.config import Config

    assert arithmetic_shape(Config.fromfile(ROOT / 'configs' / f'{config}.py')) == shape


def test_names_in_the_picture_cover_neither_each_other_nor_points():
    figure = Figure(figsize=(6.5, 5), layout='constrained')
    axes = figure.subplots()
    points = [(x, y, f'cascade_mask_rcnn_network_{x}_{y}') for x in (1.0, 1.13) for y in (0, 0.1)]
    points += [(0.3, 5.0, 'far'), (0.31, 5.0, 'away')]
    for x, y, _ in points:
        axes.plot(x, y, 'o')
    axes.margins(0.15)
    boxes = label_points(axes, points)
    pixels = [axes.transData.transform(point[:2]) for point in points]
    for box, other in combinations(boxes, 2):
        assert not box.overlaps(other)
    assert not any(box.contains(*pixel) for box in boxes for pixel in pixels)
    frame = axes.get_window_extent()
    assert all(frame.contains(*corner) for box in boxes for corner in (box.min, box.max))


def report(**failures) -> dict:
    rows = [
        dict(
            case=dict(network=name, form=form), failure=failures.get(form), images_per_second=speed
        )
        for name, form, speed in [
            (REFERENCE, 'training', 8.0),
            (REFERENCE, 'training', 10.0),
            ('mask_rcnn_repnext_tiny_coco', 'fused', 15.0),
            ('mask_rcnn_repnext_tiny_coco', 'plain', 5.0),
        ]
    ]
    tables = [dict(title='backbone', warnings=['others ran'], rows=rows)]
    machine = dict(torch='2', threads=1, processor='p')
    return dict(machine=machine, warnings=[], tables=tables)


def test_measured_ratios_are_to_the_better_layout_of_the_reference(tmp_path):
    reduced = reduce_benchmark(report(plain='out of memory'))
    assert reduced['ratios'] == {
        REFERENCE: {'training': 1.0},
        'mask_rcnn_repnext_tiny_coco': {'fused': 1.5},
    }
    speeds = Speeds(**reduced)
    found = speeds_by_backbone(speeds, ROOT)
    from mmengine.config import Config

    same = Config.fromfile(ROOT / 'configs' / 'upernet_repnext_tiny_ade20k.py')
    assert found[backbone_key(same)] == {'fused': 1.5}
    entries = [
        ZooEntry(f'configs/{name}.py', 'mmdet', key, '1 epoch', {'training': Complexity(1, 2, 3)},
                 (800, 1280), {'box AP': 40.0})
        for name, key in zip(('repnext', 'other'), found, strict=True)
    ]  # fmt: skip
    text = zoo_page(entries, speeds, ROOT)
    assert '| 1.50 |' in text and '**The machine was busy**: others ran.' in text
    draw_accuracy(entries, speeds, ROOT, tmp_path / 'zoo.png')
    assert (tmp_path / 'zoo.png').read_bytes().startswith(b'\x89PNG')


def test_a_report_without_the_reference_is_refused():
    with pytest.raises(ValueError, match=REFERENCE):
        reduce_benchmark(report(training='out of memory'))
