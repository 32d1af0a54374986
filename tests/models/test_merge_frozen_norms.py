"""Training through merged kernels while batch norms are fixed: the same numbers, by less work."""

import copy

import pytest
import torch
from helpers import ARCHS, assert_close, backbone, slim, state_of
from mmengine.hooks import EMAHook
from runners import Classifier, build_runner
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from repnext_mm import reparameterize_model
from repnext_mm.networks import RepNeXtClassifier
from repnext_mm.reparam import layers
from repnext_mm.reparam.live import LiveMerging

VARIANTS = ['tiny_v3', 'm1']


def pair(arch: str | dict, dtype: torch.dtype = torch.float64, **options) -> list:
    """Two equal backbones in training: with branches, and through merged kernels."""
    options = dict(norm_eval=True) | options
    models = [backbone(arch, merge_frozen_norms=merge, **options) for merge in (False, True)]
    return [model.to(dtype).train() for model in models]


def learn(model: nn.Module, x: Tensor, seed: int = 1) -> tuple[tuple[Tensor, ...], list[Tensor]]:
    """Outputs, and the gradients of all parameters under a random loss."""
    torch.manual_seed(seed)
    outputs = model(x)
    loss = sum((output.double() * torch.randn(output.shape).double()).sum() for output in outputs)
    model.zero_grad()
    loss.backward()
    return outputs, [parameter.grad for parameter in model.parameters()]


def maximum(tensor: Tensor) -> float:
    return tensor.abs().max().item()


def live_blocks(model: nn.Module) -> dict[str, bool]:
    """The blocks by name, and whether each would run merged."""
    return {
        name: module.live_convs() is not None
        for name, module in model.named_modules()
        if isinstance(module, LiveMerging)
    }


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize('arch', ARCHS)
def test_outputs_and_gradients_are_those_of_the_branches(arch, dtype):
    branched, merging = pair(slim(arch), dtype, drop_path_rate=0.3)
    assert not any(live_blocks(branched).values()) and all(live_blocks(merging).values())
    x = torch.randn(3, 3, 45, 38, dtype=dtype)
    (expected, gradients), (outputs, merged_gradients) = learn(branched, x), learn(merging, x)
    assert_close(outputs, expected)
    assert_close(merged_gradients, gradients)


@pytest.mark.parametrize('memory_format', [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize('shape', [(1, 3, 32, 32), (1, 3, 33, 63), (2, 3, 64, 47)], ids=str)
@pytest.mark.parametrize('variant', VARIANTS)
def test_any_size_and_layout_gives_the_same(variant, shape, memory_format):
    models = [model.to(memory_format=memory_format) for model in pair(slim(variant))]
    x = torch.randn(shape, dtype=torch.float64).to(memory_format=memory_format)
    (expected, gradients), (outputs, merged_gradients) = (learn(model, x) for model in models)
    assert_close(outputs, expected)
    for gradient, merged_gradient in zip(gradients, merged_gradients, strict=True):
        # At 1x1 the outer taps of a kernel only ever meet padding.
        torch.testing.assert_close(
            merged_gradient, gradient, rtol=0, atol=1e-10 * maximum(gradient)
        )
    strides = [output.is_contiguous(memory_format=memory_format) for output in expected]
    assert [o.is_contiguous(memory_format=memory_format) for o in outputs] == strides


@pytest.mark.parametrize('variant', VARIANTS)
def test_it_needs_no_gradients_but_the_training_mode(variant):
    x = torch.randn(1, 3, 40, 36, dtype=torch.float64)
    branched, merging = pair(slim(variant))
    with torch.no_grad():
        assert_close(merging(x), branched(x))
        assert not torch.equal(merging(x)[-1], branched(x)[-1])  # rounded in another order
        assert_close(merging.eval()(x), branched.eval()(x), 0)  # whoever compares forms sees this
    assert not any(live_blocks(merging).values())
    assert all(live_blocks(merging.train()).values())


@pytest.mark.parametrize('variant', VARIANTS)
def test_statistics_of_the_batch_run_the_branches_and_are_counted(variant):
    models = pair(slim(variant), norm_eval=False, frozen_stages=2)
    running = live_blocks(models[1])
    assert running == {n: n.startswith(('stem', 'stages.0', 'stages.1')) for n in running}
    x = torch.randn(4, 3, 40, 36, dtype=torch.float64)
    outputs = [model(x) for model in models]
    assert_close(outputs[1], outputs[0])
    branched, merging = (model.state_dict() for model in models)
    for name, value in branched.items():
        torch.testing.assert_close(merging[name], value, rtol=1e-10, atol=1e-12)
    counts = {n: v.item() for n, v in merging.items() if n.endswith('num_batches_tracked')}
    assert {count for name, count in counts.items() if name.startswith('stages.3')} == {1}
    assert set(counts.values()) == {0, 1}


def test_frozen_stages_leave_no_graph():
    model = pair(slim('m1'), frozen_stages=4)[1]
    assert all(live_blocks(model).values())
    assert not any(output.requires_grad for output in model(torch.randn(1, 3, 32, 32).double()))


@pytest.mark.parametrize('variant', VARIANTS)
def test_with_cp_recomputes_the_kernels(variant):
    x = torch.randn(2, 3, 40, 36, dtype=torch.float64)
    plain, saving = (pair(slim(variant), with_cp=w, drop_path_rate=0.3)[1] for w in (False, True))
    (expected, gradients), (outputs, saved_gradients) = learn(plain, x), learn(saving, x)
    assert_close(outputs, expected)
    assert_close(saved_gradients, gradients)


@pytest.mark.parametrize('variant', VARIANTS)
def test_autocast_rounds_merged_kernels_once(variant):
    branched, merging = pair(slim(variant), torch.float32)
    x = torch.randn(2, 3, 64, 64)
    expected, gradients = learn(branched, x)
    with torch.autocast('cpu', torch.bfloat16):
        for block in merging.modules():
            if isinstance(block, LiveMerging):
                assert {conv.weight.dtype for conv in block.live_convs()} == {torch.float32}
        (rounded, rounded_gradients), (outputs, merged_gradients) = (
            learn(model, x) for model in (branched, merging)
        )
    assert [output.dtype for output in outputs] == [output.dtype for output in rounded]
    assert {gradient.dtype for gradient in merged_gradients} == {torch.float32}
    for exact, before, after in (
        (expected, rounded, outputs),
        (gradients, rounded_gradients, merged_gradients),
    ):
        errors = [deviation(candidate, exact) for candidate in (before, after)]
        assert errors[1] < 1.5 * errors[0] < 0.2


def deviation(candidate, reference) -> float:
    """The mean relative difference over all tensors."""
    pairs = zip(candidate, reference, strict=True)
    return sum(((a - b).norm() / b.norm()).item() for a, b in pairs) / len(reference)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_parameters_stay_what_they_are(dtype):
    branched, merging = pair(slim('m1'), dtype)
    x = torch.randn(1, 3, 32, 32, dtype=dtype)
    with torch.no_grad():
        assert_close(merging(x), branched(x), 0.1)


def test_copies_and_state_dicts_are_those_of_the_training_form():
    branched, merging = pair(slim('m1'))
    x = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    outputs, _ = learn(merging, x)
    assert list(merging.state_dict()) == list(branched.state_dict())
    twin = copy.deepcopy(merging)
    assert all(live_blocks(twin).values())
    assert_close(twin(x), outputs, 0)
    merged = reparameterize_model(merging.eval())
    assert merged.form == 'fused' and not any(live_blocks(merged).values())
    assert_close(merged(x), outputs)


@pytest.mark.parametrize(
    ('variant', 'form'), [('tiny', 'fused'), ('tiny', 'plain'), ('m1', 'fused')]
)
def test_merged_networks_train_as_without_the_option(variant, form):
    models = pair(slim(variant), deploy=form, finetune_deployed=True)
    assert not any(live_blocks(models[1]).values())
    x = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    assert_close(models[1](x), models[0](x), 0)


def test_a_step_of_the_optimizer_reaches_the_next_kernels():
    models = pair(slim('tiny_v3'))
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    for _ in range(3):
        for model in models:
            learn(model, x)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= 1e-3 * parameter.grad.clamp(-1, 1)
    assert_close(list(models[1].parameters()), list(models[0].parameters()))


def test_what_is_more_than_a_linear_layer_runs_as_it_is():
    seen = []
    model = pair(slim('tiny_v3'))[1]
    blocks = [stage.blocks[0] for stage in model.stages]
    blocks[0].token_mixer.branches[0].conv.register_forward_hook(lambda *_: seen.append(0))
    blocks[1].token_mixer.branches[1].norm.register_full_backward_hook(lambda *_: seen.append(1))
    blocks[2].token_mixer.branches[2].norm = nn.Identity()  # as mmcv's fuse_conv_bn leaves it
    nn.utils.parametrizations.spectral_norm(blocks[3].token_mixer.branches[0].conv)
    assert [block.live_convs() is None for block in blocks] == [True] * 4
    learn(model, torch.randn(2, 3, 64, 64, dtype=torch.float64))
    assert seen == [0, 1]


@pytest.mark.parametrize('variant', VARIANTS)
def test_compiling_takes_the_merged_kernels_in_one_graph(variant):
    branched, merging = pair(slim(variant))
    calls = []
    compiled = torch.compile(
        merging, backend=lambda graph, _: calls.append(str(graph.code)) or graph, fullgraph=True
    )
    x = torch.randn(2, 3, 40, 40, dtype=torch.float64)
    (expected, gradients), (outputs, merged_gradients) = learn(branched, x), learn(compiled, x)
    assert_close(outputs, expected)
    assert_close(merged_gradients, gradients)
    assert len(calls) == 1 and 'batch_norm' not in calls[0]


@pytest.mark.parametrize('variant', VARIANTS)
def test_recorded_graphs_show_the_network_as_it_is(variant):
    x = torch.randn(1, 3, 40, 40, dtype=torch.float64)
    for model in pair(slim(variant)):
        with torch.no_grad():
            traced = torch.jit.trace(model, x, check_trace=False)
        exported = torch.export.export(model, (x,))
        assert 'batch_norm' in str(traced.inlined_graph)
        assert any('batch_norm' in str(node.target) for node in exported.graph.nodes)


def saved_bytes(model: nn.Module) -> int:
    """The memory that autograd keeps after a forward pass, each storage once."""
    storages = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = model(torch.randn(2, 3, 128, 128))
    assert all(output.requires_grad for output in outputs)
    return sum(storages.values())


@pytest.mark.parametrize('variant', VARIANTS)
def test_less_is_kept_for_the_backward_pass(variant):
    kept = [saved_bytes(model) for model in pair(slim(variant), torch.float32)]
    assert kept[1] < 0.75 * kept[0]


def test_classifiers_have_the_option_too():
    torch.manual_seed(0)
    models = [RepNeXtClassifier(slim('m1'), 5, merge_frozen_norms=m).double() for m in (0, 1)]
    models[1].load_state_dict(models[0].state_dict())
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    for layer in (layer for model in models for layer in model.modules()):
        if isinstance(layer, _BatchNorm):
            layer.eval()
    assert all(live_blocks(models[1]).values())
    assert_close(*(model(x) for model in models))


def test_layers_of_mixed_precision_keep_the_dtype_of_the_convolution():
    conv, norm = nn.Conv2d(3, 4, 1).bfloat16(), nn.BatchNorm2d(4).eval()
    merged = layers.merge_conv_norm(conv, norm, layers.live)
    assert merged.weight.dtype == torch.float32
    assert merged(torch.randn(1, 3, 4, 4).bfloat16()).dtype == torch.bfloat16


def trained(folder, name: str, merge: bool, **options) -> tuple[list[float], dict, dict]:
    """Losses, weights and averaged weights after training with a Runner in float64."""
    model = Classifier()
    model.backbone.norm_eval = True
    model.backbone.merge_frozen_norms = merge
    model.double().train()
    assert set(live_blocks(model).values()) == {merge}
    losses, hook = [], EMAHook(momentum=0.1)
    step = model.train_step

    def train_step(data, optim_wrapper):
        log = step(dict(data, inputs=[image.double() for image in data['inputs']]), optim_wrapper)
        losses.append(log['loss'].item())
        return log

    model.train_step = train_step
    build_runner(
        folder,
        name,
        [hook],
        model=model,
        val_cfg=None,
        val_dataloader=None,
        val_evaluator=None,
        **options,
    ).train()
    return losses, state_of(model), state_of(hook.ema_model.module)


@pytest.mark.distribution
@pytest.mark.parametrize('accumulate', [1, 2])
def test_a_runner_trains_and_averages_alike(tmp_path, accumulate):
    wrapper = dict(
        optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05), accumulative_counts=accumulate
    )
    results = [
        trained(tmp_path, f'merging{merge}{accumulate}', merge, optim_wrapper=wrapper)
        for merge in (False, True)
    ]
    (losses, weights, averages), (merged_losses, merged_weights, merged_averages) = results
    assert len(losses) == 6 and losses[0] != losses[-1]
    assert merged_losses == pytest.approx(losses, rel=1e-9)
    for name in weights:
        torch.testing.assert_close(merged_weights[name], weights[name], rtol=1e-6, atol=1e-8)
        torch.testing.assert_close(merged_averages[name], averages[name], rtol=1e-6, atol=1e-8)
