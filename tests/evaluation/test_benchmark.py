"""Cases, tables, guards, reports and lines of the benchmark, on runs that take no time."""

import json
import sys

import pytest
import torch

from repnext_mm.evaluation.benchmark import machine, measure
from repnext_mm.evaluation.benchmark.cases import Case, Table, product_tables
from repnext_mm.evaluation.benchmark.machine import LoadWatch, Ticks, describe_machine
from repnext_mm.evaluation.benchmark.measure import OUT_OF_MEMORY, OUT_OF_TIME, Limits
from repnext_mm.evaluation.benchmark.report import BenchmarkReport, comparison
from repnext_mm.evaluation.benchmark.scaling import OVER_PIXELS, fit, fitted, scaling_tables

FIRST, SECOND = Case('first'), Case('second', 'fused')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(form='deploy'), 'unknown form'),
        (dict(layout='NHWC'), 'unknown layout'),
        (dict(runtime='tensorrt'), 'unknown runtime'),
        (dict(batch=0), 'must be positive'),
        (dict(part='model', compiler='default'), "is for part='backbone'"),
        (dict(runtime='openvino', dtype='float16'), 'are for torch'),
        (dict(form='auto', step='training'), 'is for inference in torch'),
    ],
)
def test_impossible_cases_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Case('network', **options)


def test_tables_have_every_size_and_batch_with_the_same_rows():
    tables = product_tables([FIRST, SECOND], [(64, 64), (64, 96)], [1, 4])
    assert [(t.cases[0].shape, t.cases[0].batch) for t in tables] == [
        ((64, 64), 1), ((64, 64), 4), ((64, 96), 1), ((64, 96), 4)
    ]  # fmt: skip
    assert tables[0].columns() == ['network', 'form']
    assert [tables[0].label(case) for case in tables[0].cases] == [
        'first, training',
        'second, fused',
    ]
    assert Table('t', (FIRST, Case('first', layout='channels-last'))).columns()[-1] == 'layout'


@pytest.mark.parametrize('cases', [(), (FIRST, FIRST)])
def test_tables_without_cases_or_with_one_twice_are_refused(cases):
    with pytest.raises(ValueError, match='each of them once'):
        Table('title', cases)


def results(runs, rounds=3, **limits):
    table = Table('title', (FIRST, SECOND))
    limits = Limits(rounds, pause=0.0, **limits)
    return list(measure.measure(table, dict(zip(table.cases, runs, strict=True)), limits))


def test_every_round_gives_a_result_so_far():
    found = results([lambda: lambda: None] * 2)
    assert [result.rounds for result in found] == [1, 2, 3]
    assert all(row.timing and row.failure is None for row in found[-1].rows)


@pytest.mark.parametrize(
    ('error', 'failure'),
    [
        (torch.OutOfMemoryError('CUDA out of memory'), OUT_OF_MEMORY),
        (MemoryError(), OUT_OF_MEMORY),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), OUT_OF_MEMORY),
        (RuntimeError('not implemented for Half\nmore'), 'RuntimeError: not implemented for Half'),
    ],
)
@pytest.mark.parametrize('late', [False, True])
def test_a_row_that_fails_says_so_and_the_others_go_on(error, failure, late):
    def fails():
        raise error

    found = results([lambda: lambda: None, (lambda: fails) if late else fails])
    good, bad = found[-1].rows
    assert found[-1].rounds == 3 and good.timing is not None
    assert (bad.timing, bad.failure) == (None, failure)


def test_rows_without_a_turn_before_the_deadline_say_so(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(measure.time, 'monotonic', lambda: now[0])

    def slow():
        now[0] += 10

    # Two untimed rounds and one timed: the first row ends in time, the second never begins.
    (only,) = results([lambda: slow, lambda: lambda: None], deadline=9.0)
    assert [row.failure for row in only.rows] == [OUT_OF_TIME, OUT_OF_TIME]
    now[0] = 0.0
    found = results([lambda: slow, lambda: lambda: None], deadline=35.0)
    assert [row.failure for row in found[-1].rows] == [None, None]
    assert [result.rounds for result in found] == [1]


def test_several_calls_are_timed_together():
    calls = []
    (found,) = results([lambda: lambda: calls.append(1), lambda: lambda: None], 1, calls=10)
    assert len(calls) == 10 * 3 and found.rows[0].timing.median < 1e-3


@pytest.mark.parametrize(
    ('ratio', 'text'),
    [(None, ''), (1.0, '1.00'), (1.04, '1.04 (tie)'), (0.96, '0.96 (tie)'), (1.06, '1.06'),
     (0.94, '0.94')],
)  # fmt: skip
def test_small_differences_are_ties(ratio, text):
    assert comparison(ratio) == text


def test_reports_are_whole_after_every_round(tmp_path):
    report = BenchmarkReport(tmp_path / 'report', dict(processor='some'), ['it ran'])
    for number, result in enumerate(results([lambda: lambda: None, lambda: 1 / 0]), 1):
        report.add(result)
        content = json.loads((tmp_path / 'report.json').read_text())
        assert content['tables'][0]['rounds'] == number
    first, second = content['tables'][0]['rows']
    assert first['ratio'] == 1 and first['milliseconds'] >= 0 and not first['tie']
    assert second['failure'].startswith('ZeroDivisionError') and 'milliseconds' not in second
    text = (tmp_path / 'report.md').read_text()
    assert 'processor: some' in text and '**Busy machine**: it ran' in text
    assert 'ZeroDivisionError' in text and report.failures
    report.draw()
    assert (tmp_path / 'report.png').read_bytes().startswith(b'\x89PNG')


def test_a_busy_machine_is_noticed(monkeypatch):
    ticks = [Ticks(0.0, 0.0, 0.0, 0.0)]
    monkeypatch.setattr(Ticks, 'now', classmethod(lambda cls: ticks[-1]))
    monkeypatch.setattr(machine.os, 'getloadavg', lambda: (0.1, 0, 0))
    monkeypatch.setattr(machine.os, 'cpu_count', lambda: 2)
    watch = LoadWatch()
    ticks.append(Ticks(10.0, 10.0, 0.0, 10.0))  # we alone have used one of two processors
    assert watch.warnings() == []
    ticks.append(Ticks(10.0, 14.0, 3.0, 10.0))
    others, host = watch.warnings()
    assert 'other processes took 20%' in others and 'the host took 15%' in host
    monkeypatch.setattr(machine.os, 'getloadavg', lambda: (3.0, 0, 0))
    assert 'load average was 3.0' in LoadWatch().warnings()[0]
    assert LoadWatch().warnings(before=False) == []


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_the_header_names_processor_threads_and_versions():
    found = describe_machine()
    assert found['threads'] == torch.get_num_threads() and found['torch']
    assert found['processor'] and found['cores'] >= 1
    assert Ticks.now().busy > 0


def test_lines_are_fitted_to_relative_errors():
    line = fit([1, 2, 4, 8], [3.0, 5.0, 9.0, 17.0])
    assert (line.start, line.slope) == pytest.approx((1, 2))
    assert line.worst < 1e-9
    assert fit([1, 10, 100], [2.0, 20.0, 200.0]).exponent == pytest.approx(1)


def test_scaling_has_a_line_for_each_network(monkeypatch):
    pixels, batch = scaling_tables([FIRST, SECOND], sides=[32, 64], batches=[1, 2])
    assert [case.shape for case in pixels.cases] == [(32, 32), (64, 64)] * 2
    assert [(case.shape, case.batch) for case in batch.cases] == [((32, 32), 1), ((32, 32), 2)] * 2
    runs = dict.fromkeys(pixels.cases, lambda: lambda: None)
    *_, result = measure.measure(pixels, runs, Limits(2, pause=0.0))
    assert result.title == OVER_PIXELS
    assert list(fitted(result)) == ['first, training', 'second, fused']
    with pytest.raises(ValueError, match='two sizes and two batches'):
        scaling_tables([FIRST], sides=[32])
