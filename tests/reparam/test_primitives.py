"""oneDNN's primitives compute what the layers do, and stay away where anybody could tell."""

import copy
import gc
import inspect
import io
import itertools
import pickle
import runpy
import threading

import pytest
import torch
from helpers import FORMS, assert_close, backbone, slim
from torch import Tensor, nn

from repnext_mm import reparameterize_model
from repnext_mm.networks.family import ResidualBlock
from repnext_mm.reparam.primitives import (
    ENVIRONMENT,
    ConvSequential,
    conv_act,
    conv_add,
    onednn,
    primitives,
    set_primitives,
)

pytestmark = pytest.mark.skipif(
    not onednn.onednn_agrees(), reason='torch without these operators of oneDNN'
)

SIZES = [(1, 32, 32), (2, 33, 47), (1, 61, 39)]
CALLS = 3
"""Plain weights, then packing, then packed ones."""


@pytest.fixture
def runs(monkeypatch):
    """The convolutions that primitives have computed, in order."""
    computed = []
    original = onednn.OneDNN.run

    def run(self, x, conv, *args):
        result = original(self, x, conv, *args)
        if result is not None:
            computed.append(conv)
        return result

    monkeypatch.setattr(onednn.OneDNN, 'run', run)
    return computed


def merged(variant: str = 'tiny', form: str = 'fused', seed: int = 0, **options) -> nn.Module:
    return reparameterize_model(backbone(slim(variant), seed=seed, **options), form)


def convolutions(model: nn.Module) -> int:
    return sum(type(module) is nn.Conv2d for module in model.modules())


def layouts(image: Tensor) -> list[Tensor]:
    """The same image in several layouts."""
    wide = torch.cat((image, image), dim=3)
    return [
        image,
        image.contiguous(memory_format=torch.channels_last),
        wide[..., : image.shape[3]],
        image.transpose(2, 3).contiguous().transpose(2, 3),
    ]


@pytest.mark.parametrize(('variant', 'form'), FORMS)
@torch.no_grad()
def test_every_form_of_every_arch_equals_the_layers_and_the_training_form(variant, form, runs):
    model = backbone(slim(variant))
    network = reparameterize_model(model, form)
    for batch, height, width in SIZES:
        image = torch.randn(batch, 3, height, width)
        with primitives(False):
            expected = network(image)
        assert not runs
        for view in layouts(image):
            for _ in range(CALLS):
                assert_close(network(view), expected)
        # Layers whose output has one pixel may run as they are.
        assert len(runs) >= 0.8 * len(layouts(image)) * CALLS * convolutions(network)
        assert_close(network(image), model(image))
        runs.clear()


@pytest.mark.parametrize('variant', ['tiny', 'm1'])
@torch.no_grad()
def test_outputs_are_channels_last(variant):
    for output in merged(variant)(torch.randn(2, 3, 96, 64)):
        assert output.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize('act', [None, nn.ReLU(), nn.GELU(), nn.GELU('tanh'), nn.Sigmoid()])
@pytest.mark.parametrize(
    'options',
    [
        dict(kernel_size=1),
        dict(kernel_size=3, padding=1, groups=2, dilation=2),
        dict(kernel_size=2, stride=2, bias=False),
        dict(kernel_size=3, padding='same'),
        dict(kernel_size=3, padding=1, padding_mode='reflect'),
    ],
    ids=str,
)
@torch.no_grad()
def test_any_convolution_and_activation(options, act):
    conv = nn.Conv2d(4, 6, **options)
    for shape in [(1, 4, 9, 6), (2, 4, 4, 4), (1, 4, 2, 2)]:
        x = torch.randn(shape)
        try:
            y = conv(x)
        except RuntimeError as error:
            with pytest.raises(RuntimeError, match='Kernel size'):
                conv_act(x, conv, act)
            assert 'Kernel size' in str(error)
            continue
        other = torch.randn_like(y)
        for _ in range(CALLS):
            for addend in layouts(other):
                expected = addend + y if act is None else act(addend + y)
                assert_close(conv_add(x, conv, addend, act), expected)
            assert_close(conv_act(x, conv, act), y if act is None else act(y))
        scalar = conv_add(x, conv, torch.ones(1), act)
        assert_close(scalar, 1 + y if act is None else act(1 + y))


@pytest.mark.parametrize('shape', [(1, 5, 4, 4), (5, 4, 4), (4, 4)], ids=str)
@torch.no_grad()
def test_wrong_inputs_raise_what_the_layer_raises(shape):
    conv = nn.Conv2d(4, 6, 1)
    x = torch.randn(shape)
    with pytest.raises(RuntimeError) as expected:
        conv(x)
    with pytest.raises(RuntimeError) as found:
        conv_act(x, conv)
    assert str(found.value) == str(expected.value)


@torch.no_grad()
def test_empty_batches_and_images_without_batch_work():
    conv = nn.Conv2d(4, 6, 1)
    assert conv_act(torch.randn(0, 4, 5, 5), conv, nn.ReLU()).shape == (0, 6, 5, 5)
    x = torch.randn(4, 5, 5)
    assert_close(conv_act(x, conv), conv(x))


@torch.no_grad()
def test_residuals_and_inputs_stay_as_they_are():
    conv = nn.Conv2d(4, 4, 1)
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        conv.to(dtype)
        x, other = torch.randn(2, 1, 4, 5, 6).to(dtype)
        before = x.clone(), other.clone()
        conv_add(x, conv, other, nn.ReLU())
        conv_act(x, conv, nn.ReLU())
        conv_add(x, conv, x, nn.ReLU())
        assert torch.equal(x, before[0]) and torch.equal(other, before[1])


@pytest.fixture
def overwritten(monkeypatch):
    """The addresses of the feature maps that primitives have overwritten, in order."""
    addresses = []
    operators = onednn._operators_in_place()

    class Operators:
        @staticmethod
        def binary(other, *arguments):
            addresses.append(other.data_ptr())
            return operators.binary(other, *arguments)

    monkeypatch.setattr(onednn, '_operators_in_place', Operators)
    return addresses


@pytest.mark.parametrize('variant', ['tiny', 'm1'])
@torch.no_grad()
def test_only_maps_between_layers_are_overwritten(variant, overwritten):
    network, image = merged(variant), torch.randn(2, 3, 61, 70)
    before = image.clone()
    with primitives(False):
        expected = network(image)
    features = network(image)
    residual = sum(isinstance(module, ResidualBlock) for module in network.modules())
    entries = len(network.stages) - 1 if variant == 'm1' else 0
    assert len(overwritten) == residual + entries
    for feature, value in zip(features, expected, strict=True):
        assert_close(feature, value)
    assert torch.equal(image, before)

    x, block = network.stem(image), network.stages[0].blocks[0]
    kept = x.clone()
    for layer in (network.stages[0], block, network.stages[1]):
        overwritten.clear()
        layer(x)
        assert x.data_ptr() not in overwritten and torch.equal(x, kept)


@torch.no_grad()
def test_maps_that_a_hook_keeps_are_not_overwritten(overwritten):
    image = torch.randn(1, 3, 64, 64)
    for path in ('stem', 'stages.1', 'stages.1.blocks.0', 'stages.1.downsample.token_mixer.conv_s'):
        network, kept = merged('m1'), []

        def keep(module, args, output, kept=kept):
            kept.extend((tensor, tensor.clone()) for tensor in (*args, output))

        network.get_submodule(path).register_forward_hook(keep)
        network(image)
        assert kept and all(torch.equal(tensor, value) for tensor, value in kept), path
        assert overwritten  # in the other stages
    handle = nn.modules.module.register_module_forward_hook(lambda *args: None)
    try:
        overwritten.clear()
        network(image)
        assert not overwritten
    finally:
        handle.remove()


def change_in_place(conv):
    conv.weight.mul_(2)


def change_through_data(conv):
    conv.weight.data.mul_(2)


def change_by_replacing(conv):
    conv.weight = nn.Parameter(2 * conv.weight)


def change_by_assigning_data(conv):
    conv.weight.data = 2 * conv.weight


def change_by_loading(conv):
    conv.load_state_dict({name: 2 * value for name, value in conv.state_dict().items()})


def change_by_casting(conv):
    conv.half().float()


def change_bias(conv):
    conv.bias.add_(1)


def change_stride(conv):
    conv.stride = (2, 2)


@pytest.mark.parametrize(
    'change', [f for name, f in globals().items() if name.startswith('change_')]
)
@torch.no_grad()
def test_packed_weights_follow_the_weights(change, runs):
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 16, 1)
    x = torch.randn(1, 8, 5, 6)
    for _ in range(CALLS):
        before = conv_act(x, conv)
    change(conv)
    for _ in range(CALLS):
        now = conv_act(x, conv)
        assert now.shape != before.shape or not torch.equal(now, before)
        assert_close(now, conv(x))
    assert runs == [conv] * 2 * CALLS


@torch.no_grad()
def test_nothing_is_kept_of_networks_that_are_gone():
    gc.collect()
    before = len(onednn._states)
    network = merged()
    for _ in range(CALLS):
        network(torch.randn(1, 3, 64, 64))
    assert len(onednn._states) > before
    del network
    gc.collect()
    assert len(onednn._states) == before


@torch.no_grad()
def test_packed_weights_are_kept_for_few_sizes():
    conv = nn.Conv2d(8, 16, 1)
    for size in range(1, 9):
        for _ in range(CALLS):
            conv_act(torch.randn(1, 8, size, size + 1), conv)
    assert len(onednn._states[id(conv)].plans) == onednn.SIZES_KEPT


@torch.no_grad()
def test_copies_and_files_have_nothing_of_it():
    network = merged()
    image = torch.randn(1, 3, 64, 64)
    fresh = pickle.dumps(network)
    names = list(network.state_dict())
    for _ in range(CALLS):
        expected = network(image)
    assert pickle.dumps(network) == fresh and list(network.state_dict()) == names
    file = io.BytesIO()
    torch.save(network, file)
    file.seek(0)
    for twin in (copy.deepcopy(network), torch.load(file, weights_only=False)):
        for parameter in twin.parameters():
            parameter.mul_(2)
        with primitives(False):
            doubled = twin(image)
        assert_close(twin(image), doubled)
    assert_close(network(image), expected, 0)


@torch.no_grad()
def test_threads_may_share_a_network_and_models_may_alternate():
    networks = [merged('tiny', seed=0), merged('tiny', seed=1), merged('m1')]
    images = [torch.randn(1, 3, 32, 32 + 16 * i) for i in range(3)]
    with primitives(False):
        expected = [[network(image) for image in images] for network in networks]
    errors = []

    def run(offset: int) -> None:
        try:
            with torch.no_grad():
                for i in range(12):
                    n, k = (i + offset) % 3, (i // 3 + offset) % 3
                    assert_close(networks[n](images[k]), expected[n][k])
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


@pytest.mark.parametrize('variant', ['tiny', 'm1'])
def test_gradients_are_those_of_the_layers(variant, runs):
    gradients = []
    for enabled in (False, True):
        network = merged(variant, finetune_deployed=True)
        image = torch.linspace(-1, 1, 3 * 32 * 32).view(1, 3, 32, 32).requires_grad_()
        with primitives(enabled):
            sum(output.square().mean() for output in network(image)).backward()
        gradients.append([image.grad, *(p.grad for p in network.parameters())])
    assert not runs
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_an_input_that_needs_gradients_gets_them():
    network = merged().requires_grad_(False)
    image = torch.randn(1, 3, 32, 32, requires_grad=True)
    network(image)[-1].sum().backward()
    assert image.grad.abs().sum() > 0


@pytest.mark.parametrize(
    'dtype', [torch.float64, torch.bfloat16, torch.float16], ids=lambda d: str(d)[6:]
)
@pytest.mark.parametrize('variant', ['tiny', 'm1'])
@torch.no_grad()
def test_other_dtypes_give_the_very_same_numbers(variant, dtype, runs):
    network, image = merged(variant).to(dtype), torch.randn(1, 3, 64, 64).to(dtype)
    with primitives(False):
        expected = network(image)
    assert_close(network(image), expected, 0)
    assert not runs


@pytest.mark.parametrize('variant', ['tiny', 'm1'])
@torch.no_grad()
def test_autocast_gives_the_very_same_numbers(variant, runs):
    network, image = merged(variant), torch.randn(1, 3, 64, 64)
    with torch.autocast('cpu'):
        with primitives(False):
            expected = network(image)
        assert_close(network(image), expected, 0)
    assert not runs


@pytest.mark.filterwarnings('ignore::DeprecationWarning')  # of torch's older exporter
@pytest.mark.parametrize('variant', ['tiny', 'm1'])
@torch.no_grad()
def test_traced_compiled_and_exported_networks_have_the_layers(variant, runs):
    network, image = merged(variant), torch.randn(1, 3, 64, 64)
    expected = network(image)
    runs.clear()
    traced = torch.jit.trace(network, image, check_trace=False)  # the check runs the network
    exported = torch.export.export(network, (image,))
    file = io.BytesIO()
    torch.onnx.export(network, (image,), file, dynamo=False)
    assert not runs and file.tell()
    assert 'mkldnn' not in str(traced.inlined_graph) + str(exported.graph)
    compiled = torch.compile(network, backend='eager', fullgraph=True)
    for twin in (traced, exported.module(), compiled):
        assert_close(twin(image), expected)
    assert not runs
    assert_close(torch.fx.symbolic_trace(network)(image), expected)
    with torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = network(mode.from_tensor(image))
    assert [output.shape for output in fake] == [output.shape for output in expected]


@torch.no_grad()
def test_vmap_and_functional_calls_work():
    network, images = merged(), torch.randn(2, 3, 32, 32)
    expected = network(images)
    mapped = torch.vmap(lambda image: network(image[None])[-1][0])(images)
    assert_close(mapped, expected[-1])
    halved = {name: value / 2 for name, value in network.state_dict().items()}
    called = torch.func.functional_call(network, halved, (images,))
    network.load_state_dict(halved)
    assert_close(called, network(images))


def test_hooks_see_what_they_did(runs):
    network, image, seen = merged(), torch.randn(1, 3, 64, 64), []
    block = network.stages[0].blocks[0]
    with torch.no_grad():
        handles = [
            layer.register_forward_hook(lambda module, args, output: seen.append(output.clone()))
            for layer in (block.expand, block.act)
        ]
        network(image)
    assert len(seen) == 3 and block.expand not in runs and block.project not in runs
    assert seen[0].min() < 0
    assert_close(seen[1], seen[0].relu())
    for handle in handles:
        handle.remove()


@torch.no_grad()
def test_hooks_on_sequences_are_called():
    network, image, seen = merged('m1'), torch.randn(1, 3, 64, 64), []
    expected = network(image)
    block = network.stages[0].blocks[0]
    for layer in (block.channel_mixer, block.token_mixer.conv_l, network.stem.stem):
        layer.register_forward_hook(lambda module, args, output: seen.append(module))
    assert_close(network(image), expected)
    assert seen == [network.stem.stem, block.token_mixer.conv_l, block.channel_mixer]


@torch.no_grad()
def test_they_can_be_turned_off(runs, monkeypatch):
    network, image = merged(), torch.randn(1, 3, 64, 64)
    set_primitives(False)
    try:
        network(image)
        assert not runs
        with primitives(True):
            network(image)
        assert runs
    finally:
        set_primitives(True)
    for value in ('0', '1'):  # as in an import under this variable
        monkeypatch.setenv(ENVIRONMENT, value)
        assert runpy.run_path(inspect.getfile(set_primitives))['_state'] == dict(
            enabled=value == '1'
        )


@torch.no_grad()
def test_operators_that_are_missing_or_wrong_are_not_used(monkeypatch, runs):
    conv, x = nn.Conv2d(4, 6, 1), torch.randn(1, 4, 5, 5)

    class Wrong:
        def default(self, x, weight, *arguments):
            return torch.zeros(2, 32, 5, 6)

        binary = default

    def missing():
        raise AttributeError("'_OpNamespace' 'mkldnn' object has no attribute")

    for name, operators in itertools.product(
        ('_operators', '_operators_in_place'), (Wrong, missing)
    ):
        with monkeypatch.context() as patch:
            patch.setattr(onednn, name, operators)
            onednn.onednn_agrees.cache_clear()
            assert not onednn.onednn_agrees()
            assert_close(conv_act(x, conv, nn.ReLU()), conv(x).relu())
            assert_close(conv_add(x, conv, conv(x), nn.ReLU()), (2 * conv(x)).relu())
        onednn.onednn_agrees.cache_clear()
    assert not runs and onednn.onednn_agrees()


@torch.no_grad()
def test_sequences_run_each_layer_once(runs):
    layers = [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1), nn.GELU()]
    layers += [nn.Sigmoid(), nn.Conv2d(4, 2, 1), nn.Identity(), nn.ReLU()]
    x = torch.randn(1, 3, 8, 9)
    assert_close(ConvSequential(*layers)(x), nn.Sequential(*layers)(x))
    assert len(runs) == 4
