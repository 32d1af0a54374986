"""Deformable convolutions and attention against their definitions, written out pixel by pixel."""

import pytest
import torch
from helpers import assert_close
from operators import DEVICES, assert_same_with_gradients, drawn
from torch import Tensor

import repnext_mm  # noqa: F401 (offers the operators)

pytestmark = pytest.mark.distribution


def sampled(image: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Bilinear interpolation of ``(C, H, W)`` at one point, with zeros around the image."""
    height, width = image.shape[1:]
    top, left = int(torch.floor(y)), int(torch.floor(x))
    value = image.new_zeros(image.shape[0])
    for row, column in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
        if 0 <= row < height and 0 <= column < width:
            value = value + image[:, row, column] * (1 - (y - row).abs()) * (1 - (x - column).abs())
    return value


def reference(image, offset, mask, weight, bias, stride, padding, dilation, groups, offset_groups):
    """arXiv 1811.11168, equation 1."""
    count, _, height, width = image.shape
    outputs, inputs, size = *weight.shape[:2], weight.shape[2]
    span = dilation * (size - 1) + 1
    rows, columns = ((side + 2 * padding - span) // stride + 1 for side in (height, width))
    result = []
    for number in range(count):
        for row in range(rows):
            for column in range(columns):
                taps = []
                for tap in range(size * size):
                    i, j = divmod(tap, size)
                    parts = []
                    for group in range(offset_groups):
                        index = group * size * size + tap
                        dy, dx = offset[number, 2 * index : 2 * index + 2, row, column]
                        part = image[number].chunk(offset_groups)[group]
                        y = row * stride - padding + i * dilation + dy
                        x = column * stride - padding + j * dilation + dx
                        parts.append(sampled(part, y, x) * mask[number, index, row, column])
                    taps.append(torch.cat(parts))
                patch = torch.stack(taps, 1).view(groups, inputs, size * size)
                kernels = weight.view(groups, outputs // groups, inputs, size * size)
                result.append(torch.einsum('goit,git->go', kernels, patch).flatten() + bias)
    return torch.stack(result).view(count, rows, columns, outputs).permute(0, 3, 1, 2)


CASES = [(1, 1, 1, 1, 1), (2, 1, 1, 2, 1), (1, 2, 2, 1, 2), (2, 0, 1, 2, 2)]
"""Stride, padding, dilation, groups, groups of offsets."""


def operands(stride, padding, dilation, groups, offset_groups):
    """Image, offsets, mask, weight and bias."""
    sides = [(side + 2 * padding - 2 * dilation - 1) // stride + 1 for side in (5, 6)]
    image, weight, bias = drawn(2, 4, 5, 6), drawn(4, 4 // groups, 3, 3, seed=1), drawn(4, seed=2)
    offset = 0.7 * drawn(2, 18 * offset_groups, *sides, seed=3)
    return image, offset, drawn(2, 9 * offset_groups, *sides, seed=4).sigmoid(), weight, bias


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('case', CASES, ids=str)
def test_modulated_deformable_convolution_is_its_definition(case, device):
    from mmcv.ops import modulated_deform_conv2d

    assert_same_with_gradients(
        lambda *tensors: modulated_deform_conv2d(*tensors, *case),
        lambda *tensors: reference(*tensors, *case),
        operands(*case),
        device,
    )


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('case', CASES, ids=str)
def test_deformable_convolution_is_its_definition(case, device):
    from mmcv.ops import deform_conv2d

    image, offset, mask, weight, bias = operands(*case)
    ones, zeros = torch.ones_like(mask), torch.zeros_like(bias)
    assert_same_with_gradients(
        lambda image, offset, weight: deform_conv2d(image, offset, weight, *case),
        lambda image, offset, weight: reference(image, offset, ones, weight, zeros, *case),
        (image, offset, weight),
        device,
    )


@pytest.mark.parametrize('device', DEVICES)
def test_values_are_those_that_mmcv_publishes_for_its_compiled_operator(device):
    """Numbers of its test_deform_conv.py: an output, and the gradients of its sum."""
    from mmcv.ops import DeformConv2dPack

    layer = DeformConv2dPack(1, 1, kernel_size=2).double().to(device)
    filters = [1, 4, 6, 1, 3, 2, 1, 3, 5, 5, 2, 8, 8, 3, 9, 1]
    filters += [3, 1, 2, 5, 3, 7, 5, 3, 6, 2, 5, 3, 4, 1, 8, 4]
    values = {
        'conv_offset.weight': torch.tensor(filters).view(8, 1, 2, 2) / 10,
        'conv_offset.bias': torch.tensor([7, 1, 8, 5, 6, 5, 4, 7]) / 10,
        'weight': torch.tensor([4, 2, 1, 9]).view(1, 1, 2, 2) / 10,
    }
    layer.load_state_dict(values)
    image = torch.tensor([[[[1.0, 2, 3], [0, 1, 2], [3, 5, 2]]]], dtype=torch.float64)
    image = image.to(device).requires_grad_()
    output = layer(image)
    output.sum().backward()
    published = {
        output: [1.65, 0, 0, 0],
        image.grad: [-0.666, 0.204, 0, 0.03, -0.416, 0.012, 0, 0.252, 0.129],
        layer.weight.grad: [3.62, 0, 0.4, 0.18],
        layer.conv_offset.bias.grad: [1.44, -0.72, 0, 0, -0.1, -0.08, -0.54, -0.54],
    }
    for found, expected in published.items():
        assert found.flatten().tolist() == pytest.approx(expected, abs=1e-3)


def test_larger_maps_of_offsets_are_read_from_their_beginning():
    """As mmcv's kernel does, for which DyHead's weights were trained."""
    from mmcv.ops import modulated_deform_conv2d

    case = CASES[0]
    image, offset, mask, weight, bias = operands(*case)
    larger = [torch.cat((maps, maps, maps, maps), 3).requires_grad_() for maps in (offset, mask)]
    flat = [
        maps.flatten(1)[:, : small[0].numel()].view(small.shape)
        for maps, small in zip(larger, (offset, mask), strict=True)
    ]
    output = modulated_deform_conv2d(image, *larger, weight, bias, *case)
    expected = reference(image, *flat, weight, bias, *case)
    assert_close(output, expected)
    found = torch.autograd.grad(output.square().sum(), larger)
    assert_close(found, torch.autograd.grad(expected.square().sum(), larger))
    with pytest.raises(ValueError, match=r'needs maps of \(2, 18, 5, 6\).*got \(2, 18, 5, 5\)'):
        modulated_deform_conv2d(image, offset[..., :5], mask, weight, bias, *case)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_deformable_convolutions_take_low_precision(dtype):
    from mmcv.ops import modulated_deform_conv2d

    case = CASES[0]
    tensors = [tensor.to(dtype).requires_grad_() for tensor in operands(*case)]
    output = modulated_deform_conv2d(*tensors, *case)
    expected = reference(*(tensor.double() for tensor in tensors), *case)
    assert output.dtype == dtype
    assert_close(output.double(), expected, 2e-2)
    output.sum().backward()
    assert all(tensor.grad.isfinite().all() for tensor in tensors)


def reference_attention(value, locations, weights, sizes):
    """arXiv 2010.04159, equation 3."""
    levels = value.split([height * width for height, width in sizes], dim=1)
    count, queries, heads = locations.shape[:3]
    result = []
    for number, query, head in torch.cartesian_prod(*map(torch.arange, (count, queries, heads))):
        total = value.new_zeros(value.shape[3])
        for level, (height, width) in enumerate(sizes):
            image = levels[level][number, :, head].T.reshape(-1, height, width)
            for point in range(locations.shape[4]):
                x, y = locations[number, query, head, level, point]
                found = sampled(image, y * height - 0.5, x * width - 0.5)
                total = total + weights[number, query, head, level, point] * found
        result.append(total)
    return torch.stack(result).view(count, queries, -1)


@pytest.mark.parametrize('device', DEVICES)
def test_deformable_attention_is_its_definition(device):
    from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction

    sizes = [(3, 4), (2, 2)]
    shapes = torch.tensor(sizes, device=device)
    starts = torch.tensor([0, 12], device=device)
    value, weights = drawn(2, 16, 2, 3), drawn(2, 3, 2, 2, 2, seed=1).sigmoid()
    locations = 0.5 + 0.4 * drawn(2, 3, 2, 2, 2, 2, seed=2)
    assert_same_with_gradients(
        lambda value, locations, weights: MultiScaleDeformableAttnFunction.apply(
            value, shapes, starts, locations, weights, 64
        ),
        lambda value, locations, weights: reference_attention(value, locations, weights, sizes),
        (value, locations, weights),
        device,
    )
