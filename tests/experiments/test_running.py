"""Rows, seeds and steps: what is done, what is left out, and what a failure leaves."""

import json

import pytest
from mmengine.config import Config
from tools_in_place import write_tools

from repnext_mm.evaluation.complexity import Complexity
from repnext_mm.experiments.checks import CheckedRow
from repnext_mm.experiments.commands import Launcher, config_options, reason_of
from repnext_mm.experiments.results import Results
from repnext_mm.experiments.running import run_rows
from repnext_mm.experiments.specification import Column, Experiment, ExperimentRow
from repnext_mm.experiments.tables import failure_lines, form_table, main_table
from repnext_mm.launch.options import parse_value

COLUMNS = (
    Column('model', 'name'),
    Column('#param.', 'parameters'),
    Column('FLOPs', 'flops'),
    Column('top1 acc', 'accuracy/top1', digits=1),
)
SIZES = dict(
    training=Complexity(28_440_424, 4_400_000_000, 1), plain=Complexity(51_547_720, 10**9, 1)
)


@pytest.fixture
def launcher(tmp_path):
    return Launcher(write_tools(tmp_path / 'tools'))


@pytest.fixture
def work_dir(tmp_path):
    return tmp_path / 'work'


def experiment(*rows, **options):
    names = [ExperimentRow(name, 'x.py', options) for name, options in rows]
    options = dict(forms=('training', 'plain'), seeds=(0, 1)) | options
    return Experiment('fake', 'A table', COLUMNS, names, (8, 8), **options)


def checked(table, fingerprint='1'):
    return {row.name: CheckedRow(row, Config(), SIZES, fingerprint) for row in table.rows}


def run(table, work_dir, launcher, rows=None, seeds=None):
    lines = []
    results = Results(work_dir / 'results.json', table)
    rows = rows or checked(table)
    run_rows(table, rows, results, work_dir, launcher, lines.append, seeds)
    return json.loads(results.path.read_text()), lines


def calls(work_dir, row, seed=0):
    path = work_dir / row / f'seed_{seed}' / 'train' / 'calls.txt'
    return path.read_text().splitlines()


def test_the_backbone_of_a_row_reaches_every_tool(work_dir, launcher):
    row = ExperimentRow('a', 'x.py', backbone='resnet18')
    table = Experiment('fake', 'A table', COLUMNS, [row], (8, 8), forms=('training',))
    run(table, work_dir, launcher)
    (call,) = calls(work_dir, 'a')
    assert '--backbone resnet18' in call


def test_all_seeds_and_forms_are_in_the_table(work_dir, launcher):
    table = experiment(('a', {}), ('b', {'model.depth': 3, 'x.sizes': [1, 2]}))
    data, lines = run(table, work_dir, launcher)
    (first, second) = main_table(data)
    assert first == {
        'model': 'a',
        '#param.': '28.44M --> 51.55M',
        'FLOPs': '4.40G --> 1.00G',
        'top1 acc': '55.0 ± 7.1 (2)',
    }
    assert second['model'] == 'b'
    assert [row['form'] for row in form_table(data)] == ['training', 'plain'] * 2
    assert 'model.depth=3 x.sizes=[1,2] randomness.seed=1' in calls(work_dir, 'b', 1)[0]
    assert '[1/4] a, seed 0: step 1/3, train' in lines
    assert '[4/4] b, seed 1: Epoch(train) [1][2/2] eta: 0:00:00' in lines


def test_first_seed_of_every_row_comes_before_the_second_of_any(work_dir, launcher):
    _, lines = run(experiment(('a', {}), ('b', {})), work_dir, launcher)
    started = [line.split(': ')[0] for line in lines if line.endswith(', train')]
    assert started == [f'[{n + 1}/4] {row}, seed {seed}' for n, (seed, row) in enumerate(
        [(0, 'a'), (0, 'b'), (1, 'a'), (1, 'b')]
    )]  # fmt: skip


def test_done_steps_are_not_repeated_and_interrupted_training_goes_on(work_dir, launcher):
    table = experiment(('a', {}))
    run(table, work_dir, launcher, seeds=[0])
    data, lines = run(table, work_dir, launcher)
    assert len(calls(work_dir, 'a')) == 1 and not any('seed 0' in line for line in lines)
    del data['rows']['a']['seeds']['1']['train']  # as if it had been killed
    (work_dir / 'results.json').write_text(json.dumps(data))
    run(table, work_dir, launcher)
    assert len(calls(work_dir, 'a', 1)) == 2
    assert all('--resume' in call for call in calls(work_dir, 'a', 1))


def test_failing_row_says_why_and_does_not_stop_the_others(work_dir, launcher):
    table = experiment(('a', {'fail': True}), ('b', {}), seeds=(0,))
    data, lines = run(table, work_dir, launcher)
    (line,) = failure_lines(data)
    assert line.startswith('a, seed 0: train failed: ValueError: learning rate 7 is too high')
    assert 'train.log' in line and any('FAILED' in line for line in lines)
    assert [row['model'] for row in main_table(data)] == ['a (failed)', 'b']
    assert main_table(data)[1]['top1 acc'] == '50.0'
    run(table, work_dir, launcher)
    assert len(calls(work_dir, 'a')) == 2  # tried again, unlike b
    assert len(calls(work_dir, 'b')) == 1


def test_files_are_made_of_the_first_seed_and_a_lossy_one_is_kept(work_dir, launcher):
    table = experiment(('a', {}), files=('onnx', 'int8'))
    data, _ = run(table, work_dir, launcher)
    steps = data['rows']['a']['seeds']
    assert steps['0']['quantize']['within_max_loss'] is False
    assert steps['0']['test int8']['metrics']['accuracy/top1'] == 50.0
    assert 'export' not in steps['1']
    assert [row['form'] for row in form_table(data)] == ['training', 'plain', 'onnx', 'int8']


def test_changed_config_does_not_mix_with_old_results(work_dir, launcher):
    table = experiment(('a', {}))
    run(table, work_dir, launcher, seeds=[0])
    with pytest.raises(ValueError, match=r"row 'a' has results .* config has changed"):
        run(table, work_dir, launcher, checked(table, fingerprint='2'))


def test_unknown_seed_is_refused(work_dir, launcher):
    with pytest.raises(ValueError, match=r"row 'a' has the seeds \(0, 1\), not \[7\]"):
        run(experiment(('a', {})), work_dir, launcher, seeds=[7])


def test_launchers_start_the_shell_scripts_of_the_tools(tmp_path):
    torchrun = Launcher(tmp_path, 'pytorch', processes=2)
    assert torchrun.command('train.py', ['x.py']) == [
        f'{tmp_path}/dist_run.sh', 'train.py', '2', 'x.py'
    ]  # fmt: skip
    assert torchrun.command('export.py', [], alone=True)[-1] == f'{tmp_path}/export.py'
    slurm = Launcher(tmp_path, 'slurm', partition='gpu')
    assert slurm.command('test.py', []) == [
        f'{tmp_path}/slurm_run.sh', 'test.py', 'gpu', 'repnext_test'
    ]  # fmt: skip
    with pytest.raises(ValueError, match='number of processes'):
        Launcher(tmp_path, 'pytorch')
    with pytest.raises(ValueError, match='partition'):
        Launcher(tmp_path, 'slurm')
    with pytest.raises(ValueError, match="unknown launcher 'mpi'"):
        Launcher(tmp_path, 'mpi')


def test_reason_is_the_last_error_of_the_log(tmp_path):
    log = tmp_path / 'x.log'
    log.write_text('KeyError: first\nTraceback\ntorch.OutOfMemoryError: too large\nat exit\n')
    assert reason_of(log, 1).startswith('torch.OutOfMemoryError: too large (exit status 1')
    log.write_text(
        'ValueError: first\n[rank1]: KeyError: inner\n[rank1]: ValueError: cause\n'
        '[rank0]: RuntimeError: connection closed by peer\n    raise ChildFailedError(\n'
        'torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n  rank : 1\n'
    )
    assert reason_of(log, 1).startswith('ValueError: cause (exit status 1')
    log.write_text('one\n\ntwo\n')
    assert reason_of(log, -9).startswith('two (exit status -9')
    assert reason_of(tmp_path / 'none.log', 1).startswith('it printed nothing')


def test_options_are_as_the_command_line_reads_them():
    given = {'a.b': 3, 'c': [1, (2, 'x')], 'd': None, 'e': True, 'f': "it's a, b", 'g': 'a b'}
    option, *pairs = config_options(given)
    read = dict(pair.split('=', 1) for pair in pairs)
    assert option == '--cfg-options'
    assert {key: parse_value(text) for key, text in read.items()} == given
    assert config_options({}) == []
