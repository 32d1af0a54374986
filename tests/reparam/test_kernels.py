"""Each kernel identity against the operations that it replaces."""

import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from helpers import assert_close
from torch import nn

from repnext_mm.reparam import kernels, layers


def rand(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def affine(channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    return rand(channels) + 2, rand(channels)


@pytest.mark.parametrize('learned', [True, False])
def test_batch_norm_affine_equals_batch_norm(learned):
    mean, variance, x = rand(5), torch.rand(5, dtype=torch.float64) + 0.5, rand(2, 5, 3, 4)
    weight, bias = (rand(5), rand(5)) if learned else (None, None)
    scale, shift = kernels.batch_norm_affine(mean, variance, 1e-3, weight, bias)
    expected = F.batch_norm(x, mean, variance, weight, bias, eps=1e-3)
    assert_close(x * scale.view(-1, 1, 1) + shift.view(-1, 1, 1), expected)


@pytest.mark.parametrize('groups', [1, 2, 4])
def test_fuse_conv_bn_equals_conv_then_norm(groups):
    weight, bias, x, (scale, shift) = (
        rand(8, 4 // groups, 3, 3),
        rand(8),
        rand(2, 4, 7, 9),
        affine(8),
    )
    expected = F.conv2d(x, weight, bias, padding=1, groups=groups)
    expected = expected * scale.view(-1, 1, 1) + shift.view(-1, 1, 1)
    fused = kernels.fuse_conv_bn(weight, bias, scale, shift)
    assert_close(F.conv2d(x, *fused, padding=1, groups=groups), expected)


def test_fuse_bn_conv_equals_norm_then_conv():
    weight, bias, x, (scale, shift) = rand(6, 4, 2, 2), rand(6), rand(2, 4, 7, 9), affine(4)
    normed = x * scale.view(-1, 1, 1) + shift.view(-1, 1, 1)
    expected = F.conv2d(normed, weight, bias, stride=2)
    assert_close(F.conv2d(x, *kernels.fuse_bn_conv(weight, bias, scale, shift), stride=2), expected)


@pytest.mark.parametrize('size', [1, 2, 3, 5])
@pytest.mark.parametrize('dilation', [1, 2, 3])
def test_dilated_to_dense_equals_dilated_conv(size, dilation):
    weight, x = rand(4, 1, size, size), rand(1, 4, 20, 23)
    dense = kernels.dilated_to_dense(weight, dilation)
    assert dense.shape[2:] == (dilation * (size - 1) + 1,) * 2
    assert_close(F.conv2d(x, dense, groups=4), F.conv2d(x, weight, dilation=dilation, groups=4))


@pytest.mark.parametrize('shape', [(1, 1), (3, 3), (1, 5), (7, 7)])
def test_pad_kernel_equals_conv_with_same_padding(shape):
    weight, x = rand(4, 2, *shape), rand(1, 2, 5, 4)
    expected = F.conv2d(x, weight, padding=(shape[0] // 2, shape[1] // 2))
    assert_close(F.conv2d(x, kernels.pad_kernel(weight, 7), padding=3), expected)


@pytest.mark.parametrize('shape', [(9, 9), (2, 2), (3, 4)])
def test_pad_kernel_refuses_what_cannot_be_centred(shape):
    with pytest.raises(ValueError, match=f'{shape[0]}x{shape[1]}'):
        kernels.pad_kernel(rand(1, 1, *shape), 7)


@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('size', [(1, 1), (3, 8), (9, 7)], ids=str)
def test_row_then_column_equals_one_kernel(size, stride):
    row, column, x = rand(4, 1, 1, 5), rand(4, 1, 7, 1), rand(2, 4, *size)
    expected = F.conv2d(x, row, stride=(1, stride), padding=(0, 2), groups=4)
    expected = F.conv2d(expected, column, stride=(stride, 1), padding=(3, 0), groups=4)
    kernel = kernels.compose_row_column(row, column)
    assert_close(F.conv2d(x, kernel, stride=stride, padding=(3, 2), groups=4), expected)


def test_a_bias_between_row_and_column_is_wrong_at_the_border_alone():
    row, column, bias, x = rand(4, 1, 1, 11), rand(4, 1, 11, 1), rand(4), rand(2, 4, 14, 6)
    pair = F.conv2d(x, row, bias, padding=(0, 5), groups=4)
    pair = F.conv2d(pair, column, padding=(5, 0), groups=4)
    kernel = kernels.compose_row_column(row, column)
    one = F.conv2d(x, kernel, bias * column.flatten(1).sum(1), padding=5, groups=4)
    assert_close(one[:, :, 5:-5], pair[:, :, 5:-5])
    differences = (one - pair).abs().amax(dim=(0, 1, 3))
    assert (differences[:5] > 1e-6).all() and (differences[-5:] > 1e-6).all()


def test_merge_parallel_equals_sum_of_convs():
    branches, x = [(rand(4, 1, 3, 3), rand(4)) for _ in range(3)], rand(1, 4, 6, 6)
    expected = sum(F.conv2d(x, *branch, padding=1, groups=4) for branch in branches)
    assert_close(F.conv2d(x, *kernels.merge_parallel(branches), padding=1, groups=4), expected)


def test_carried_input_makes_the_residual_removable():
    x = rand(2, 3, 5, 6).relu()
    mixer, expand, project = (
        (rand(3, 1, 7, 7), rand(3)),
        (rand(12, 3, 1, 1), rand(12)),
        (rand(3, 12, 1, 1), rand(3)),
    )
    hidden = F.conv2d(F.conv2d(x, *mixer, padding=3, groups=3), *expand).relu()
    expected = x + F.conv2d(hidden, *project)
    y = F.conv2d(x, *kernels.carry_input_depthwise(*mixer), padding=3, groups=3)
    y = F.conv2d(y, *kernels.carry_input_expand(*expand)).relu()
    assert_close(F.conv2d(y, *kernels.carry_input_project(*project)), expected)


@pytest.mark.parametrize('size', [1, 2])
def test_norms_on_both_sides_fold_with_first_and_second_derivatives(size):
    arguments = (rand(5, 3, size, size), rand(5), *affine(3), *affine(5))
    for tensor in arguments:
        tensor.requires_grad_()

    def both(weight, bias, *affines):
        return kernels.fuse_bn_conv_bn(weight, bias, affines[:2], affines[2:])

    weight, bias, *affines = arguments
    one_by_one = kernels.fuse_bn_conv(weight, bias, *affines[:2])
    assert_close(both(*arguments), kernels.fuse_conv_bn(*one_by_one, *affines[2:]))
    assert torch.autograd.gradcheck(both, arguments)
    assert torch.autograd.gradgradcheck(both, arguments)


@pytest.mark.parametrize(
    'conv', [nn.Conv2d(4, 4, 2, padding=1), nn.Conv2d(4, 4, 2, groups=2)], ids=['padded', 'grouped']
)
def test_fuse_norm_conv_refuses_where_it_would_be_inexact(conv):
    with pytest.raises(ValueError, match='folds exactly only'):
        layers.fuse_norm_conv(nn.BatchNorm2d(4), conv)


@pytest.mark.parametrize(
    'norm', [nn.GroupNorm(2, 4), nn.BatchNorm2d(4, track_running_stats=False), nn.Identity()]
)
def test_norm_affine_refuses_what_is_no_fixed_affine_map(norm):
    with pytest.raises(TypeError, match='running statistics'):
        layers.norm_affine(norm)


def test_page_of_proofs_names_every_function_and_only_tests_that_exist():
    root = Path(__file__).resolve().parents[2]
    page = (root / 'docs' / 'algebra.md').read_text(encoding='utf-8')
    public = {
        name
        for name, value in vars(kernels).items()
        if getattr(value, '__module__', '') == kernels.__name__ and not name.startswith('_')
    }
    named = re.findall(r'`(kernels|layers)\.(\w+)`', page)
    assert {name for module, name in named if module == 'kernels'} == public
    assert all(hasattr(layers, name) for module, name in named if module == 'layers')
    tests = ''.join(path.read_text() for path in (root / 'tests').glob('*/test_*.py'))
    proofs = re.findall(r'`(test_\w+)`', page)
    assert len(proofs) > 10
    assert [name for name in proofs if f'def {name}(' not in tests] == []
