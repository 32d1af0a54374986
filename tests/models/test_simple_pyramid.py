"""ViTDet's neck: the scales, and what merging leaves alone."""

import pytest
import torch
from helpers import assert_close

from repnext_mm import reparameterize_model
from repnext_mm.models import SimpleFeaturePyramid

pytestmark = pytest.mark.distribution


@pytest.mark.parametrize('norm', ['BN', 'mmpretrain.LN2d'])
def test_scales_and_channels(norm):
    torch.manual_seed(0)
    neck = SimpleFeaturePyramid(16, 8, num_outs=5, norm_cfg=dict(type=norm)).eval()
    maps = [torch.rand(2, 16, 5, 7) for _ in range(2)]
    outputs = neck(maps)
    sizes = [(20, 28), (10, 14), (5, 7), (2, 3), (1, 2)]
    assert [tuple(output.shape) for output in outputs] == [(2, 8, *size) for size in sizes]
    assert_close(neck(maps[1:]), outputs, 1e-6)
    assert_close(reparameterize_model(neck)(maps), outputs)


def test_fewer_than_four_outputs_are_refused():
    with pytest.raises(ValueError, match='num_outs=3'):
        SimpleFeaturePyramid(16, num_outs=3)
