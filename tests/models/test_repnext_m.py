"""RepNeXt-M against the official network and its published numbers."""

from functools import partial

import pytest
import torch
from golden import GOLDEN, OFFICIAL_KEYS, image, official_state
from helpers import M_ARCHS, assert_close, backbone, slim
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from repnext_mm import reparameterize_model
from repnext_mm.models import RepNeXt
from repnext_mm.networks.token_mixers import ChunkConv, MediumMixer, SmallMixer

# Published (arXiv 2406.16004): parameters in millions, merged, with one classifier; and
# multiply-adds at 224x224 in billions.
PUBLISHED = {
    'm0': (2.3, 0.4),
    'm1': (4.8, 0.8),
    'm2': (6.5, 1.1),
    'm3': (7.8, 1.3),
    'm4': (13.3, 2.3),
    'm5': (21.7, 4.5),
}
CLASSES = 1000


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def official_fused_parameters(arch: str) -> int:
    """Those of our fused form, with the differences to the official one undone.

    Officially the norms of the token mixers stay, and S has 3x3 kernels where ours are
    padded to 7x7. The classifier counts too.
    """
    with torch.device('meta'):
        model = RepNeXt(arch, deploy='fused')
    per_channel = sum(depth * c for depth, c in zip(model.depths, model.channels, strict=True))
    norms = 2 * per_channel + 2 * sum(model.channels[1:])
    padding = per_channel // 4 * (7 * 7 - 3 * 3)
    return parameters(model) + (model.channels[-1] + 1) * CLASSES + norms - padding


def official_backbone(arch: str) -> RepNeXt:
    model = RepNeXt(arch)
    state = official_state(arch)
    model.load_state_dict({name: state[name] for name in model.state_dict()})
    return model.eval()


@pytest.mark.parametrize('arch', OFFICIAL_KEYS)
def test_names_and_shapes_are_the_official_ones(arch):
    with torch.device('meta'):
        state = RepNeXt(arch).state_dict()
    ours = {name: list(tensor.shape) for name, tensor in state.items()}
    official = OFFICIAL_KEYS[arch].items()
    assert ours == {name: shape for name, shape in official if not name.startswith('head.')}


@pytest.mark.parametrize('merge', [False, True], ids=['training', 'fused'])
@pytest.mark.parametrize('arch', GOLDEN)
def test_outputs_are_those_of_the_official_network(arch, merge):
    golden = GOLDEN[arch]
    model = official_backbone(arch)
    if merge:
        model = reparameterize_model(model)
    x = image(*golden['input_size'])
    with torch.no_grad():
        outputs = [model.stem(x), *model(x)]
    for expected, output in zip(golden['stages'], outputs, strict=True):
        assert list(output.shape) == expected['shape']
        sampled = output.flatten()[expected['index']]
        difference = (sampled - torch.tensor(expected['value'])).abs().max().item()
        assert difference <= 1e-4 * expected['std'], expected['name']
        assert abs(output.mean().item() - expected['mean']) <= 1e-4 * expected['std']


@pytest.mark.parametrize('arch', GOLDEN)
def test_parameters_are_the_official_ones(arch):
    golden = GOLDEN[arch]
    with torch.device('meta'):
        model = RepNeXt(arch)
    last = model.channels[-1]
    classifier = (last + 1) * CLASSES
    assert parameters(model) + 2 * (classifier + 2 * last) == golden['params_train']
    assert official_fused_parameters(arch) == golden['params_official_fused']


@pytest.mark.parametrize('arch', M_ARCHS)
def test_sizes_are_the_published_ones(arch):
    from mmengine.analysis import FlopAnalyzer

    with torch.device('meta'):
        model = RepNeXt(arch, deploy='fused').eval()
    model.to_empty(device='cpu')  # the analyzer runs it
    classifier = (model.channels[-1] + 1) * CLASSES
    analyzer = FlopAnalyzer(model, torch.randn(1, 3, 224, 224))
    analyzer.unsupported_ops_warnings(False)
    millions, billions = PUBLISHED[arch]
    assert official_fused_parameters(arch) / 1e6 == pytest.approx(millions, abs=0.05)
    padding = sum(
        (56 >> index) ** 2 * model.depths[index] * model.channels[index] // 4 * (7 * 7 - 3 * 3)
        for index in range(4)
    )
    multiply_adds = analyzer.by_operator()['conv'] - padding + classifier
    assert multiply_adds / 1e9 == pytest.approx(billions, abs=0.05)


@pytest.mark.parametrize('arch', M_ARCHS)
def test_fused_form_has_no_batch_norm_and_two_depthwise_steps_for_l(arch):
    with torch.device('meta'):
        merged = RepNeXt(arch, deploy='fused')
    assert not [name for name, m in merged.named_modules() if isinstance(m, _BatchNorm)]
    for stage in merged.stages:
        for block in stage.blocks:
            sizes = [conv.kernel_size for conv in block.token_mixer.conv_l]
            assert sizes == [(1, 11), (11, 1)]


@pytest.mark.parametrize('size', [(1, 1), (2, 5), (7, 9), (16, 16)], ids=str)
@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize(
    'mixer',
    [SmallMixer, partial(SmallMixer, serial=True), MediumMixer],
    ids=['small', 'small in series', 'medium'],
)
def test_mixers_merge_exactly_at_any_size(mixer, stride, size):
    torch.manual_seed(0)
    module = mixer(4, stride).double()
    x = torch.randn(2, 4, *size, dtype=torch.float64)
    weight, bias = module.kernel()
    options = dict(stride=stride, padding=weight.shape[-1] // 2, groups=4)
    with torch.no_grad():
        assert_close(nn.functional.conv2d(x, weight, bias, **options), module(x))


def test_a_quarter_of_the_channels_passes_the_token_mixer_unchanged():
    mixer = ChunkConv(8).double()
    x = torch.randn(1, 8, 5, 5, dtype=torch.float64)
    for form in (mixer, mixer.merged()):
        assert torch.equal(form(x)[:, :2], x[:, :2])
        assert not torch.isclose(form(x)[:, 2:], x[:, 2:]).all()


@pytest.mark.parametrize(
    ('channels', 'message'), [((8, 24), '8 -> 24'), ((6, 12), 'divisible by 4, got 6')]
)
def test_channels_that_the_family_cannot_have_are_refused(channels, message):
    with pytest.raises(ValueError, match=message):
        RepNeXt(slim('m0', channels=channels, depths=(1, 1)), out_indices=(0, 1))


def test_initial_weights_let_the_signal_through():
    torch.manual_seed(0)
    model = RepNeXt('m0')
    model.init_weights()
    assert all(p.abs().max() == 0 for n, p in model.named_parameters() if n.endswith('bias'))
    for output in model.train()(torch.randn(4, 3, 64, 64)):
        assert 0.3 < output.std() < 10


def test_serial_branches_with_a_bias_between_them_are_refused():
    mixer = MediumMixer(4)
    mixer.conv_5_w.bias = nn.Parameter(torch.ones(4))
    with pytest.raises(ValueError, match='without a bias between'):
        mixer.kernel()


def test_merging_fixes_the_statistics_of_a_trained_network():
    """After a step in training mode too, where statistics are not what the test set up."""
    model = backbone(slim('m2'), drop_path_rate=0.5).double()
    model.train()(torch.randn(4, 3, 40, 36, dtype=torch.float64))
    model.eval()
    x = torch.randn(1, 3, 40, 36, dtype=torch.float64)
    with torch.no_grad():
        assert_close(reparameterize_model(model)(x), model(x))
