"""RepVGG at output stride 8, and the form of it that dilates the last layers alone."""

import pytest
import torch
from helpers import assert_close, randomize

from repnext_mm.models import dilated_repvgg
from repnext_mm.reparam import reparameterize_model

pytestmark = pytest.mark.distribution

ARCH = dict(num_blocks=[1, 1, 6, 1], width_factor=[0.125, 0.125, 0.125, 0.125])
ARCH |= dict(group_layer_map=None, se_cfg=None)
OPTIONS = dict(arch=ARCH, out_indices=(0, 1, 2, 3))
IMAGE = torch.rand(1, 3, 64, 96, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def network(**options) -> torch.nn.Module:
    torch.manual_seed(0)
    built = randomize(dilated_repvgg(**OPTIONS, **options)).double()
    built.eval()  # which does not return it
    return built


def dilations(built: torch.nn.Module) -> list[int]:
    return [
        layer.dilation[0]
        for layer in built.modules()
        if isinstance(layer, torch.nn.Conv2d) and layer.kernel_size == (3, 3)
    ]


@pytest.mark.parametrize(
    ('layers', 'norm', 'expected'),
    [
        (None, 'SyncBN', [1] * 3 + [2] * 6 + [4]),
        (5, 'BN', [1] * 5 + [2] * 4 + [4]),
        (0, 'BN', [1] * 10),
    ],
)
def test_so_many_of_the_last_layers_are_dilated_also_when_merged(layers, norm, expected):
    built = network(dilated_layers=layers, norm_cfg=dict(type=norm))
    assert dilations(built) == expected
    merged = reparameterize_model(built)
    assert dilations(merged) == expected
    with torch.no_grad():
        outputs = built(IMAGE)
        assert_close(merged(IMAGE), outputs)
    assert [64 // output.shape[2] for output in outputs] == [4, 8, 8, 8]


@pytest.mark.parametrize('layers', [-1, 8, 2.5, 'five'], ids=repr)
def test_other_numbers_of_layers_are_refused(layers):
    with pytest.raises(ValueError, match='from 0 to 7, the layers of the last two stages, got'):
        network(dilated_layers=layers)
