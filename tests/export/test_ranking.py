"""The best candidates are those that a sort puts first."""

import pytest
import torch

from repnext_mm.export.tasks.ranking import best_first


@pytest.mark.parametrize('fixed', [False, True])
@pytest.mark.parametrize('count', [0, 1, 7, 20])
@pytest.mark.parametrize('limit', [-1, 1, 7, 30])
def test_the_best_come_first(fixed, count, limit):
    scores = torch.rand(count, generator=torch.Generator().manual_seed(count))
    ranked, order = scores.sort(descending=True)
    length = count if limit < 0 else min(count, limit)
    found, places = best_first(scores, limit, fixed)
    assert torch.equal(found, ranked[:length])
    assert torch.equal(places, order[:length])
