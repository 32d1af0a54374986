"""A merged network can be in training mode, and is trained only by one who says so."""

import io
from functools import partial

import pytest
import torch
from helpers import assert_close, slim
from torch import nn

from repnext_mm.models import RepNeXt
from repnext_mm.networks import RepNeXtClassifier
from repnext_mm.reparam import reparameterize_model

IMAGE = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
REFUSAL = r"is merged \('(fused|plain)'\).*finetune_deployed=True"
NETWORKS = {
    'mobile': partial(RepNeXt, slim('m0'), deploy='fused'),
    'plain': partial(RepNeXt, slim(), deploy='plain'),
    'classifier': partial(RepNeXtClassifier, slim('m0'), 3, form='fused'),
}


class Wrapper(nn.Module):
    """Someone's own module around a merged network."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network
        channels = 3 if isinstance(network, RepNeXtClassifier) else network.channels[-1]
        self.own = nn.Linear(channels, 2)

    def forward(self, image):
        output = self.network(image)
        return self.own(output if torch.is_tensor(output) else output[-1].mean((2, 3)))


@pytest.fixture(params=NETWORKS)
def wrapper(request) -> Wrapper:
    return Wrapper(NETWORKS[request.param]())


def test_modes_change_as_in_any_module(wrapper):
    for training in (True, False, True):
        assert wrapper.train(training) is wrapper
        assert {module.training for module in wrapper.modules()} == {training}
    assert not any(module.training for module in wrapper.eval().modules())
    assert wrapper.network.train() is wrapper.network


def test_training_is_refused_where_it_starts(wrapper):
    wrapper.train()
    with pytest.raises(ValueError, match=REFUSAL):
        wrapper(IMAGE)
    with pytest.raises(ValueError, match=REFUSAL), torch.autocast('cpu', dtype=torch.bfloat16):
        wrapper(IMAGE)
    wrapper.eval()(IMAGE).sum().backward()  # gradients of a network in evaluation mode
    assert all(p.grad is not None for p in wrapper.parameters())


def test_inference_in_training_mode_gives_the_same(wrapper):
    with torch.no_grad():
        expected = wrapper.eval()(IMAGE)
        assert_close(wrapper.train()(IMAGE), expected, 0)
    with torch.inference_mode():
        assert_close(wrapper(IMAGE), expected, 0)


def test_other_parts_train_around_a_frozen_network(wrapper):
    wrapper.train().network.requires_grad_(False)
    wrapper(IMAGE).sum().backward()
    assert wrapper.own.weight.grad is not None
    next(wrapper.network.parameters()).requires_grad_(True)
    with pytest.raises(ValueError, match=REFUSAL):
        wrapper(IMAGE)


@pytest.mark.parametrize('build', NETWORKS.values(), ids=NETWORKS)
def test_who_says_so_trains_the_merged_network(build):
    model = Wrapper(build(finetune_deployed=True)).train()
    model(IMAGE).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.filterwarnings('ignore:You are using the legacy', 'ignore:The feature will be removed')
@pytest.mark.filterwarnings('ignore:.*Exporting a model while it is in training mode')
def test_wrappers_are_exported_in_either_mode(wrapper, training):
    wrapper.train(training)
    with torch.no_grad():
        expected = wrapper(IMAGE)
    file = io.BytesIO()
    torch.onnx.export(wrapper, (IMAGE,), file, dynamo=False)
    assert file.getvalue() and wrapper.training == training
    assert_close(torch.jit.trace(wrapper, IMAGE)(IMAGE).detach(), expected)
    program = torch.export.export(wrapper, (IMAGE,))  # what torch.onnx.export(dynamo=True) calls
    assert_close(program.module()(IMAGE).detach(), expected)


def test_compiled_networks_train_or_are_refused_alike():
    compiled = partial(torch.compile, backend='eager')
    with pytest.raises(ValueError, match=REFUSAL):
        compiled(NETWORKS['mobile']().train())(IMAGE)
    for model in (RepNeXt(slim('m0')), NETWORKS['mobile'](finetune_deployed=True)):
        torch._dynamo.reset()
        outputs = compiled(model.train(), fullgraph=True)(IMAGE)
        sum(output.sum() for output in outputs).backward()
        assert all(p.grad is not None for p in model.parameters())


def test_recomputed_activations_change_nothing():
    with pytest.raises(ValueError, match=REFUSAL):
        NETWORKS['mobile'](with_cp=True).train()(IMAGE)
    model = NETWORKS['mobile'](with_cp=True, finetune_deployed=True).train()
    sum(output.sum() for output in model(IMAGE)).backward()
    assert all(p.grad is not None for p in model.parameters())


def test_data_parallel_training_is_refused_too(tmp_path):
    init = f'file://{tmp_path}/group'
    torch.distributed.init_process_group('gloo', init_method=init, rank=0, world_size=1)
    try:
        model = nn.parallel.DistributedDataParallel(NETWORKS['mobile']()).train()
        with pytest.raises(ValueError, match=REFUSAL):
            model(IMAGE)
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    ('network', 'argument'),
    [(RepNeXt(slim('m0')), 'deploy=None'), (RepNeXtClassifier(slim('m0'), 3), "form='training'")],
    ids=['openmmlab', 'torch'],
)
def test_refusal_names_the_argument_of_the_class(network, argument):
    with pytest.raises(ValueError, match=argument):
        reparameterize_model(network.eval()).train()(IMAGE)
