"""Soft-NMS and the groups of NMS against loops over single boxes."""

import math

import numpy as np
import pytest
import torch
from helpers import assert_close
from operators import DEVICES

import repnext_mm  # noqa: F401 (offers the operators)

pytestmark = pytest.mark.distribution


def random_boxes(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, 2, generator=generator) * 12
    return torch.cat([corners.amin(1), corners.amax(1) + 0.5], dim=1)


def overlap(a: list[float], b: list[float], offset: int) -> float:
    width = max(min(a[2], b[2]) - max(a[0], b[0]) + offset, 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]) + offset, 0)
    areas = [(box[2] - box[0] + offset) * (box[3] - box[1] + offset) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def reference_soft_nms(boxes, scores, threshold, sigma, least, method, offset):
    """arXiv 1704.04503, figure 2."""
    left = dict(enumerate(scores))
    taken = []
    while left:
        best = max(left, key=lambda index: left[index])
        taken.append((best, left.pop(best)))
        for index in list(left):
            shared = overlap(boxes[best], boxes[index], offset)
            if method == 'gaussian':
                left[index] *= math.exp(-(shared**2) / sigma)
            elif shared >= threshold:
                left[index] *= 1 - shared if method == 'linear' else 0
            if left[index] < least:
                del left[index]
    return taken


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('method', ['naive', 'linear', 'gaussian'])
@pytest.mark.parametrize(('threshold', 'offset', 'least'), [(0.3, 0, 0.05), (0.6, 1, 0.3)])
def test_soft_nms_is_its_definition(method, threshold, offset, least, device):
    from mmcv.ops import soft_nms

    boxes = random_boxes(40)
    scores = torch.rand(40, generator=torch.Generator().manual_seed(1))
    expected = reference_soft_nms(
        boxes.tolist(), scores.tolist(), threshold, 0.5, least, method, offset
    )
    found, indices = soft_nms(
        boxes.to(device), scores.to(device), threshold, 0.5, least, method, offset
    )
    assert 5 < len(expected) < 40
    assert indices.tolist() == [index for index, _ in expected]
    assert_close(found[:, :4].cpu(), boxes[indices.cpu()], 0)
    assert_close(found[:, 4].cpu(), torch.tensor([score for _, score in expected]))


def test_soft_nms_of_nothing_is_nothing():
    from mmcv.ops import soft_nms

    found, indices = soft_nms(torch.zeros(0, 4), torch.zeros(0))
    assert found.shape == (0, 5) and indices.tolist() == []


@pytest.mark.parametrize('threshold', [0.2, 0.6])
def test_groups_of_nms_are_who_suppresses_whom(threshold):
    from mmcv.ops import nms_match

    boxes = random_boxes(30)
    scores = torch.rand(30, generator=torch.Generator().manual_seed(2))
    left, expected = scores.argsort(descending=True).tolist(), []
    while left:
        first = boxes[left[0]].tolist()
        group = [i for i in left if overlap(first, boxes[i].tolist(), 0) >= threshold]
        expected.append(group)
        left = [i for i in left if i not in group]
    rows = torch.cat((boxes, scores[:, None]), 1)
    found = nms_match(rows, threshold)
    assert 1 < len(expected) < 30
    assert [group.tolist() for group in found] == expected
    arrays = nms_match(rows.numpy(), threshold)
    assert all(isinstance(group, np.ndarray) for group in arrays)
    assert nms_match(rows[:0], threshold) == []
