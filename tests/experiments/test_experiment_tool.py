"""tools/experiment.py from beginning to end on generated images."""

import json

import pytest
from commands import ROOT

EXPERIMENT = """
_base_ = '{root}/configs/_base_/tables/classification.py'
title = 'Generated images'
shape = (32, 32)
seeds = (0, 1)
forms = ('training', 'plain')
files = ('onnx',)
base = dict(
    config='{root}/configs/small/repnext_slim_cifar10.py',
    options={{
        'model.backbone.arch.channels': [8, 8, 8],
        'model.head.in_channels': 8,
        'train_dataloader.batch_size': 10,
        'train_cfg.max_epochs': 1,
        'param_scheduler': None,
    }},
)
rows = [
    dict(base, name='good'),
    dict(base, name='bad', options=dict(base['options'], **{{'train_cfg.max_epochs': 'many'}})),
]
del base
"""


@pytest.fixture
def experiment(tmp_path):
    path = tmp_path / 'generated.py'
    path.write_text(EXPERIMENT.format(root=ROOT))
    return path


@pytest.fixture
def inside(tools_inside):
    """Runs the tool, and those that it starts, in this process."""
    return lambda *arguments: tools_inside('experiment.py', *arguments)


def test_table_is_filled_although_a_row_fails_and_goes_on_later(experiment, tmp_path, inside):
    work_dir = tmp_path / 'work'
    options = ['--work-dir', work_dir, '--rounds', 1, '--images', 2]
    result = inside(experiment, *options, '--seeds', 0)
    assert result.returncode == 1, result.stderr[-3000:]
    data = json.loads((work_dir / 'results.json').read_text())
    good, bad = data['rows']['good'], data['rows']['bad']
    steps = good['seeds']['0']
    assert [step for step in steps.values() if step['status'] != 'done'] == []
    assert set(steps) == {'train', 'test training', 'test plain', 'export', 'test onnx'}
    metrics = [steps[f'test {what}']['metrics'] for what in ('training', 'plain', 'onnx')]
    assert metrics[0]['accuracy/top1'] == metrics[1]['accuracy/top1']
    assert set(good['speed']) == {'training', 'plain', 'onnx'}
    assert all(row['images_per_second'] > 0 for row in good['speed'].values())
    assert 'many' in bad['seeds']['0']['train']['reason'] and bad['speed'] == {}
    assert 'bad (failed)' in (work_dir / 'table.md').read_text()
    assert (work_dir / 'table.png').is_file() and (work_dir / 'table.csv').is_file()

    again = inside(experiment, *options)
    assert again.returncode == 2 and '--resume goes on with it' in again.stderr
    result = inside(experiment, *options, '--rows', 'good', '--resume', '--no-speed')
    assert 'seed 1' in result.stdout and 'seed 0, train' not in result.stdout
    later = json.loads((work_dir / 'results.json').read_text())
    assert later['rows']['good']['seeds']['0'] == steps
    assert '(2)' in (work_dir / 'table.md').read_text()


def test_mistakes_end_the_tool_before_anything_is_written(experiment, tmp_path, inside):
    work_dir = tmp_path / 'work'
    result = inside(experiment, '--work-dir', work_dir, '--rows', 'nope')
    assert result.returncode and "no row 'nope': choose from good, bad" in result.stderr
    result = inside(tmp_path / 'none.py', '--work-dir', work_dir)
    assert result.returncode and 'there is no experiment' in result.stderr
    experiment.write_text(experiment.read_text().replace('[8, 8, 8]', '[8, 8]'))
    result = inside(experiment, '--work-dir', work_dir)
    assert result.returncode and "row 'good'" in result.stderr
    result = inside(experiment, '--work-dir', work_dir, '--speed-only')
    assert result.returncode
    assert not work_dir.exists()
