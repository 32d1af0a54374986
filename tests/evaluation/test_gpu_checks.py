"""The checks of ``make benchmark-gpu``; tools/test_benchmark.py rehearses them all on the CPU."""

import pytest
import torch
from commands import CONFIG
from small_configs import read

from repnext_mm.evaluation.benchmark import gpu_checks
from repnext_mm.evaluation.benchmark.gpu_checks import CHECKS, CheckError, run_checks


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU')
@pytest.mark.parametrize('name', CHECKS)
def test_cuda_computes_what_the_cpu_does(name):
    assert CHECKS[name]('cuda', read(CONFIG))


def test_checks_find_what_is_wrong(monkeypatch):
    import mmcv.ops

    right = mmcv.ops.nms
    calls = []

    def wrong(boxes, scores, threshold):
        calls.append(1)
        return right(boxes, scores, threshold if len(calls) % 2 else threshold / 2)

    monkeypatch.setattr(mmcv.ops, 'nms', wrong)
    monkeypatch.setattr(gpu_checks, 'merged_copy', lambda network, form: network)
    cfg = read(CONFIG)
    with pytest.raises(CheckError, match='keeps other boxes'):
        CHECKS['NMS']('cpu', cfg)
    monkeypatch.setattr(gpu_checks, 'relative_difference', lambda a, b: 0.5)
    found = run_checks('cpu', cfg)
    for name in ('NMS', 'RoIAlign', 'merged forms', 'primitives'):
        assert found[name].startswith('FAILED')
