"""Layers that replace others for export are equal to them at every size."""

import pytest
import torch
from torch import nn

from repnext_mm.export.size_free import (
    AdaptiveAveragePool,
    SubsamplingBySlicing,
    make_size_free,
)


@pytest.mark.parametrize('bins', [(1, 2), (2, 3), (3, 3), (6, 6), (7, 5)])
@pytest.mark.parametrize('size', [(1, 1), (2, 5), (6, 6), (7, 13), (12, 18), (31, 64)])
def test_average_pool_is_that_of_torch(bins, size):
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    pooled = AdaptiveAveragePool(*bins)(x)
    torch.testing.assert_close(pooled, nn.AdaptiveAvgPool2d(bins)(x), atol=1e-6, rtol=1e-6)


def test_only_layers_that_keep_a_size_are_replaced():
    model = nn.Sequential(
        nn.AdaptiveAvgPool2d(1),
        nn.AdaptiveAvgPool2d((1, 1)),
        nn.AdaptiveAvgPool2d(3),
        nn.Sequential(nn.AdaptiveAvgPool2d((2, 4))),
        nn.Upsample(scale_factor=2),
    )
    kept = [model[0], model[1], model[4]]
    make_size_free(model)
    assert [model[0], model[1], model[4]] == kept
    assert (model[2].height, model[2].width) == (3, 3)
    assert (model[3][0].height, model[3][0].width) == (2, 4)


@pytest.mark.distribution
def test_upsample_of_mmseg_becomes_that_of_torch():
    from mmseg.models.utils import Upsample

    model = nn.Sequential(Upsample(scale_factor=2, mode='bilinear', align_corners=False))
    x = torch.randn(1, 3, 5, 7)
    expected = model(x)
    make_size_free(model)
    assert type(model[0]) is nn.Upsample
    torch.testing.assert_close(model(x), expected)


@pytest.mark.parametrize('size', [(4, 6), (5, 7), (1, 2)])
def test_subsampling_is_slicing(size):
    x = torch.randn(2, 3, *size)
    expected = nn.functional.max_pool2d(x, 1, stride=2)
    larger = nn.functional.max_pool2d(nn.functional.pad(x, (1, 1, 1, 1)), 3, stride=2)
    with SubsamplingBySlicing():
        assert torch.equal(nn.functional.max_pool2d(x, 1, stride=2), expected)
        padded = nn.functional.pad(x, (1, 1, 1, 1))
        assert torch.equal(nn.functional.max_pool2d(padded, 3, stride=2), larger)
