"""docs/results.md is what its results say, and the report is complete."""

import csv
import io
import json
import runpy
from copy import deepcopy
from itertools import pairwise

import pytest
from commands import ROOT
from matplotlib.text import Text

from repnext_mm.experiments.picture import picture_of, points_of, spread_out
from repnext_mm.experiments.report import as_markdown, write_report
from repnext_mm.experiments.results import read_results
from repnext_mm.experiments.specification import Column
from repnext_mm.experiments.tables import (
    duration_text,
    failure_lines,
    form_table,
    loss_lines,
    main_table,
    metric_by_form,
    speed_by_form,
)

STEP = dict(status='done', date='2026-01-01T00:00+00:00')
COLUMNS = [
    dict(title='model', value='name', scale=1.0, digits=2),
    dict(title='image size', value='image_size', scale=1.0, digits=2),
    dict(title='#param.', value='parameters', scale=1.0, digits=2),
    dict(title='FLOPs', value='flops', scale=1.0, digits=2),
    dict(title='FPS', value='images_per_second', scale=1.0, digits=2),
    dict(title='AP(box)', value='coco/bbox_mAP', scale=100.0, digits=1),
]
FILES = {
    'export': dict(STEP, seconds=60.0, megabytes=7.23),
    'test onnx': dict(STEP, metrics={'coco/bbox_mAP': 0.24999}),
    'quantize': dict(STEP, megabytes=2.0, max_loss=0.01, within_max_loss=False),
    'test int8': dict(STEP, metrics={'coco/bbox_mAP': 0.22}),
}
AP = Column(**COLUMNS[-1])
DATA = dict(
    experiment=dict(
        name='e',
        title='A table',
        description='What for.',
        columns=COLUMNS,
        shape=[64, 96],
        table_form='training',
        published={'a': {}, 'b': {'AP(box)': '40.8'}, 'c': {}},
    ),
    rows=dict(
        a=dict(
            seeds={
                seed: {
                    'train': dict(STEP, seconds=90.0),
                    'test training': dict(STEP, metrics={'coco/bbox_mAP': value}),
                    'test fused': dict(STEP, metrics={'coco/bbox_mAP': value}),
                    **files,
                }
                for seed, value, files in (('0', 0.25, FILES), ('1', 0.35, {}))
            },
            sizes=dict(
                training=dict(parameters=2_000_000, multiply_adds=4_560_000),
                fused=dict(parameters=1_000_000, multiply_adds=4_000_000_000),
            ),
            speed=dict(
                training=dict(images_per_second=50.0, spread=[40.0, 55.0]),
                fused=dict(images_per_second=100.0, spread=[90.0, 101.0]),
                int8=dict(images_per_second=200.0, spread=[150.0, 201.0]),
            ),
        ),
        c=dict(
            seeds={'0': {'train': dict(STEP, status='failed', reason='no memory')}},
            sizes={},
            speed=dict(training=dict(failure='out of memory')),
        ),
    ),
    speed=dict(
        date='2026-01-02T00:00+00:00', machine=dict(processor='P', threads=2), rounds=3, images=4,
        warnings=['others ran'],
    ),
)  # fmt: skip


def test_page_is_that_of_the_results():
    namespace = runpy.run_path(str(ROOT / 'docs' / 'write_results.py'), run_name='docs')
    assert namespace['PAGE'].read_text(encoding='utf-8') == namespace['page'](), (
        'python docs/write_results.py writes the page again'
    )


def test_cells_are_means_arrows_and_published_values():
    first, second, third = main_table(DATA)
    assert first == {
        'model': 'a',
        'image size': '3 × 64 × 96',  # noqa: RUF001 (as the author writes sizes)
        '#param.': '2.00M --> 1.00M',
        'FLOPs': '4.56M --> 4.00G',
        'FPS': '50.0 --> 100.0',
        'AP(box)': '30.0 ± 7.1 (2)',
    }
    assert second['AP(box)'] == '(published: 40.8)' and second['FPS'] == ''
    assert third['model'] == 'c (failed)' and third['FPS'] == 'out of memory'
    assert failure_lines(DATA) == ['c, seed 0: train failed: no memory']


def test_forms_and_files_stand_side_by_side():
    (row,) = metric_by_form(DATA, AP)
    assert row == {
        'model': 'a',
        'training': '30.0 ± 7.1 (2)',
        'fused': '30.0 ± 7.1 (2)',
        'onnx': '25.0 (+0.0)',  # against 25 of the same seed
        'int8': '22.0 (-3.0)',
    }
    first, failed = speed_by_form(DATA)
    assert first['int8'] == '200.0 (150.0 to 201.0)' and 'onnx' not in first
    assert failed['training'] == 'out of memory'
    assert loss_lines(DATA) == ['a, seed 0: the INT8 file lost more than allowed (max_loss=0.01)']
    assert duration_text(DATA).startswith(
        'A training took 1.5 minutes (an interrupted one since it went on), all steps together 0.067'
    )


def test_all_numbers_of_forms_and_files_have_a_row_each():
    rows = form_table(DATA)
    assert [(row['form'], row['images/s'], row['from to'], row['MB']) for row in rows] == [
        ('training', '50.0', '40.0 to 55.0', ''),
        ('fused', '100.0', '90.0 to 101.0', ''),
        ('onnx', '', '', '7.2'),
        ('int8', '200.0', '150.0 to 201.0', '2.0'),
    ]
    assert rows[1]['#param.'] == '1,000,000'


def test_points_of_the_picture_are_latency_and_mean():
    points = points_of(DATA, AP)
    assert [(p.name, p.what, p.milliseconds) for p in points] == [
        ('a', 'training', 20.0),
        ('a', 'fused', 10.0),
        ('a', 'int8', 5.0),
    ]
    assert [p.metric for p in points] == pytest.approx([30, 30, 27])  # the mean, and what it loses
    assert points[0].spread == pytest.approx(7.07, abs=0.01)


@pytest.mark.parametrize(
    ('wanted', 'expected'),
    [
        ([0.9, 0.1, 0.5], [0.9, 0.1, 0.5]),
        ([0.5, 0.5, 0.5], [0.4, 0.5, 0.6]),
        ([0.52, 0.1, 0.48], [0.55, 0.1, 0.45]),
        ([0.02, 0.0, 1.0, 1.0], [0.1, 0.0, 0.9, 1.0]),  # inside
    ],
)
def test_labels_move_apart_and_keep_their_order(wanted, expected):
    assert spread_out(wanted, 0.1) == pytest.approx(expected)


@pytest.mark.parametrize('factor', [1.0, 0.1])
def test_labels_of_a_picture_do_not_overlap_and_ticks_are_plain_numbers(factor):
    """Ten rows of about the same metric; latencies within a factor of 2, or of 20."""
    data = deepcopy(DATA)
    row = data['rows']['a']
    row['speed']['int8']['images_per_second'] = 100.0 / factor
    names = [f'Cascade-RepNeXt_{number}' for number in range(10)]
    data['rows'] = dict.fromkeys(names, row)
    data['experiment']['published'] = {name: {} for name in names}
    figure = picture_of(data)
    (axes,) = figure.axes
    figure.draw_without_rendering()
    labels = [text for text in axes.texts if text.get_text()]
    assert [label.get_text() for label in labels] == names
    boxes = sorted(map(Text.get_window_extent, labels), key=lambda box: box.y0)  # without lines
    assert all(lower.y1 <= upper.y0 for lower, upper in pairwise(boxes))
    assert all(box.x0 > axes.bbox.x1 and box.x1 <= figure.bbox.x1 for box in boxes)
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    low, high = axes.get_xlim()
    shown = [text for text in ticks if low <= float(text) <= high]
    assert len(shown) >= 3 and not any('e' in text for text in shown)


def test_report_writes_all_files_as_a_whole(tmp_path):
    paths = write_report(DATA, tmp_path)
    assert [path.name for path in paths] == ['table.md', 'table.csv', 'forms.csv', 'table.png']
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    rows = list(csv.DictReader(io.StringIO(paths[1].read_text())))
    assert rows == main_table(DATA)
    text = paths[0].read_text()
    for part in (
        '# A table',
        'What for.',
        '2026-01-01',
        'P, threads: 2',
        'others ran',
        'no memory',
    ):
        assert part in text
    assert paths[3].read_bytes().startswith(b'\x89PNG')


def test_report_without_speed_has_no_picture(tmp_path):
    data = deepcopy(DATA)
    data['speed'] = {}
    for row in data['rows'].values():
        row['speed'] = {}
    assert [path.suffix for path in write_report(data, tmp_path)] == ['.md', '.csv', '.csv']
    assert 'not measured yet' in as_markdown(data)


def test_missing_results_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='there are no results'):
        read_results(tmp_path / 'results.json')
    (tmp_path / 'results.json').write_text(json.dumps(DATA))
    assert read_results(tmp_path / 'results.json') == DATA
