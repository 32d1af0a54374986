"""The stand-ins for mmcv's operators against independent reference implementations."""

from collections.abc import Iterator

import pytest
import torch
from copies import Run, copies_of
from helpers import assert_close
from torch import Tensor

import repnext_mm  # noqa: F401 (offers the operators)

pytestmark = pytest.mark.distribution

DEVICES = ['cpu'] + ['cuda'] * torch.cuda.is_available()


def reference_nms(boxes: Tensor, scores: Tensor, threshold: float, offset: int) -> list[int]:
    """Greedy suppression, one box at a time, in plain Python."""
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i].item()):
        x1, y1, x2, y2 = boxes[i].tolist()
        for j in kept:
            u1, v1, u2, v2 = boxes[j].tolist()
            width = max(min(x2, u2) - max(x1, u1) + offset, 0)
            height = max(min(y2, v2) - max(y1, v1) + offset, 0)
            area = (x2 - x1 + offset) * (y2 - y1 + offset)
            other = (u2 - u1 + offset) * (v2 - v1 + offset)
            if width * height / (area + other - width * height) > threshold:
                break
        else:
            kept.append(i)
    return kept


def reference_roi_align(features, rois, size, scale, ratio, aligned) -> Tensor:
    """RoIAlign by its definition (arXiv 1703.06870, section 3), differentiable, slow."""

    def sample(plane: Tensor, y: float, x: float) -> Tensor:
        height, width = plane.shape[1:]
        if y < -1 or y > height or x < -1 or x > width:
            return plane.new_zeros(plane.shape[0])
        y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
        top, left = int(y), int(x)
        bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
        dy, dx = y - top, x - left
        upper = plane[:, top, left] * (1 - dx) + plane[:, top, right] * dx
        lower = plane[:, bottom, left] * (1 - dx) + plane[:, bottom, right] * dx
        return upper * (1 - dy) + lower * dy

    output = []
    for index, *box in rois.tolist():
        x1, y1, x2, y2 = (value * scale - 0.5 * aligned for value in box)
        height, width = y2 - y1, x2 - x1
        if not aligned:
            height, width = max(height, 1.0), max(width, 1.0)
        rows, columns = size
        bin_height, bin_width = height / rows, width / columns
        ny = ratio or -int(-bin_height // 1)
        nx = ratio or -int(-bin_width // 1)
        for row in range(rows):
            for column in range(columns):
                points = [
                    sample(
                        features[int(index)],
                        y1 + (row + (i + 0.5) / ny) * bin_height,
                        x1 + (column + (j + 0.5) / nx) * bin_width,
                    )
                    for i in range(ny)
                    for j in range(nx)
                ]
                output.append(torch.stack(points).mean(0))
    channels = features.shape[1]
    return torch.stack(output).view(len(rois), *size, channels).permute(0, 3, 1, 2)


def random_boxes(count: int, extent: float, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, 2, generator=generator, dtype=torch.float64) * extent
    return torch.cat([corners.amin(1), corners.amax(1) + 0.5], dim=1)


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('threshold', [0.1, 0.5, 0.9])
def test_nms_equals_the_reference(threshold, offset, device):
    from mmcv.ops import nms

    boxes = random_boxes(40, 12)
    boxes = torch.cat([boxes, boxes + 0.01 * random_boxes(40, 12, seed=3)])
    scores = torch.rand(80, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = reference_nms(boxes, scores, threshold, offset)
    kept, indices = nms(boxes.to(device), scores.to(device), threshold, offset=offset)
    assert 0 < len(expected) < 80
    assert indices.tolist() == expected
    assert_close(kept[:, 4].cpu(), scores[expected], 0)


def test_nms_offset_changes_the_result_on_integer_boxes():
    from mmcv.ops import nms

    # Intersection over union is exactly 1/3 without the offset, 2 * 3 / (9 + 9 - 6) = 1/2 with it.
    boxes = torch.tensor([[0.0, 0, 2, 2], [1, 0, 3, 2]])
    scores = torch.tensor([0.9, 0.8])
    assert [len(nms(boxes, scores, 0.4, offset=offset)[1]) for offset in (0, 1)] == [2, 1]


def test_nms_of_nothing_is_nothing():
    from mmcv.ops import nms

    kept, indices = nms(torch.zeros(0, 4), torch.zeros(0), 0.5)
    assert kept.shape == (0, 5) and indices.tolist() == []


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_operators_take_low_precision(dtype):
    from mmcv.ops import nms, roi_align

    boxes = random_boxes(20, 12).to(dtype)
    scores = torch.arange(20, dtype=dtype) / 32
    expected = reference_nms(boxes.double(), scores.double(), 0.5, 0)
    assert nms(boxes, scores, 0.5)[1].tolist() == expected
    features = torch.randn(1, 2, 8, 8).to(dtype).requires_grad_()
    rois = torch.tensor([[0, 1.0, 1.0, 6.0, 6.0]], dtype=dtype)
    output = roi_align(features, rois, (2, 2), 1.0, 2, 'avg', True)
    expected = reference_roi_align(features.double(), rois.double(), (2, 2), 1.0, 2, True)
    assert output.dtype == dtype
    assert_close(output.double(), expected, 1e-2)
    output.sum().backward()
    assert features.grad.sum().item() == pytest.approx(8, rel=1e-2)  # 2 channels, 4 bins


CASES = [
    (size, scale, ratio, aligned)
    for size in [(1, 1), (2, 3)]
    for scale in (1.0, 0.25)
    for ratio in (0, 1, 2)
    for aligned in (True, False)
]


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize(('size', 'scale', 'ratio', 'aligned'), CASES)
def test_roi_align_and_its_gradient_equal_the_reference(size, scale, ratio, aligned, device):
    from mmcv.ops import roi_align

    generator = torch.Generator().manual_seed(2)
    features = torch.randn(2, 3, 9, 7, generator=generator, dtype=torch.float64)
    boxes = torch.cat([random_boxes(5, 8 / scale), torch.tensor([[-3.0, -2, 9, 30]])])
    index = torch.tensor([0.0, 1, 0, 1, 1, 0], dtype=torch.float64)
    rois = torch.cat([index[:, None], boxes], dim=1)
    expected_input = features.clone().requires_grad_()
    actual_input = features.clone().to(device).requires_grad_()
    expected = reference_roi_align(expected_input, rois, size, scale, ratio, aligned)
    actual = roi_align(actual_input, rois.to(device), size, scale, ratio, 'avg', aligned)
    assert_close(actual.cpu(), expected)
    weights = torch.randn(expected.shape, generator=generator, dtype=torch.float64)
    (expected * weights).sum().backward()
    (actual * weights.to(device)).sum().backward()
    assert_close(actual_input.grad.cpu(), expected_input.grad)


@pytest.mark.parametrize('shape', [(2, 3, 9, 7), (1, 5, 1, 4), (2, 1, 3, 3)], ids=str)
def test_roi_align_of_channels_last_features_is_the_same(shape):
    from mmcv.ops import roi_align

    features = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    rois = torch.tensor([[0.0, 0.3, 0.7, 4.1, 3.9], [shape[0] - 1, 0.2, 1.1, 3.4, 2.6]])
    expected = roi_align(features, rois, (2, 3), 1.0, 2, 'avg', True)
    for layout in (
        features.contiguous(memory_format=torch.channels_last),
        features.transpose(2, 3).contiguous().transpose(2, 3),
    ):
        assert torch.equal(roi_align(layout, rois, (2, 3), 1.0, 2, 'avg', True), expected)


@pytest.mark.parametrize('ratio', [0, 2])
@pytest.mark.parametrize('aligned', [True, False])
def test_roi_align_passes_gradcheck(aligned, ratio):
    from mmcv.ops import roi_align

    features = torch.randn(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    rois = torch.tensor([[0.0, 0.3, 0.7, 4.1, 3.9], [0, 2.2, 1.1, 5.4, 4.6]]).double()
    assert torch.autograd.gradcheck(
        lambda x: roi_align(x, rois, (2, 2), 1.0, ratio, 'avg', aligned), (features,)
    )


def test_roi_align_of_no_rois_is_empty_and_has_a_gradient():
    from mmcv.ops import roi_align

    features = torch.randn(1, 2, 5, 6, requires_grad=True)
    output = roi_align(features, torch.zeros(0, 5), (2, 2), 1.0, 0, 'avg', True)
    assert output.shape == (0, 2, 2, 2)
    output.sum().backward()
    assert features.grad.eq(0).all()


def test_max_pooling_is_refused():
    from mmcv.ops import roi_align

    with pytest.raises(
        NotImplementedError, match=r"pool_mode='max' needs compiled.*MMCV_WITH_OPS=1"
    ):
        roi_align(torch.randn(1, 2, 5, 6), torch.zeros(1, 5), (2, 2), 1.0, 0, 'max', True)


def test_other_operators_name_themselves_when_called():
    from mmcv.ops import box_iou_rotated

    with pytest.raises(NotImplementedError, match=r"'box_iou_rotated'.*MMCV_WITH_OPS=1"):
        box_iou_rotated(torch.zeros(1, 5), torch.zeros(1, 5))


@pytest.fixture(scope='module')
def run() -> Iterator[Run]:
    """Runs code in a process that has imported neither our package nor an mm package."""
    others = """
import importlib.machinery, importlib.util, sys
import torch, torchvision
assert {'mmengine', 'mmcv', 'repnext_mm'}.isdisjoint(sys.modules)
"""
    with copies_of(others) as run:
        yield run


def test_extension_has_a_spec_and_is_not_imported_until_asked_for(run):
    code = """
import repnext_mm
before = 'mmcv._ext' in sys.modules
spec = importlib.util.find_spec('mmcv._ext')
from mmengine.utils.dl_utils.misc import mmcv_full_available
import mmcv.ops
print(before, spec.name, spec.origin, mmcv_full_available(), mmcv.ops.get_compiler_version())
"""
    assert run(code) == 'False mmcv._ext torchvision True none (torchvision operators)'


def test_a_compiled_extension_wins(run, tmp_path):
    package = tmp_path / 'mmcv'
    package.mkdir()
    (package / '__init__.py').write_text('')
    (package / '_ext.py').write_text("nms = 'compiled'")
    code = """
sys.modules['mmengine'] = None
sys.path.insert(0, sys.argv[1])
from repnext_mm.compat.mmcv_ops import provide_mmcv_ops
provide_mmcv_ops()
import mmcv._ext
print(mmcv._ext.nms)
"""
    assert run(code, tmp_path) == 'compiled'


def test_the_finder_is_installed_once_and_behind_python_s_own(run):
    code = """
import repnext_mm
repnext_mm.compat.provide_mmcv_ops()
names = [type(finder).__name__ for finder in sys.meta_path]
own = sys.meta_path.index(importlib.machinery.PathFinder)
print(names.count('_ExtensionFinder'), own < names.index('_ExtensionFinder'))
"""
    assert run(code) == '1 True'


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize(
    'box',
    [
        [0, 0, 0, float('inf'), 5],
        [0, float('-inf'), 0, 5, 5],
        [0, 0, float('nan'), 5, 5],
        [0, 0, 0, 1e9, 1e9],
        [0, 0, 0, 1e30, 5],
        [2, 0, 0, 5, 5],
        [-1, 0, 0, 5, 5],
    ],
    ids=['infinite', 'minus_infinite', 'nan', 'huge', 'long', 'next_image', 'image_before'],
)
def test_boxes_that_cannot_be_pooled_are_named(box, device):
    """With them torchvision reads memory that is not its own, and the process may end there."""
    from mmcv.ops import roi_align

    rois = torch.tensor([[0, 0, 0, 4, 4], [1, 0, 0, 8, 8], box], dtype=torch.float, device=device)
    features = torch.ones((2, 1, 8, 8), device=device)
    assert roi_align(features, rois[:2], (2, 2)).shape == (2, 1, 2, 2)
    with pytest.raises(
        ValueError, match=r'box 2 of 3, in image .* of a batch of 2, cannot be pooled'
    ):
        roi_align(features, rois, (2, 2))


def test_boxes_as_large_as_an_image_are_pooled():
    from mmcv.ops import roi_align

    rois = torch.tensor([[0.0, -64, -64, 1400, 1400]])
    assert roi_align(torch.ones((1, 1, 1344, 1344)), rois, (7, 7)).shape == (1, 1, 7, 7)
