"""tools/prune.py as a user runs it, on the demo's detector."""

import json

import pytest
import torch
from commands import CONFIG, SLIM, run_inside

pytest.importorskip('torch_pruning', reason="pip install 'repnext-mm[pruning]'")


def test_pruned_detector_is_tested_and_trained_by_its_config(data, checkpoint, tmp_path):
    output = tmp_path / 'pruned' / 'half.pth'
    command = ['prune.py', CONFIG, checkpoint, '--ratio', '0.5', '--scope', 'all']
    command += ['--criterion', 'taylor', '--batches', '1', '--shape', '128', '128']
    result = run_inside(*command, '--output', output, '--cfg-options', *SLIM, data=data)
    assert result.returncode == 0, result.stderr[-3000:]
    assert 'parameters:' in result.stdout and 'tools/train.py' in result.stdout

    config = output.with_suffix('.py')
    run = tmp_path / 'test'
    result = run_inside('test.py', config, output, '--work-dir', run, data=data)
    assert result.returncode == 0, result.stderr[-3000:]
    assert 'coco/bbox_mAP' in json.loads((run / 'metrics.json').read_text())['metrics']

    run, short = tmp_path / 'run', ['--cfg-options', 'train_cfg.max_iters=3']
    result = run_inside('train.py', config, '--work-dir', run, *short, data=data)
    assert result.returncode == 0, result.stderr[-3000:]
    trained = torch.load(run / 'iter_3.pth', weights_only=False)['state_dict']
    pruned = torch.load(output, weights_only=True)['state_dict']
    assert {n: v.shape for n, v in trained.items()} == {n: v.shape for n, v in pruned.items()}
    name = 'backbone.stages.0.blocks.0.expand.weight'
    assert tuple(pruned[name].shape) == (16, 4, 1, 1)
    assert (trained[name] - pruned[name]).abs().max() < 0.1  # it began where pruning ended


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--ratio', '1.5'], 'between 0'),
        (['--ratio', '0.5', '--criterion', 'size'], "unknown criterion 'size'"),
        (['--ratio', '0.95', '--scope', 'all'], 'leaves none of the 8 channels'),
        (['--ratio', '0.5', '--criterion', 'bn-scale'], 'needs batch norms'),
    ],
)
def test_bad_arguments_leave_no_file(data, checkpoint, tmp_path, arguments, message):
    output = tmp_path / 'pruned' / 'x.pth'
    command = ['prune.py', CONFIG, checkpoint, '--output', output, *arguments]
    result = run_inside(*command, '--cfg-options', *SLIM, data=data)
    assert result.returncode and message in result.stderr
    assert not output.parent.exists()
