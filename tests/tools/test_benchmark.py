"""tools/benchmark.py on slim networks: every question, and files that an interruption leaves."""

import json
from unittest.mock import patch

import pytest
from commands import CONFIG, ROOT, SLIM

from repnext_mm.commands.benchmark import titles_of
from repnext_mm.evaluation.benchmark import gpu, plans
from repnext_mm.evaluation.benchmark.report import MATRIX_RATE

OPTIONS = ['--cfg-options', *(option for option in SLIM if option.startswith('model'))]
SIZE = ['--shapes', '64x64', '--rounds', 1]
RUNTIMES = ['onnxruntime', 'openvino', 'onnxruntime INT8', 'openvino INT8']


def benchmark(inside, tmp_path, what, *arguments, code=0):
    command = [CONFIG, '--what', what, '--work-dir', tmp_path, *SIZE, *arguments, *OPTIONS]
    result = inside('benchmark.py', *command)
    assert result.returncode == code, result.stderr[-3000:]
    return json.loads((tmp_path / f'benchmark_{what}.json').read_text())


def test_backbones_are_measured_in_all_combinations(inside, tmp_path):
    arguments = ['--batches', 1, 2, '--layouts', 'contiguous', 'channels-last']
    arguments += ['--dtypes', 'float32', 'bfloat16', '--forms', 'training', 'fused']
    arguments += ['--variant', 'frozen', 'model.backbone.norm_eval=True']
    found = benchmark(inside, tmp_path, 'backbone', *arguments)
    assert [len(table['rows']) for table in found['tables']] == [16, 16]
    rows = found['tables'][1]['rows']
    assert rows[0]['ratio'] == 1 and all(row['milliseconds'] > 0 for row in rows)
    assert rows[0]['images_per_second'] == pytest.approx(2000 / rows[0]['milliseconds'])
    assert {row['case']['network'] for row in rows} == {CONFIG.stem, f'{CONFIG.stem} (frozen)'}
    assert found['machine']['torch'] and '--what backbone' in found['machine']['command']
    assert found['machine'][MATRIX_RATE] > 0
    assert len(found['sizes']) == 4
    assert (tmp_path / 'benchmark_backbone.png').exists()


def test_other_backbones_by_name_are_rows_beside_the_configs_own(inside, tmp_path):
    command = [CONFIG, '--what', 'backbone', '--work-dir', tmp_path, *SIZE, '--forms', 'fused']
    command += ['--backbone', 'mobilenet_v2', 'repnext_m0', '--batches', 1, '--shapes', '32x32']
    result = inside('benchmark.py', *command)
    assert result.returncode == 0, result.stderr[-3000:]
    (table,) = json.loads((tmp_path / 'benchmark_backbone.json').read_text())['tables']
    names = ['', ' (mobilenet_v2)', ' (repnext_m0)']
    assert [row['case']['network'] for row in table['rows']] == [CONFIG.stem + n for n in names]
    assert all(row['milliseconds'] > 0 for row in table['rows'])


def test_the_official_way_of_merging_is_a_row_without_primitives(inside, tmp_path):
    arguments = ['--forms', 'official', 'fused', '--primitives', 'on', 'off']
    m0 = ['--backbone', 'repnext_m0']
    command = [CONFIG, '--what', 'backbone', '--work-dir', tmp_path, *SIZE, *arguments, *m0]
    result = inside('benchmark.py', *command)
    assert result.returncode == 0, result.stderr[-3000:]
    (table,) = json.loads((tmp_path / 'benchmark_backbone.json').read_text())['tables']
    found = [
        (r['case']['network'], r['case']['form'], r['case']['primitives']) for r in table['rows']
    ]
    own, other = CONFIG.stem, f'{CONFIG.stem} (repnext_m0)'
    assert found == [
        (own, 'fused', True),
        (own, 'fused', False),
        (other, 'official', False),
        (other, 'fused', True),
        (other, 'fused', False),
    ]


def test_the_fastest_form_is_a_row_of_its_own(inside, tmp_path):
    (table,) = benchmark(inside, tmp_path, 'backbone', '--forms', 'plain', 'auto')['tables']
    assert [row['case']['form'] for row in table['rows']] == ['plain', 'auto']
    assert all(row['milliseconds'] > 0 for row in table['rows'])


def test_every_form_is_measured_in_every_runtime(inside, tmp_path):
    (table,) = benchmark(inside, tmp_path, 'runtimes')['tables']
    rows = [(row['case']['form'], row['case']['runtime']) for row in table['rows']]
    assert rows == [
        *((form, 'torch') for form in ('training', 'fused', 'plain')),
        *((form, runtime) for form in ('fused', 'plain') for runtime in RUNTIMES),
    ]
    assert all(row['milliseconds'] > 0 for row in table['rows'])
    assert all(row['case']['from_images'] for row in table['rows'][:3])


def test_training_steps_of_backbones_and_of_whole_models(inside, tmp_path):
    for part in ('backbone', 'model'):
        (table,) = benchmark(inside, tmp_path, 'train-step', '--part', part)['tables']
        assert [row['case']['form'] for row in table['rows']] == ['training', 'fused', 'plain']
        assert all(row['milliseconds'] > 0 for row in table['rows'])


def test_memory_is_measured_in_processes_of_their_own(inside, tmp_path):
    found = benchmark(inside, tmp_path, 'memory', '--forms', 'fused', '--batches', 4)
    (row,) = found['tables'][0]['rows']
    assert row['failure'] is None and row['weight_bytes'] > 1000
    # At least the input of the first layer, in float32, is there at once.
    assert row['peak_bytes'] > 4 * 8 * 16 * 16


def test_scaling_is_fitted_and_drawn(inside, tmp_path):
    arguments = ['--shapes', '32x32', '64x64', '--batches', 1, 2, '--forms', 'fused']
    found = benchmark(inside, tmp_path, 'scaling', *arguments)
    assert [len(table['rows']) for table in found['tables']] == [2, 2]
    assert any('exponent' in note for note in found['notes'])
    assert (tmp_path / 'benchmark_scaling.png').exists()


def test_an_interrupted_run_keeps_what_it_has(inside, tmp_path):
    def interrupted(*arguments, **options):
        yield from measured(*arguments, **options)
        raise KeyboardInterrupt

    measured = plans.measure
    with patch.object(plans, 'measure', interrupted):
        benchmark(inside, tmp_path, 'backbone', '--batches', 1, 2, code=130)
    found = json.loads((tmp_path / 'benchmark_backbone.json').read_text())
    assert [len(table['rows']) for table in found['tables']] == [3]
    assert not list(tmp_path.glob('.*'))


def test_a_row_that_fails_makes_the_exit_status(inside, tmp_path):
    found = benchmark(inside, tmp_path, 'backbone', '--devices', 'cpu', 'xla', code=1)
    failures = [row['failure'] for row in found['tables'][0]['rows']]
    assert failures[::2] == [None] * 3 and all(failures[1::2])


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--what', 'model', '--compile', 'default'], "is for part='backbone'"),
        (['--shapes', '64'], 'argument --shapes'),
        (['--backbone', 'resnet5000'], 'resnet5000'),
        (['--rounds', 0], 'must be positive'),
        (['--exported', 'x.onnx'], 'are measured on test images'),
        (['--what', 'scaling', '--batches', 1], 'two sizes and two batches'),
    ],
)
def test_wrong_arguments_are_named(arguments, message, inside, tmp_path):
    command = [CONFIG, '--work-dir', tmp_path, '--what', 'backbone', *SIZE, *arguments, *OPTIONS]
    result = inside('benchmark.py', *command)
    assert result.returncode != 0 and message in result.stderr


def test_configs_of_one_name_are_told_apart():
    assert titles_of(['a/x.py', 'b/x.py', 'b/y.py']) == ['a/x.py', 'b/x.py', 'y']
    with pytest.raises(ValueError, match=r'a/x\.py is given twice'):
        titles_of(['a/x.py', 'a/x.py'])


def test_the_gpu_benchmark_is_rehearsed_on_a_cpu(inside, tmp_path):
    arguments = ['--device', 'cpu', '--budget', 200, '--rounds', 1, '--shapes', '32x32']
    arguments += ['--batches', 1, '--dtypes', 'float32', '--no-compile']
    with patch.object(gpu, 'CONFIGS', (gpu.CHECKED,)):  # a slim network; its own are built below
        result = inside('benchmark_gpu.py', '--work-dir', tmp_path, *arguments)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    found = json.loads((tmp_path / 'gpu.json').read_text())
    assert len(found['checks']) == 7
    assert not any(text.startswith('FAILED') for text in found['checks'].values())
    (table,) = found['tables']
    assert len(table['rows']) == 9 and all(row['milliseconds'] > 0 for row in table['rows'])
    assert (tmp_path / 'gpu.md').exists() and (tmp_path / 'gpu.png').exists()


def test_the_gpu_benchmark_ends_when_its_time_is_up(inside, tmp_path):
    arguments = ['--device', 'cpu', '--budget', 0.01, '--rounds', 1, '--shapes', '32x32']
    arguments += ['--batches', 1, '--dtypes', 'float32', '--no-compile', '--networks', 1]
    result = inside('benchmark_gpu.py', '--work-dir', tmp_path, *arguments)
    assert result.returncode == 0, result.stderr[-2000:]
    (table,) = json.loads((tmp_path / 'gpu.json').read_text())['tables']
    assert {row['failure'] for row in table['rows']} == {'not measured: out of time'}


def test_the_makefile_runs_the_gpu_benchmark():
    assert '\nbenchmark-gpu:' in (ROOT / 'Makefile').read_text()
