"""Smaller output strides: the same weights, the same values at the pixels that there were, exact merging."""

import pytest
import torch
from golden import official_state
from helpers import ARCHS, FORMS, assert_close, backbone, randomize, slim, without_values
from torch import nn

from repnext_mm.models import RepNeXt
from repnext_mm.networks import RepNeXtClassifier
from repnext_mm.reparam import reparameterize_model

OUTPUT_STRIDES = (8, 16)
IMAGE = torch.rand(1, 3, 64, 96, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
ODD = torch.rand(1, 3, 61, 83, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def dilated(arch: str | dict, output_stride: int | None = 8, **options) -> RepNeXt:
    return backbone(arch, output_stride=output_stride, **options).double()


@pytest.mark.parametrize('output_stride', OUTPUT_STRIDES)
@pytest.mark.parametrize('arch', ARCHS)
def test_stages_compute_between_pixels_what_they_computed_at_them(arch, output_stride):
    """With the size of the image a multiple of 32, so that no border lies within a pixel."""
    network, reference = dilated(slim(arch), output_stride), dilated(slim(arch), None)
    network.load_state_dict(reference.state_dict())
    strides = [min(stride, output_stride) for stride in (4, 8, 16, 32)]
    assert list(network.strides) == strides and list(reference.strides) == [4, 8, 16, 32]
    with torch.no_grad():
        outputs, expected = network(IMAGE), reference(IMAGE)
    for fine, coarse, stride, own in zip(outputs, expected, strides, (4, 8, 16, 32), strict=True):
        assert fine.shape[2:] == (64 // stride, 96 // stride)
        step = own // stride
        assert_close(fine[:, :, ::step, ::step], coarse)


@pytest.mark.parametrize('output_stride', OUTPUT_STRIDES)
@pytest.mark.parametrize(('arch', 'form'), FORMS)
def test_they_merge_exactly_to_every_form(arch, form, output_stride):
    network = dilated(slim(arch), output_stride)
    merged = reparameterize_model(network, form)
    with torch.no_grad():
        assert_close(merged(ODD), network(ODD))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in merged.modules())
    assert merged.deploy == form and merged.output_stride == output_stride


@pytest.mark.parametrize('arch', ARCHS)
def test_entries_are_those_of_the_published_network(arch):
    with without_values():
        states = [
            RepNeXtClassifier(slim(arch), output_stride=stride, initialize=False).state_dict()
            for stride in (None, 8)
        ]
    shapes = [{name: value.shape for name, value in state.items()} for state in states]
    assert shapes[0] == shapes[1]


def test_official_checkpoints_load(tmp_path):
    network = RepNeXt('m0', output_stride=8)
    state = official_state('m0')
    network.load_state_dict(state)
    name = 'stages.3.downsample.token_mixer.conv_s.conv_3_3.weight'
    assert torch.equal(network.state_dict()[name], state[name])


@pytest.mark.parametrize(('arch', 'form'), [('tiny', 'fused'), ('tiny', 'plain'), ('m0', 'fused')])
def test_a_merged_network_takes_the_weights_of_training(arch, form):
    network = dilated(slim(arch))
    merged = RepNeXt(slim(arch), deploy=form, output_stride=8).double().eval()
    merged.load_state_dict(network.state_dict())
    with torch.no_grad():
        assert_close(merged(ODD), network(ODD))


def test_a_pruned_network_can_have_them():
    network = dilated(slim('tiny', depths=(1, 1, 1, 1)))
    channels = network.channels
    arch = slim('tiny', depths=(1, 1, 1, 1)) | dict(
        hidden_channels=[[5 * width] for width in channels],
        input_channels=[[width] for width in channels],
    )
    pruned = RepNeXt(arch, deploy='plain', output_stride=8).double().eval()
    plain = reparameterize_model(network, 'plain')
    pruned.load_state_dict(plain.state_dict())
    with torch.no_grad():
        assert_close(pruned(ODD), network(ODD))


@pytest.mark.parametrize('arch', ['tiny_v3', 'm1'])
def test_frozen_norms_merge_while_training(arch):
    gradients = []
    for merge in (False, True):
        network = dilated(slim(arch), norm_eval=True, merge_frozen_norms=merge).train()
        sum(output.square().mean() for output in network(ODD)).backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
    assert_close(gradients[1], gradients[0])


@pytest.mark.parametrize('arch', ['tiny', 'm0'])
def test_gradients_reach_every_parameter(arch):
    network = randomize(RepNeXt(slim(arch), output_stride=8)).train()
    sum(output.square().mean() for output in network(ODD.float().repeat(2, 1, 1, 1))).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


@pytest.mark.parametrize('output_stride', [4, 0, 64, 8.0, True, '8', (8,)], ids=repr)
def test_other_strides_are_refused(output_stride):
    with pytest.raises(ValueError, match=r'one of \(8, 16, 32\), .*, got '):
        RepNeXt(slim(), output_stride=output_stride)


def test_a_stride_that_the_network_has_changes_nothing():
    network = RepNeXt(slim(depths=(1, 1), channels=(8, 12)), out_indices=(0, 1), output_stride=32)
    assert network.strides == (4, 8)
    assert all(m.dilation <= (3, 3) for m in network.modules() if isinstance(m, nn.Conv2d))


@pytest.mark.parametrize('arch', ['tiny', 'm0'])
def test_the_exporter_proves_such_networks(arch, tmp_path):
    from mmengine.model import ImgDataPreprocessor

    from repnext_mm.export import ExportOptions, export_model

    network = backbone(slim(arch), output_stride=8)
    network.data_preprocessor = ImgDataPreprocessor([0.0, 0, 0], [255.0, 255, 255])
    options = ExportOptions(shape=(64, 96), part='backbone')
    report = export_model(network, tmp_path / 'model.onnx', options=options)
    assert report.path.is_file() and report.comparisons
