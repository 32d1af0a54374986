"""Focal loss, reassembly, masked convolution, and PSANet's masks against their definitions."""

import pytest
import torch
import torch.nn.functional as F
from helpers import assert_close
from operators import DEVICES, assert_same_with_gradients, drawn
from torch import Tensor

import repnext_mm  # noqa: F401 (offers the operators)

pytestmark = pytest.mark.distribution

TARGETS = [0, 2, 3, 1, 3, -1]
"""Of three classes; 3 and -1 are none of them."""


def reference_focal_loss(scores: Tensor, gamma: float, alpha: float, factors: Tensor) -> Tensor:
    """arXiv 1708.02002, equation 5, one score at a time."""
    rows = []
    for row, target in zip(scores, TARGETS, strict=True):
        values = []
        for number, score in enumerate(row):
            probability = 1 / (1 + torch.exp(-score))
            if number == target:
                values.append(-alpha * (1 - probability) ** gamma * torch.log(probability))
            else:
                values.append(-(1 - alpha) * probability**gamma * torch.log(1 - probability))
        rows.append(torch.stack(values) * factors[target])
    return torch.stack(rows)


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize(('gamma', 'alpha'), [(2.0, 0.25), (1.5, 0.6), (0.5, 0.25)])
def test_focal_loss_is_its_definition(gamma, alpha, device):
    from mmcv.ops import sigmoid_focal_loss

    targets = torch.tensor(TARGETS, device=device)
    ones = torch.ones(4, dtype=torch.float64)
    assert_same_with_gradients(
        lambda scores: sigmoid_focal_loss(scores, targets, gamma, alpha, None, 'none'),
        lambda scores: reference_focal_loss(scores, gamma, alpha, ones),
        [3 * drawn(6, 3)],
        device,
    )


def test_focal_loss_is_finite_for_any_score_and_takes_low_precision():
    from mmcv.ops import sigmoid_focal_loss

    scores = torch.tensor([[-1e4, 1e4, 0.0], [60.0, -60.0, 3.0]], requires_grad=True)
    loss = sigmoid_focal_loss(scores, torch.tensor([0, 2]), 2.0, 0.25, None, 'sum')
    loss.backward()
    assert loss.isfinite() and scores.grad.isfinite().all()
    half = scores.detach()[1:].to(torch.bfloat16)
    assert sigmoid_focal_loss(half, torch.tensor([1]), 2.0, 0.25, None, 'none').dtype == half.dtype


def test_focal_loss_weights_are_those_of_the_targets():
    from mmcv.ops import sigmoid_focal_loss

    scores, targets = drawn(2, 3), torch.tensor([0, 2])
    plain = sigmoid_focal_loss(scores, targets, 2.0, 0.25, None, 'none')
    weights = torch.tensor([2.0, 3.0, 5.0], dtype=torch.float64)
    weighted = sigmoid_focal_loss(scores, targets, 2.0, 0.25, weights, 'none')
    assert_close(weighted, plain * weights[targets, None])
    with pytest.raises(ValueError, match='weights for 3 classes and none for the target 3'):
        sigmoid_focal_loss(scores, torch.tensor([0, 3]), 2.0, 0.25, weights, 'none')


def reference_carafe(features, masks, kernel_size, group_size, scale_factor) -> Tensor:
    """arXiv 1905.02188, equation 2."""
    count, channels, height, width = features.shape
    half, area = kernel_size // 2, kernel_size**2
    planes = []
    for number in range(count):
        for channel in range(channels):
            group = channel // (channels // group_size)
            for i in range(height * scale_factor):
                for j in range(width * scale_factor):
                    total = features.new_zeros(())
                    for tap in range(area):
                        y = i // scale_factor + tap // kernel_size - half
                        x = j // scale_factor + tap % kernel_size - half
                        if 0 <= y < height and 0 <= x < width:
                            value = features[number, channel, y, x]
                            total = total + value * masks[number, group * area + tap, i, j]
                    planes.append(total)
    return torch.stack(planes).view(count, channels, height * scale_factor, width * scale_factor)


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('case', [(3, 1, 2), (3, 2, 1), (1, 2, 3)], ids=str)
def test_carafe_is_its_definition(case, device):
    from mmcv.ops import carafe

    kernel_size, group_size, scale_factor = case
    masks = drawn(1, group_size * kernel_size**2, 3 * scale_factor, 2 * scale_factor, seed=1)
    assert_same_with_gradients(
        lambda features, masks: carafe(features, masks, *case),
        lambda features, masks: reference_carafe(features, masks, *case),
        (drawn(1, 4, 3, 2), masks),
        device,
    )


@pytest.mark.parametrize('device', [d for d in DEVICES if d != 'cpu'])
def test_naive_carafe_is_the_same(device):
    from mmcv.ops import carafe_naive

    assert_same_with_gradients(
        lambda features, masks: carafe_naive(features, masks, 3, 2, 2),
        lambda features, masks: reference_carafe(features, masks, 3, 2, 2),
        (drawn(1, 4, 3, 2), drawn(1, 18, 6, 4, seed=1)),
        device,
    )


@pytest.mark.filterwarnings('ignore:This overload of addmm:UserWarning')  # mmcv's
@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize(('size', 'padding'), [((3, 3), 1), ((3, 1), (1, 0)), ((1, 1), 0)])
def test_masked_convolution_is_the_convolution_where_the_mask_is(size, padding, device):
    from mmcv.ops import masked_conv2d

    features, weight, bias = drawn(1, 2, 5, 6), drawn(3, 2, *size, seed=1), drawn(3, seed=2)
    mask = drawn(1, 5, 6, seed=3) > 0
    assert 0 < mask.sum() < 30
    tensors = [tensor.to(device) for tensor in (features, mask, weight, bias)]
    found = masked_conv2d(*tensors, padding)
    expected = F.conv2d(features, weight, bias, padding=padding) * mask[None]
    assert_close(found.cpu(), expected)
    assert masked_conv2d(tensors[0], tensors[1] & False, *tensors[2:], padding).eq(0).all()


def reference_psa_mask(weights: Tensor, kind: str, size: tuple[int, int]) -> Tensor:
    """For each pixel its surroundings, spread over the whole map."""
    count, _, height, width = weights.shape
    rows, columns = size
    output = weights.new_zeros(count, height, width, height, width)
    for h in range(height):
        for w in range(width):
            for i in range(rows):
                for j in range(columns):
                    y, x = h + i - (rows - 1) // 2, w + j - (columns - 1) // 2
                    if 0 <= y < height and 0 <= x < width:
                        value = weights[:, i * columns + j, h, w]
                        if kind == 'collect':
                            output[:, y, x, h, w] = value
                        else:
                            output[:, h, w, y, x] = value
    return output.flatten(1, 2)


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('size', [(5, 7), (3, 1)], ids=str)
@pytest.mark.parametrize('kind', ['collect', 'distribute'])
def test_psa_masks_are_their_definition(kind, size, device):
    from mmcv.ops import PSAMask

    layer = PSAMask(kind, size)
    assert_same_with_gradients(
        layer,
        lambda weights: reference_psa_mask(weights, kind, size),
        [drawn(2, size[0] * size[1], 3, 4)],
        device,
    )
