"""The backbone contract, for every architecture."""

import itertools

import pytest
import torch
from helpers import ARCHS, assert_close, backbone, slim, state_of
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from repnext_mm import reparameterize_model
from repnext_mm.models import RepNeXt

# Published: 28.44 M and 51.55 M parameters with a 1000-class head.
HEAD = 768 * 1000 + 1000
TRAINING_PARAMETERS = {
    'tiny': 28_440_424,
    'tiny_v2': 28_440_424 - 1 * 6624,
    'tiny_v3': 28_440_424 + 2 * 6624,
    'convnext_er_tiny': 28_440_424 + 15 * 6624,
}
SUBSETS = [s for n in range(1, 5) for s in itertools.combinations(range(4), n)]


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize('arch', ARCHS)
def test_outputs_have_the_channels_and_strides_of_the_arch(arch):
    with torch.device('meta'):
        model = RepNeXt(arch)
        outputs = model(torch.empty(1, 3, 64, 96))
    channels = model.arch_settings[arch].channels
    expected = [(1, c, 64 // s, 96 // s) for c, s in zip(channels, (4, 8, 16, 32), strict=True)]
    assert [tuple(output.shape) for output in outputs] == expected


@pytest.mark.parametrize('arch', TRAINING_PARAMETERS)
def test_parameters_are_the_published_ones(arch):
    # SPEC: parameters per channel of the units are 36, 35, 38 and 51; 6624 channels of units.
    with torch.device('meta'):
        sizes = [parameters(RepNeXt(arch, deploy=form)) for form in (None, 'fused', 'plain')]
    assert [size + HEAD for size in sizes] == [TRAINING_PARAMETERS[arch], 28_533_064, 51_547_720]


def multiply_adds(model: nn.Module, size: int) -> float:
    """Those of convolutions, and two per output element of a batch norm, in millions."""
    from mmengine.analysis import FlopAnalyzer

    analyzer = FlopAnalyzer(model.eval(), torch.randn(1, 3, size, size))
    analyzer.unsupported_ops_warnings(False)
    counts = analyzer.by_operator()
    return (counts['conv'] + counts['batch_norm'] + HEAD - 1000) / 1e6


@pytest.mark.parametrize(
    ('deploy', 'size', 'published', 'digits'),
    [
        (None, 96, 814.17, 2),
        (None, 224, 4.4e3, -2),
        ('plain', 96, 1.51e3, -1),
        ('plain', 224, 8.2e3, -2),
    ],
)
def test_flops_are_the_published_ones(deploy, size, published, digits):
    assert round(multiply_adds(RepNeXt(deploy=deploy), size), digits) == published


@pytest.mark.parametrize('variant', ['tiny', 'm1'])
@pytest.mark.parametrize('indices', SUBSETS, ids=str)
def test_out_indices_select_stages_and_leave_no_parameter_unused(indices, variant):
    full = backbone(slim(variant))
    part = RepNeXt(slim(variant), out_indices=indices).eval()
    part.load_state_dict({k: v for k, v in full.state_dict().items() if k in part.state_dict()})
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert_close(part(image), [full(image)[i] for i in indices], 0)
    sum(output.sum() for output in part.train()(image)).backward()
    assert [name for name, p in part.named_parameters() if p.grad is None] == []


def test_negative_and_single_out_indices_count_from_the_last():
    assert RepNeXt(slim(), out_indices=-1).out_indices == (3,)
    assert RepNeXt(slim(), out_indices=[-3, 3]).out_indices == (1, 3)


@pytest.mark.parametrize('variant', ['tiny', 'm1'])
@pytest.mark.parametrize('norm', ['BN', 'SyncBN'])
@pytest.mark.parametrize('frozen', range(-1, 5))
def test_frozen_stages_have_no_gradients_and_fixed_statistics(frozen, norm, variant):
    model = RepNeXt(slim(variant), frozen_stages=frozen, norm_cfg=dict(type=norm))
    assert model.train() is model
    parts = [model.stem, *model.stages]
    for index, part in enumerate(parts):
        is_frozen = index <= frozen
        assert {p.requires_grad for p in part.parameters()} == {not is_frozen}
        norms = [m for m in part.modules() if isinstance(m, _BatchNorm)]
        assert norms and {m.training for m in norms} == {not is_frozen}


@pytest.mark.parametrize('variant', ['tiny', 'm1'])
@pytest.mark.parametrize('norm', ['BN', 'SyncBN'])
def test_norm_eval_keeps_statistics_but_trains_the_rest(norm, variant):
    model = RepNeXt(
        slim(variant), norm_eval=True, drop_path_rate=0.5, norm_cfg=dict(type=norm)
    ).train()
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    assert norms and not any(m.training for m in norms)
    assert model.training and all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize('variant', ['tiny', 'tiny_v3', 'm1'])
def test_with_cp_gives_equal_outputs_gradients_and_statistics(variant):
    results = []
    for with_cp in (False, True):
        model = backbone(slim(variant), with_cp=with_cp, drop_path_rate=0.3).double().train()
        torch.manual_seed(1)
        image = torch.linspace(-1, 1, 3 * 40 * 36, dtype=torch.float64).view(1, 3, 40, 36)
        image = torch.cat([image, image.flip(2) ** 2])
        outputs = model(image)
        sum((output**2).mean() for output in outputs).backward()
        results.append((outputs, [p.grad for p in model.parameters()], state_of(model)))
    (plain, plain_grads, plain_state), (saved, saved_grads, saved_state) = results
    assert_close(saved, plain)
    for saved_grad, plain_grad in zip(saved_grads, plain_grads, strict=True):
        torch.testing.assert_close(saved_grad, plain_grad, rtol=1e-10, atol=1e-12)
    assert all(torch.equal(saved_state[name], plain_state[name]) for name in plain_state)


@pytest.mark.parametrize('variant', ['tiny', 'm1'])
def test_drop_path_grows_linearly_and_acts_in_training_only(variant):
    model = backbone(slim(variant, depths=(2, 2, 2, 2)), drop_path_rate=0.7)
    rates = [getattr(b.drop_path, 'p', 0) for s in model.stages for b in s.blocks]
    assert rates == pytest.approx([0.1 * i for i in range(8)])
    image = torch.randn(8, 3, 32, 32)
    with torch.no_grad():
        assert_close(model(image), model(image), 0)
        model.train()
        assert not torch.equal(model(image)[-1], model(image)[-1])


def test_init_weights_gives_the_stated_distribution():
    model = RepNeXt('tiny')
    model.init_weights()
    weight = model.stages[2].blocks[0].expand.weight
    assert weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert abs(weight.mean().item()) < 1e-4
    norm = model.stem.norm
    assert norm.weight.eq(1).all() and norm.bias.eq(0).all()


def test_arch_dict_takes_the_layers_of_its_variant():
    model = RepNeXt(slim('tiny_v2'))
    assert model.channels == (8, 12, 16, 24)
    assert len(model.stages[0].blocks[0].token_mixer.branches) == 4
    assert [n for n, _ in model.stages[0].blocks[0].token_mixer.branches[3].named_children()] == [
        'norm'
    ]


def test_other_numbers_of_stages_and_input_channels_work():
    model = backbone(slim(channels=(8, 16), depths=(1, 2)), out_indices=(0, 1), in_channels=4)
    with torch.no_grad():
        shapes = [tuple(o.shape) for o in model(torch.randn(1, 4, 32, 32))]
        assert_close(
            reparameterize_model(model)(torch.ones(1, 4, 32, 32)), model(torch.ones(1, 4, 32, 32))
        )
    assert shapes == [(1, 8, 8, 8), (1, 16, 4, 4)]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(arch='huge'), "'huge'.*tiny_v2"),
        (dict(arch=dict(channels=[8], depth=[1])), "'channels', 'depths'.*'depth'"),
        (dict(arch=dict(channels=[8, 16], depths=[1])), r'channels=\[8, 16\], depths=\[1\]'),
        (dict(arch=dict(channels=[8, 0], depths=[1, 1])), r'one positive int'),
        (dict(arch=slim('nano')), "'nano'"),
        (dict(out_indices=(0, 4)), r'0 to 3.*\(0, 4\)'),
        (dict(out_indices=()), 'out_indices'),
        (dict(out_indices=(1, -3)), 'twice'),
        (dict(frozen_stages=5), 'between -1 .* 4, got 5'),
        (dict(drop_path_rate=1.0), r'\[0, 1\), got 1.0'),
        (dict(deploy='merged'), "'merged'.*fused.*plain"),
    ],
    ids=str,
)
def test_bad_values_are_named_with_the_allowed_ones(options, message):
    with pytest.raises(ValueError, match=message):
        RepNeXt(**options)


def test_arch_of_another_type_is_refused():
    with pytest.raises(TypeError, match='name or a dict, got 3'):
        RepNeXt(3)


def test_docstring_example_prints_what_it_says():
    import doctest

    from repnext_mm.models import repnext

    assert doctest.testmod(repnext) == (0, 6)
