"""Pooling of a fixed size is that of torch, and ordinary in the graph where its windows are even."""

import pytest
import torch
from helpers import assert_close
from torch import nn

from repnext_mm.export.fixed_size import FixedAveragePool, even_steps, windows
from repnext_mm.export.size_free import make_size_free

EVEN = [(6, 3), (4, 3), (5, 1), (7, 7), (7, 3)]
UNEVEN = [(4, 6), (8, 3), (10, 4), (2, 3)]


@pytest.mark.parametrize(('length', 'bins'), EVEN + UNEVEN)
@pytest.mark.parametrize(('width', 'columns'), [(6, 2), (5, 3)])
def test_pooling_is_that_of_torch(length, bins, width, columns):
    maps = torch.rand(2, 3, length, width, generator=torch.Generator().manual_seed(0))
    assert_close(FixedAveragePool(bins, columns)(maps), nn.AdaptiveAvgPool2d((bins, columns))(maps))


@pytest.mark.parametrize(('length', 'bins'), EVEN)
def test_even_windows_are_ordinary_pooling(length, bins):
    size, distance = even_steps(windows(length, bins))
    assert (length - size) // distance + 1 == bins


@pytest.mark.parametrize(('length', 'bins'), UNEVEN)
def test_uneven_windows_are_told(length, bins):
    assert even_steps(windows(length, bins)) is None


def test_pooling_in_float16_sums_in_float32():
    maps = torch.full((1, 1, 64, 64), 60000.0, dtype=torch.float16)
    assert torch.equal(FixedAveragePool(2, 2)(maps), maps[:, :, :2, :2])


def test_layers_are_replaced_for_static_graphs_alone():
    for static in (False, True):
        model = nn.Sequential(nn.AdaptiveAvgPool2d(3), nn.AdaptiveAvgPool2d(1))
        make_size_free(model, static)
        assert isinstance(model[0], FixedAveragePool) == static
        assert isinstance(model[1], nn.AdaptiveAvgPool2d)
