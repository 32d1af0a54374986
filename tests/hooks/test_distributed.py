"""The hook under DistributedDataParallel: two processes, gloo, on the CPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import assert_close
from runners import Classifier, Logits, build_runner

pytestmark = pytest.mark.distribution

TESTS = Path(__file__).parents[1]


def test_two_processes_train_every_output_alike_and_test_like_one(tmp_path):
    result = subprocess.run(
        [sys.executable, TESTS / 'distributed_run.py', tmp_path],
        env=os.environ | dict(PYTHONPATH=f'{TESTS}{os.pathsep}{TESTS.parent}', OMP_NUM_THREADS='1'),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    ranks = [torch.load(tmp_path / f'rank{rank}.pt') for rank in range(2)]
    assert [rank['subsets'] for rank in ranks] == [15, 15]
    for variant, (branched, merging) in ranks[0]['gradients'].items():
        assert_close(merging, branched)
        assert all(map(torch.equal, ranks[1]['gradients'][variant][1], merging))
    for name, value in ranks[0]['connectors'].items():
        assert torch.equal(ranks[1]['connectors'][name], value)
    parameters = [name for name, _ in Classifier().named_parameters()]
    for name in parameters:
        assert torch.equal(ranks[0]['trained'][name], ranks[1]['trained'][name])
    for rank in ranks:
        assert all(
            torch.equal(rank['after'][name], rank['trained'][name]) for name in rank['after']
        )

    # Batch statistics are each process's own, so its share of the test set is what compares.
    logits = []
    for rank in ranks:
        model, metric = Classifier(), Logits()
        model.load_state_dict(rank['trained'])
        build_runner(tmp_path, f'alone{len(logits)}', model=model, metric=metric).test()
        logits.append(metric.logits)
    expected = torch.stack([logits[index % 2][index] for index in range(12)])
    assert_close(ranks[0]['logits'], expected, 1e-5)
