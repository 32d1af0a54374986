"""The Slurm scripts, with a stand-in for srun that starts the processes on this machine."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import torch
from commands import CONFIG, SLIM, TOOLS, call
from mmengine.config import Config

from repnext_mm.launch import device

# Writes down its options, starts the command as often as --ntasks says, as tasks of two nodes.
SRUN = """#!/usr/bin/env bash
set -eu
while [ "${1#--}" != "$1" ]; do
    echo "$1" >> "$RECORD"
    case $1 in --ntasks=*) tasks=${1#*=} ;; esac
    shift
done
echo "$*" >> "$RECORD"
export SLURM_NTASKS=$tasks SLURM_NODELIST='node[1-2]' SLURM_LOCALID=0
processes=()
for ((task = 0; task < tasks; task++)); do
    SLURM_PROCID=$task "$@" &
    processes+=($!)
done
for process in "${processes[@]}"; do wait "$process"; done
"""

SCONTROL = """#!/usr/bin/env bash
[ "$*" = 'show hostname node[1-2]' ]
printf '127.0.0.1\\nnode2\\n'
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Puts the commands of Slurm on the path; returns the file that tells what srun was given."""
    folder = tmp_path / 'bin'
    folder.mkdir()
    for name, text in (('srun', SRUN), ('scontrol', SCONTROL)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv('PATH', f'{folder}:{os.environ["PATH"]}')
    monkeypatch.setenv('RECORD', str(tmp_path / 'record'))
    for name in ('GPUS', 'GPUS_PER_NODE', 'CPUS_PER_TASK', 'SRUN_ARGS', 'MASTER_ADDR'):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / 'record'


def test_two_processes_test_like_one(data, checkpoint, metrics, slurm, tmp_path):
    command = [TOOLS / 'slurm_test.sh', 'cpu', 'shapes', CONFIG, checkpoint]
    options = ['--work-dir', tmp_path / 'both', '--cfg-options', *SLIM]
    environment = dict(GPUS='2', GPUS_PER_NODE='0', MASTER_PORT='29613')
    result = call([*command, *options], data, **environment)
    assert result.returncode == 0, result.stderr[-3000:]
    both = json.loads((tmp_path / 'both' / 'metrics.json').read_text())
    assert both['metrics'] == pytest.approx(metrics, abs=1e-3)
    log = next((tmp_path / 'both').glob('*/*.log')).read_text()
    assert log.count('GPU number: 2') == 1 and 'GPU number' not in result.stdout


def options_of(record: Path, script: str, *arguments: str, **environment: str) -> list[str]:
    """What srun is given; the tool itself is replaced by a command that does nothing."""
    environment = os.environ | dict(PYTHON='true') | environment
    subprocess.run([str(TOOLS / script), *arguments], env=environment, check=True)
    return record.read_text().splitlines()


def test_options_reach_srun_and_the_tool(slurm):
    expected = ['--partition=gpu', '--job-name=name', '--ntasks=8', '--gres=gpu:8']
    expected += ['--ntasks-per-node=8', '--cpus-per-task=5', '--kill-on-bad-exit=1']
    tool = f'true -u {TOOLS}/train.py --launcher slurm config.py --work-dir here --resume'
    arguments = ['gpu', 'name', 'config.py', 'here', '--resume']
    assert options_of(slurm, 'slurm_train.sh', *arguments) == [*expected, tool]


@pytest.mark.parametrize(
    ('environment', 'options'),
    [
        (dict(GPUS='2'), ['--ntasks=2', '--gres=gpu:2', '--ntasks-per-node=2']),
        (
            dict(GPUS='4', GPUS_PER_NODE='2', CPUS_PER_TASK='3', SRUN_ARGS='--time=1 --mem=2'),
            [
                '--ntasks=4',
                '--gres=gpu:2',
                '--ntasks-per-node=2',
                '--cpus-per-task=3',
                '--time=1',
                '--mem=2',
            ],
        ),
    ],
    ids=['one node', 'two nodes'],
)
def test_variables_choose_processes_and_nodes(environment, options, slurm):
    given = options_of(slurm, 'slurm_test.sh', 'gpu', 'name', 'a b.py', 'c.pth', **environment)
    assert set(options) <= set(given)
    assert given[-1] == f'true -u {TOOLS}/test.py --launcher slurm a b.py c.pth'


@pytest.mark.parametrize('script', ['slurm_run.sh', 'slurm_train.sh', 'slurm_test.sh'])
def test_wrong_arguments_are_answered_with_the_usage(script):
    result = call([TOOLS / script, 'gpu', 'name'])
    assert result.returncode == 2
    assert result.stderr.startswith(f'Usage: tools/{script} ')


def test_process_that_srun_did_not_start_is_refused(monkeypatch):
    monkeypatch.setattr(device, 'get_device', lambda: 'cpu')
    monkeypatch.setenv('SLURM_PROCID', '0')
    for name in ('SLURM_NTASKS', 'SLURM_LOCALID', 'SLURM_NODELIST'):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match=r'SLURM_NTASKS, SLURM_LOCALID.*slurm_train\.sh'):
        device.adapt_to_device(Config(dict(launcher='slurm')))
    assert not torch.distributed.is_initialized()


def test_address_of_the_user_comes_before_that_of_slurm(monkeypatch, slurm):
    monkeypatch.setattr(device, 'get_device', lambda: 'cpu')
    monkeypatch.setattr(device.atexit, 'register', lambda function: None)
    monkeypatch.setattr(torch.distributed, 'init_process_group', lambda backend: None)
    for name, value in (('PROCID', 3), ('NTASKS', 4), ('LOCALID', 1), ('NODELIST', 'node[1-2]')):
        monkeypatch.setenv(f'SLURM_{name}', str(value))
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_PORT'):
        monkeypatch.setenv(name, 'unset')
        monkeypatch.delenv(name)
    for given, expected in ((None, '127.0.0.1'), ('10.0.0.1', '10.0.0.1')):
        monkeypatch.delenv('MASTER_ADDR', raising=False)
        if given:
            monkeypatch.setenv('MASTER_ADDR', given)
        device.adapt_to_device(Config(dict(launcher='slurm')))
        names = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT')
        values = [os.environ[name] for name in names]
        assert values == ['3', '4', '1', expected, '29500']
