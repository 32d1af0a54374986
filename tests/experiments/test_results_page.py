"""docs/results.md is what its results say, and the report is complete."""

import csv
import io
import json
import runpy
from copy import deepcopy

import pytest
from commands import ROOT

from repnext_mm.experiments.picture import points_of
from repnext_mm.experiments.report import as_markdown, write_report
from repnext_mm.experiments.results import read_results
from repnext_mm.experiments.specification import Column
from repnext_mm.experiments.tables import failure_lines, form_table, main_table

STEP = dict(status='done', date='2026-01-01T00:00+00:00')
COLUMNS = [
    dict(title='model', value='name', scale=1.0, digits=2),
    dict(title='image size', value='image_size', scale=1.0, digits=2),
    dict(title='#param.', value='parameters', scale=1.0, digits=2),
    dict(title='FLOPs', value='flops', scale=1.0, digits=2),
    dict(title='FPS', value='images_per_second', scale=1.0, digits=2),
    dict(title='AP(box)', value='coco/bbox_mAP', scale=100.0, digits=1),
]
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
                    'train': STEP,
                    'test training': dict(STEP, metrics={'coco/bbox_mAP': value}),
                    'test fused': dict(STEP, metrics={'coco/bbox_mAP': value}),
                }
                for seed, value in (('0', 0.25), ('1', 0.35))
            },
            sizes=dict(
                training=dict(parameters=2_000_000, multiply_adds=4_560_000),
                fused=dict(parameters=1_000_000, multiply_adds=4_000_000_000),
            ),
            speed=dict(
                training=dict(images_per_second=50.0, spread=[40.0, 55.0]),
                fused=dict(images_per_second=100.0, spread=[90.0, 101.0]),
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


def test_forms_stand_side_by_side_with_their_spread():
    rows = form_table(DATA)
    assert [(row['model'], row['form'], row['images/s'], row['from to']) for row in rows] == [
        ('a', 'training', '50.0', '40.0 to 55.0'),
        ('a', 'fused', '100.0', '90.0 to 101.0'),
    ]
    assert rows[1]['#param.'] == '1,000,000'


def test_points_of_the_picture_are_latency_and_mean():
    points = points_of(DATA, Column(**COLUMNS[-1]))
    assert [(p.name, p.what, p.milliseconds) for p in points] == [
        ('a', 'training', 20.0),
        ('a', 'fused', 10.0),
    ]
    assert points[0].metric == pytest.approx(30) and points[0].spread == pytest.approx(
        7.07, abs=0.01
    )


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
