"""RepNeXt-M as its authors' code merges it, which only the benchmark knows."""

import pytest
import torch
from helpers import assert_close, backbone, slim
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from repnext_mm.evaluation.benchmark.cases import OFFICIAL, Case
from repnext_mm.evaluation.benchmark.official import official_copy
from repnext_mm.networks.repnext_m import Block, ConvNorm, Downsample
from repnext_mm.networks.token_mixers import MediumMixer, SmallMixer
from repnext_mm.reparam.primitives import primitives


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
@pytest.mark.parametrize('variant', ['m0', 'm1', 'm3'])
@torch.no_grad()
def test_outputs_are_those_of_the_training_form(variant, dtype):
    model = backbone(slim(variant)).to(dtype)
    merged = official_copy(model)
    for size in ((64, 64), (61, 39)):
        image = torch.randn(2, 3, *size, dtype=dtype)
        with primitives(False):
            assert_close(merged(image), model(image))


def test_it_has_the_layers_of_the_authors_network():
    model = backbone(slim('m1'))
    merged = official_copy(model)
    assert not any(isinstance(m, ConvNorm | SmallMixer | MediumMixer) for m in merged.modules())
    mixers = [module for module in merged.modules() if isinstance(module, Block | Downsample)]
    norms = [module for module in merged.modules() if isinstance(module, _BatchNorm)]
    assert [mixer.norm for mixer in mixers] == norms
    for mixer in mixers:
        small, medium = mixer.token_mixer.conv_s, mixer.token_mixer.conv_m
        assert type(small) is type(medium) is nn.Conv2d
        assert (small.kernel_size, medium.kernel_size) == ((3, 3), (7, 7))
    assert any(isinstance(module, ConvNorm) for module in model.modules())


def test_other_networks_and_merged_ones_have_no_such_form():
    for model in (backbone(slim('tiny')), official_copy(backbone(slim('m1')))):
        with pytest.raises(ValueError, match="'official' is of RepNeXt-M alone"):
            official_copy(model)


@pytest.mark.parametrize('options', [dict(step='training'), dict(runtime='onnxruntime')])
def test_it_is_for_inference_in_torch(options):
    with pytest.raises(ValueError, match="form='official' is for inference in torch"):
        Case('m3', OFFICIAL, **options)
