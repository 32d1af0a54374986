"""cuDNN's primitives: the operators replaced by stand-ins on the CPU, and the real ones on a GPU."""

import copy
import gc
import pickle

import pytest
import torch
from helpers import assert_close, backbone, slim
from torch import nn
from torch.nn import functional as F

from repnext_mm import reparameterize_model
from repnext_mm.reparam.primitives import conv_act, conv_add, cudnn, primitives, selection

COMPARISONS = 24
"""Calls in which the operators are compared with torch, for a dtype."""

DTYPES = [torch.float32, torch.float16, torch.bfloat16]


class StandIns:
    """The two operators on plain torch, in the order of the arguments that their schemas state.

    Args:
        refuses: Raise an error for kernels of this size, as cuDNN does where it has none.
        factor: Of the output: 1 is right.
    """

    def __init__(self, refuses: int | None = None, factor: float = 1.0):
        self.refuses = refuses
        self.factor = factor
        self.calls: list[torch.Size] = []

    def relu(self, x, weight, bias, stride, padding, dilation, groups):
        self.calls.append(weight.shape)
        if weight.shape[-1] == self.refuses:
            raise RuntimeError('GET was unable to find an engine to execute this computation')
        y = F.conv2d(x, weight, bias, stride, padding, dilation, groups)
        return self.factor * y.relu_()

    def add_relu(self, x, weight, z, alpha, bias, stride, padding, dilation, groups):
        self.calls.append(weight.shape)
        if weight.shape[-1] == self.refuses:
            raise RuntimeError('GET was unable to find an engine to execute this computation')
        y = F.conv2d(x, weight, bias, stride, padding, dilation, groups)
        return self.factor * y.add_(z, alpha=alpha).relu_()


@pytest.fixture
def install(monkeypatch):
    """Puts stand-ins in the place of cuDNN's operators, and the CPU in that of a GPU."""

    def put(**options) -> StandIns:
        standins = StandIns(**options)
        monkeypatch.setattr(torch, 'cudnn_convolution_relu', standins.relu)
        monkeypatch.setattr(torch, 'cudnn_convolution_add_relu', standins.add_relu)
        return standins

    monkeypatch.setitem(selection.LIBRARIES, 'cpu', cudnn.CuDNN())
    monkeypatch.setattr(cudnn, '_agreements', {})
    return put


def merged(form: str = 'fused', **options) -> nn.Module:
    return reparameterize_model(backbone(slim('tiny'), **options), form)


def pair(dtype: torch.dtype = torch.float32, size: int = 3, **options):
    """An input, a convolution, and a tensor of its output's shape."""
    conv = nn.Conv2d(8, 12, size, padding=size // 2, **options).to(dtype)
    x = torch.randn(2, 8, 9, 7).to(dtype)
    return x, conv, torch.randn_like(conv(x))


@pytest.mark.parametrize('name', ['relu', 'add_relu'])
def test_arguments_stand_in_the_order_of_the_schema(name):
    arguments = getattr(torch.ops.aten, f'cudnn_convolution_{name}').default._schema.arguments
    shared = ['bias', 'stride', 'padding', 'dilation', 'groups']
    between = ['z', 'alpha'] if name == 'add_relu' else []
    assert [argument.name for argument in arguments] == ['self', 'weight', *between, *shared]


@pytest.mark.parametrize('dtype', DTYPES, ids=lambda dtype: str(dtype)[6:])
@torch.no_grad()
def test_outputs_are_those_of_the_layers(dtype, install):
    standins = install()
    act = nn.ReLU()
    for options in (dict(), dict(stride=2, bias=False), dict(dilation=2)):
        x, conv, other = pair(dtype, **options)
        for view in (x, x.contiguous(memory_format=torch.channels_last), x.transpose(2, 3)):
            addend = other if view.shape == x.shape else torch.randn_like(conv(view))
            standins.calls.clear()
            tolerance = 2 * cudnn.CUDNN_AGREEMENT[dtype]
            assert_close(conv_act(view, conv, act), conv(view).relu(), tolerance)
            expected = (addend + conv(view)).relu()
            assert_close(conv_add(view, conv, addend, act), expected, tolerance)
            strided = addend.transpose(2, 3).contiguous().transpose(2, 3)
            assert_close(conv_add(view, conv, strided, act), expected, tolerance)
            assert standins.calls[-3:] == [conv.weight.shape] * 3


@pytest.mark.parametrize('form', ['fused', 'plain'])
@torch.no_grad()
def test_merged_networks_run_them_and_equal_the_layers(form, install):
    standins = install()
    network, image = merged(form), torch.randn(2, 3, 61, 48)
    with primitives(False):
        expected = network(image)
    assert not standins.calls
    assert_close(network(image), expected)
    convs = [module for module in network.modules() if type(module) is nn.Conv2d]
    # Each of the stem, the downsampling layers and the pointwise layers, which ReLU follows.
    assert len(standins.calls) - COMPARISONS == sum(conv.groups == 1 for conv in convs)


@torch.no_grad()
def test_what_cudnn_does_not_offer_runs_as_layers(install):
    standins = install()
    x, conv, other = pair()
    cudnn.cudnn_agrees(x.device, x.dtype)
    standins.calls.clear()
    for act in (None, nn.GELU(), nn.Identity(), nn.Sigmoid()):
        expected = conv(x) if act is None else act(conv(x))
        assert_close(conv_act(x, conv, act), expected)
        expected = other + conv(x) if act is None else act(other + conv(x))
        assert_close(conv_add(x, conv, other, act), expected)
    for options in (dict(groups=4), dict(padding_mode='reflect')):
        x, conv, _ = pair(**options)
        assert_close(conv_act(x, conv, nn.ReLU()), conv(x).relu())
    x, conv, _ = pair()
    assert_close(conv_add(x, conv, torch.ones(1), nn.ReLU()), (1 + conv(x)).relu())
    with pytest.raises(RuntimeError, match='channels'):
        conv_act(x[:, :5], conv, nn.ReLU())
    assert not standins.calls


@torch.no_grad()
def test_a_layer_that_is_refused_runs_as_it_is_from_then_on(install):
    standins = install(refuses=5)
    act = nn.ReLU()
    x, refused, other = pair(size=5)
    _, right, _ = pair()
    for _ in range(3):
        assert_close(conv_act(x, refused, act), refused(x).relu())
        assert_close(conv_add(x, refused, other, act), (other + refused(x)).relu())
        assert_close(conv_act(x, right, act), right(x).relu())
    assert standins.calls.count(refused.weight.shape) == 2  # once alone, once with an addition
    assert standins.calls.count(right.weight.shape) == 3
    assert cudnn.layers_tried(nn.Sequential(refused, right)) == (1, 2)


@torch.no_grad()
def test_a_lack_of_memory_is_not_remembered(install, monkeypatch):
    standins = install()
    x, conv, _ = pair()
    conv_act(x, conv, nn.ReLU())
    with monkeypatch.context() as patch:
        error = torch.OutOfMemoryError('CUDA out of memory')
        patch.setattr(torch, 'cudnn_convolution_relu', lambda *_: (_ for _ in ()).throw(error))
        assert_close(conv_act(x, conv, nn.ReLU()), conv(x).relu())
    standins.calls.clear()
    conv_act(x, conv, nn.ReLU())
    assert standins.calls == [conv.weight.shape]


@pytest.mark.parametrize('dtype', DTYPES, ids=lambda dtype: str(dtype)[6:])
@pytest.mark.parametrize('options', [dict(factor=1.1), dict(factor=float('nan')), dict(refuses=1)])
@torch.no_grad()
def test_operators_that_disagree_are_never_used(dtype, options, install):
    standins = install(**options)
    x, conv, other = pair(dtype)
    assert not cudnn.cudnn_agrees(x.device, dtype)
    standins.calls.clear()
    with primitives(False):
        expected = conv_act(x, conv, nn.ReLU()), conv_add(x, conv, other, nn.ReLU())
    assert_close((conv_act(x, conv, nn.ReLU()), conv_add(x, conv, other, nn.ReLU())), expected, 0)
    assert not standins.calls


@torch.no_grad()
def test_operators_that_are_missing_are_not_used(install, monkeypatch):
    install()
    monkeypatch.delattr(torch, 'cudnn_convolution_add_relu')
    x, conv, _ = pair()
    assert_close(conv_act(x, conv, nn.ReLU()), conv(x).relu())
    assert cudnn._agreements == {(x.device, x.dtype, True): False}


@torch.no_grad()
def test_agreement_is_tried_once_for_each_dtype_and_for_tf32(install, monkeypatch):
    """The lower precision of TF32 counts as agreement only where the user allows TF32."""
    standins = install(factor=1 + 1e-3)
    x, conv, _ = pair()
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', True)
    assert cudnn.cudnn_agrees(x.device, torch.float32)
    count = len(standins.calls)
    assert count and cudnn.cudnn_agrees(x.device, torch.float32) and len(standins.calls) == count
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)
    assert not cudnn.cudnn_agrees(x.device, torch.float32)
    assert_close(conv_act(x, conv, nn.ReLU()), conv(x).relu(), 0)
    assert cudnn.cudnn_agrees(x.device, torch.float16)


@torch.no_grad()
def test_settings_of_torch_are_respected(install, monkeypatch):
    standins = install()
    x, conv, _ = pair()
    conv_act(x, conv, nn.ReLU())
    standins.calls.clear()
    for name, value in (('deterministic', True), ('enabled', False)):
        with monkeypatch.context() as patch:
            patch.setattr(torch.backends.cudnn, name, value)
            conv_act(x, conv, nn.ReLU())
    with torch.autocast('cpu'):
        conv_act(x, conv, nn.ReLU())
    conv_act(x.double(), conv.double(), nn.ReLU())
    assert not standins.calls


@torch.no_grad()
def test_while_a_graph_is_recorded_only_layers_that_have_run_use_them(install, monkeypatch):
    standins = install()
    recording = [True]
    monkeypatch.setattr(cudnn, '_is_recording', lambda device: recording[0])
    x, conv, _ = pair()
    _, other_conv, _ = pair()
    for layer, is_recording, count in (
        (conv, True, 0),
        (conv, False, 1),
        (conv, True, 1),
        (other_conv, True, 0),
    ):
        recording[0] = is_recording
        standins.calls.clear()
        assert_close(conv_act(x, layer, nn.ReLU()), layer(x).relu())
        assert standins.calls.count(layer.weight.shape) == count


def test_gradients_tracing_export_and_fake_tensors_have_the_layers(install):
    standins = install()
    network = merged(finetune_deployed=True)
    image = torch.randn(1, 3, 32, 32)
    network(image)[-1].sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    with torch.no_grad():
        torch.jit.trace(network, image, check_trace=False)
        torch.export.export(network, (image,))
        torch.compile(network, backend='eager', fullgraph=True)(image)
        torch.vmap(lambda image: network(image[None])[-1])(image)
        with torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True) as mode:
            network(mode.from_tensor(image))
        assert not standins.calls
        network(image)
    assert standins.calls


@torch.no_grad()
def test_weights_may_change_and_copies_and_files_have_nothing_of_it(install):
    install()
    network, image = merged(), torch.randn(1, 3, 32, 32)
    fresh = pickle.dumps(network)
    network(image)
    assert pickle.dumps(network) == fresh
    for twin in (network, copy.deepcopy(network), pickle.loads(fresh)):
        for change in (
            lambda model: [parameter.mul_(2) for parameter in model.parameters()],
            lambda model: model.load_state_dict({k: v / 3 for k, v in model.state_dict().items()}),
            lambda model: model.half().float(),
        ):
            change(twin)
            with primitives(False):
                expected = twin(image)
            assert_close(twin(image), expected)


@torch.no_grad()
def test_nothing_is_kept_of_networks_that_are_gone(install):
    install()
    gc.collect()
    before = len(cudnn._layers)
    network = merged()
    network(torch.randn(1, 3, 32, 32))
    assert len(cudnn._layers) > before
    del network
    gc.collect()
    assert len(cudnn._layers) == before


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU')
@pytest.mark.parametrize('allow_tf32', [False, True])
@pytest.mark.parametrize('dtype', DTYPES, ids=lambda dtype: str(dtype)[6:])
@torch.no_grad()
def test_cudnn_itself_takes_merged_networks(dtype, allow_tf32, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', allow_tf32)
    network = merged().to('cuda', dtype)
    image = torch.randn(2, 3, 96, 64).to('cuda', dtype)
    with primitives(False):
        expected = network(image)
    tolerance = cudnn.TF32_AGREEMENT if allow_tf32 else cudnn.CUDNN_AGREEMENT[dtype]
    # Rounding adds up over some thirty layers.
    assert_close(network(image), expected, 10 * max(tolerance, cudnn.CUDNN_AGREEMENT[dtype]))
    ran, refused = cudnn.layers_tried(network)
    assert ran > 0 == refused


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU')
@torch.no_grad()
def test_cuda_graphs_replay_them(monkeypatch):
    network, image = merged().cuda(), torch.randn(2, 3, 96, 64).cuda()
    expected = [output.clone() for output in network(image)]
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = network(image)
    graph.replay()
    assert_close(outputs, expected, 10 * cudnn.TF32_AGREEMENT)
    monkeypatch.setattr(cudnn, '_agreements', {})
    fresh = merged().cuda()
    with torch.cuda.graph(torch.cuda.CUDAGraph()):
        fresh(image)
    assert cudnn.layers_tried(fresh) == (0, 0) and not cudnn._agreements
