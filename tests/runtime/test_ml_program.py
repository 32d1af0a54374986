"""Operators of Core ML's programs in torch, against what MIL's reference says of them."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from repnext_mm.runtime.ml_program import MIL_OPERATORS, check_operators

RANDOM = torch.Generator().manual_seed(0)


def random(*shape):
    return torch.randn(shape, generator=RANDOM)


def integers(*values):
    return torch.tensor(values, dtype=torch.int32)


def convolve(x, weight, **options):
    usual = dict(strides=integers(1, 1), dilations=integers(1, 1), groups=1, pad_type='valid')
    return MIL_OPERATORS['conv'](x=x, weight=weight, **(usual | options))


def test_custom_padding_is_top_bottom_left_right():
    x, weight = random(1, 2, 5, 7), random(3, 2, 3, 3)
    found = convolve(x, weight, pad_type='custom', pad=integers(1, 0, 2, 0))
    torch.testing.assert_close(found, F.conv2d(F.pad(x, (2, 0, 1, 0)), weight))


def test_same_padding_puts_the_odd_pixel_behind():
    x, weight = random(1, 2, 5, 6), random(3, 2, 3, 3)
    found = convolve(x, weight, pad_type='same', strides=integers(2, 2))
    assert found.shape == (1, 3, 3, 3)  # ceil of 5 / 2 and 6 / 2
    # 5 rows need 3 * 2 - 2 + 3 - 5 = 2 more, one on each side; 6 columns one, behind.
    torch.testing.assert_close(found, F.conv2d(F.pad(x, (0, 1, 1, 1)), weight, stride=2))
    with pytest.raises(ValueError, match="padding of type 'same_lower' is unknown"):
        convolve(x, weight, pad_type='same_lower')


@pytest.mark.parametrize('excluded', [True, False])
def test_average_pooling_counts_padding_or_not(excluded):
    x = random(2, 3, 8, 8)
    found = MIL_OPERATORS['avg_pool'](
        x=x,
        kernel_sizes=integers(3, 3),
        strides=integers(2, 2),
        pad_type='custom',
        pad=integers(1, 1, 1, 1),
        exclude_padding_from_average=excluded,
    )
    expected = F.avg_pool2d(x, 3, 2, 1, count_include_pad=not excluded)
    torch.testing.assert_close(found, expected)


def test_maximum_pooling_pads_with_less_than_everything():
    x = random(1, 2, 8, 8) - 10
    found = MIL_OPERATORS['max_pool'](
        x=x,
        kernel_sizes=integers(3, 3),
        strides=integers(2, 2),
        pad_type='custom',
        pad=integers(1, 1, 1, 1),
    )
    torch.testing.assert_close(found, F.max_pool2d(x, 3, 2, 1))


def test_slices_obey_their_masks():
    x = random(2, 3, 6, 8)
    found = MIL_OPERATORS['slice_by_index'](
        x=x,
        begin=integers(0, 1, 0, 2),
        end=integers(0, 2, 4, 0),
        begin_mask=torch.tensor([True, False, True, False]),
        end_mask=torch.tensor([True, False, False, True]),
        squeeze_mask=torch.tensor([False, True, False, False]),
    )
    torch.testing.assert_close(found, x[:, 1, :4, 2:])


@pytest.mark.parametrize('mode', ['EXACT', 'TANH_APPROXIMATION'])
def test_gelu_in_its_modes(mode):
    x = random(100)
    exact = mode == 'EXACT'
    expected = F.gelu(x, approximate='none' if exact else 'tanh')
    torch.testing.assert_close(MIL_OPERATORS['gelu'](x=x, mode=mode), expected)


def test_axes_are_put_in_and_taken_out():
    x = random(2, 3)
    wider = MIL_OPERATORS['expand_dims'](x=x, axes=integers(1, 3))
    assert wider.shape == (2, 1, 3, 1)
    assert torch.equal(MIL_OPERATORS['squeeze'](x=wider, axes=integers(1, 3)), x)


def test_padding_goes_by_axes():
    x = random(1, 2, 3, 4)
    pads = integers(0, 0, 0, 0, 1, 2, 3, 4)
    found = MIL_OPERATORS['pad'](x=x, pad=pads, mode='constant', constant_val=7.0)
    torch.testing.assert_close(found, F.pad(x, (3, 4, 1, 2), value=7.0))


def test_an_unknown_operator_is_named():
    function = SimpleNamespace(
        operations=[SimpleNamespace(op_type=kind) for kind in ('const', 'conv', 'lstm')]
    )
    with pytest.raises(ValueError, match=r"\['lstm'\].*on a Mac only"):
        check_operators(function)
