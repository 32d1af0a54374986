"""The sweep: its table of methods, one of each package, its processes and its tables."""

import importlib.util
import os
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from repnext_mm.export.comparison import Comparison
from sweep.document import PAGE, page
from sweep.exporting import summary
from sweep.methods import METHODS, Method
from sweep.narrowing import narrow
from sweep.results import by_method, failures, read_records, totals, write_records
from sweep.running import run_all
from sweep.steps import STEPS, WORKS, examine

SEGFORMER = 'mmseg/segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512'
YOLOX = 'mmdet/yolox/yolox_s_8xb8-300e_coco'
TRIED = STEPS[:-1]


@pytest.mark.distribution
def test_every_config_is_in_the_installed_package():
    for method in METHODS.values():
        (folder,) = importlib.util.find_spec(method.package).submodule_search_locations
        assert Path(folder, '.mim', 'configs', f'{method.config}.py').is_file(), method.name


@pytest.mark.distribution
@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('name', [SEGFORMER, YOLOX])
def test_a_method_goes_through_all_steps(name):
    record = examine(METHODS[name])
    assert {step: record.get(step) for step in TRIED} == dict.fromkeys(TRIED, WORKS), record


@pytest.mark.filterwarnings('ignore')
def test_a_method_that_fails_has_a_reason_and_a_place():
    method = Method('mmseg', METHODS[SEGFORMER].config, changes={'decode_head.channels': 'many'})
    record = examine(method)
    assert record['build'].startswith('TypeError: ') and 'train' not in record
    assert record['where']['build']


def pretended(method: Method, steps: tuple[str, ...]) -> dict:
    if method.config == 'dies':
        os._exit(3)
    if method.config == 'hangs':
        time.sleep(60)
    return dict.fromkeys(steps, WORKS) | dict(where={}, seconds=0.0)


@pytest.mark.filterwarnings('ignore:.*multi-threaded.*fork:DeprecationWarning')
def test_methods_that_hang_or_die_end_nothing_else():
    methods = [Method('mmdet', config) for config in ('works', 'dies', 'hangs', 'works_too')]
    found = {m.config: r for m, r in run_all(methods, ('build', 'train'), 1.5, 2, pretended)}
    assert found['works']['train'] == found['works_too']['train'] == WORKS
    assert found['dies']['train'] == 'exit 3'
    assert found['hangs']['build'] == 'took longer than 1.5 s'


def test_channels_become_fewer_and_nothing_else():
    cfg = dict(num_classes=80, in_channels=[256, 1024], head=dict(feat_channels=16, size=128))
    fewer = dict(num_classes=80, in_channels=[32, 128], head=dict(feat_channels=16, size=128))
    assert narrow(cfg) == fewer


def test_where_nothing_is_found_nothing_was_compared():
    rows = [Comparison('64x64', dict(boxes=value), dict(boxes=1.0), 3) for value in (0.0, 0.25)]
    found = summary(SimpleNamespace(comparisons=rows))
    assert found == dict(objects=[3, 3], differences=dict(boxes=0.25))
    nothing = [replace(row, count=0) for row in rows]
    with pytest.raises(ArithmeticError, match='finds nothing'):
        summary(SimpleNamespace(comparisons=nothing))


def test_tables_count_and_name_what_does_not_work(tmp_path):
    records = {
        SEGFORMER: dict(build=WORKS, train=WORKS, where={}, seconds=1),
        YOLOX: dict(build=WORKS, train='ValueError: a | b', where={}, seconds=1),
    }
    path = tmp_path / 'sweep.json'
    assert read_records(path) == {}
    write_records(path, records)
    assert read_records(path) == records
    assert totals(records)[2:] == ['| build | 1 of 1 | 1 of 1 |', '| train | 0 of 1 | 1 of 1 |']
    assert failures(records)[2:] == [f'| `{YOLOX}` | train | ValueError: a \\| b |']
    assert by_method(records, ['build', 'train'])[2:] == [
        f'| `{YOLOX}` | yes | no |',
        f'| `{SEGFORMER}` | yes | yes |',
    ]


def test_the_page_shows_the_files():
    text = PAGE.read_text(encoding='utf-8')
    assert page(text) == text
