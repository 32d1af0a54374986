"""The rules and functions that make code traceable compute what they stand in for."""

from types import SimpleNamespace

import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.ops import deform_conv2d

import repnext_mm.compat  # noqa: F401 (offers mmcv's operators)
from repnext_mm.export.size_free import average_pool, maximum_pool
from repnext_mm.export.tasks.tracing import deformable, functions, rules, without_decisions


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def masks(count: int) -> torch.Tensor:
    """Boxes of ones, some of them empty."""
    drawn = torch.zeros(count, 12, 17, dtype=torch.bool)
    for number, mask in enumerate(drawn[1:], 1):
        mask[number % 5 : 3 + number % 7, number % 4 : 6 + number % 9] = True
    return drawn


@pytest.mark.parametrize('size', [(1, 1), (3, 5), (7, 2), (13, 17)])
def test_pooling_to_any_number_of_bins(size):
    x = numbers(2, 3, 13, 17)
    torch.testing.assert_close(average_pool(x, size), F.adaptive_avg_pool2d(x, size))
    torch.testing.assert_close(maximum_pool(x, size), F.adaptive_max_pool2d(x, size))


@pytest.mark.distribution
@pytest.mark.parametrize('limit', [4, 1000, -1])
def test_candidates_are_those_of_mmdet(limit):
    from mmdet.models.utils import filter_scores_and_topk

    scores, boxes = numbers(30, 5), numbers(30, 4, seed=1)
    for results in (None, boxes, [boxes], dict(boxes=boxes)):
        expected = filter_scores_and_topk(scores, 0.6, limit, results)
        found = functions.filter_scores_and_topk(scores, 0.6, limit, results)
        torch.testing.assert_close(found, expected)


@pytest.mark.distribution
@pytest.mark.parametrize('kernel', ['gaussian', 'linear'])
@pytest.mark.parametrize('limits', [dict(), dict(nms_pre=9, max_num=4, filter_thr=0.1)])
def test_matrix_nms_is_that_of_mmdet(kernel, limits):
    from mmdet.models.layers import mask_matrix_nms

    drawn, scores = masks(14)[1:], numbers(13)
    labels = torch.arange(13) % 3
    options = dict(kernel=kernel, mask_area=drawn.sum((1, 2)).float(), **limits)
    expected = mask_matrix_nms(drawn, labels, scores.clone(), **options)
    found = functions.mask_matrix_nms(drawn, labels, scores.clone(), **options)
    torch.testing.assert_close(found, expected)
    nothing = functions.mask_matrix_nms(drawn[:0], labels[:0], scores[:0], filter_thr=0.1)
    assert [len(part) for part in nothing] == [0, 0, 0, 0]


@pytest.mark.distribution
def test_boxes_round_masks_are_those_of_mmdet():
    from mmdet.structures.mask import mask2bbox

    assert torch.equal(functions.mask2bbox(masks(9)), mask2bbox(masks(9)))


@pytest.mark.distribution
def test_score_voting_is_that_of_mmdet():
    from mmdet.models.dense_heads import PAAHead

    head = SimpleNamespace(cls_out_channels=3)
    corner = numbers(20, 2) * 10
    boxes = torch.cat([corner, corner + 4 + numbers(20, 2, seed=1) * 10], 1)
    scores = torch.cat([numbers(20, 3, seed=2), torch.zeros(20, 1)], 1)
    kept = torch.cat([boxes[:6], numbers(6, 1, seed=3)], 1)
    labels = torch.tensor([0, 0, 1, 1, 2, 2])  # mmdet returns them class by class
    expected = PAAHead.score_voting(head, kept, labels, boxes, scores, 0.2)
    found = functions.score_voting(head, kept, labels, boxes, scores, 0.2)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    'options', [dict(stride=2, padding=1), dict(padding=(2, 1), dilation=(2, 1))]
)
@pytest.mark.parametrize('deform_groups', [1, 2])
def test_deformable_convolutions_are_those_of_torchvision(options, deform_groups):
    x, weight, bias = numbers(2, 4, 9, 11), numbers(6, 2, 3, 3, seed=1) - 0.5, numbers(6, seed=2)
    shape = F.conv2d(x, weight, groups=2, **options).shape[2:]
    offset = (numbers(2, 18 * deform_groups, *shape, seed=3) - 0.5) * 6
    mask = numbers(2, 9 * deform_groups, *shape, seed=4)
    expected = deform_conv2d(x, offset, weight, bias, mask=mask, **options)
    found = deformable.modulated_deform_conv2d(
        x, offset, mask, weight, bias, groups=2, deform_groups=deform_groups, **options
    )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    expected = deform_conv2d(x, offset, weight, **options)
    found = deformable.deform_conv2d(
        x, offset, weight, groups=2, deform_groups=deform_groups, **options
    )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.distribution
def test_offsets_of_a_finer_map_are_read_as_mmcv_does():
    from mmcv.ops.modulated_deform_conv import modulated_deform_conv2d

    x, weight, bias = numbers(2, 4, 5, 6), numbers(4, 4, 3, 3, seed=1) - 0.5, numbers(4, seed=2)
    offset, mask = numbers(2, 18, 9, 11, seed=3) * 4 - 2, numbers(2, 9, 9, 11, seed=4)
    given = (x, offset, mask, weight, bias, 1, 1, 1, 1, 1)
    expected = modulated_deform_conv2d(*given)
    found = deformable.modulated_deform_conv2d(*given)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def decide(x: torch.Tensor) -> torch.Tensor:
    """Code as it stands in mmdet: decisions in Python, and slices that are changed in place."""
    (x,) = x.split([len(x)], 0)
    rows = x[x[:, 0] > 0.95]
    if rows.numel() == 0:
        return rows.sum(1)
    if x.shape[0] > 10:
        rows = x[x[:, 1].topk(10)[1]]
    if not (rows > 0.5).all():
        rows = rows[rows[:, 2] > 0.5]
    rows[:, 0::2].clamp_(max=0.7)
    rows[..., 1] *= 2
    limit = rows.new_tensor([x.shape[0], 1])
    return rows.sum(1) / limit[0]


class Decisions(nn.Module):
    """Traces :func:`decide`."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with without_decisions():
            return decide(x)


def in_onnx(module: nn.Module, example: torch.Tensor, path) -> object:
    """The module as a function of ONNX Runtime, for any number of rows."""

    with torch.no_grad():
        torch.onnx.export(
            module,
            (example,),
            str(path),
            input_names=['x'],
            dynamic_axes={'x': {0: 'rows'}},
            dynamo=False,
        )
    session = onnxruntime.InferenceSession(path)
    return lambda x: torch.from_numpy(session.run(None, {'x': x.numpy()})[0])


@pytest.mark.filterwarnings('ignore')
def test_a_trace_keeps_no_decision_of_the_traced_example(tmp_path):
    few = numbers(6, 4) * 0.5  # none above the threshold, fewer than ten, some below a half
    run = in_onnx(Decisions(), few, tmp_path / 'model.onnx')
    for rows in (12, 40):
        x = numbers(rows, 4, seed=rows)
        x[0] = 0.99
        torch.testing.assert_close(run(x), decide(x.clone()))
    assert run(few).shape == (0,)


class PerObject(nn.Module):
    """A convolution with as many groups as there are objects."""

    def forward(self, kernels: torch.Tensor) -> torch.Tensor:
        with without_decisions():
            count = kernels.shape[0]
            features = torch.arange(2.0 * 3 * 5).reshape(1, 2, 3, 5).repeat(1, count, 1, 1)
            weight = kernels.reshape(count * 4, 2, 1, 1)
            return F.conv2d(features, weight, groups=count)


def test_rules_compute_the_same():
    image, bias, infinite = numbers(1, 3, 7, 9), numbers(3, seed=2), torch.full((4,), torch.inf)
    for side in (1, 3):
        weight = numbers(3, 1, side, side, seed=1)
        expected = F.conv2d(image, weight, bias, groups=3)
        torch.testing.assert_close(rules.convolution(image, weight, bias, groups=3), expected)
    assert torch.equal(rules.diagonal_matrix(infinite), torch.diag(infinite))


def test_masks_of_prototypes_are_those_of_mmdet():
    from mmdet.models.dense_heads.yolact_head import YOLACTProtonet

    module, cfg = SimpleNamespace(), SimpleNamespace(mask_thr=0.5, mask_thr_binary=0.5)
    meta = dict(ori_shape=(20, 31), scale_factor=(1.0, 1.0))
    given = (numbers(3, 5, 8), numbers(3, 4), meta, False, cfg)
    expected = YOLACTProtonet._predict_by_feat_single(module, *given)
    assert torch.equal(functions.prototype_masks(module, *given), expected)
    assert 0 < expected.sum() < expected.numel()


@pytest.mark.distribution
@pytest.mark.filterwarnings('ignore:This overload of addmm:UserWarning')
def test_operators_have_the_arguments_of_mmcv():
    from mmcv.ops.carafe import carafe
    from mmcv.ops.masked_conv import masked_conv2d
    from mmcv.ops.psa_mask import psa_mask

    maps, mask = numbers(1, 4, 6, 7), (numbers(1, 6, 7) > 0.4).float()
    kernel, bias = numbers(3, 4, 3, 3, seed=1), numbers(3, seed=2)
    pairs = [
        (functions.masked_conv2d, masked_conv2d, (maps, mask, kernel, bias, 1)),
        (functions.reassembled, carafe, (maps, numbers(1, 18, 12, 14), 3, 2, 2)),
        *((functions.psa_mask, psa_mask, (numbers(1, 15, 6, 7), kind, (3, 5))) for kind in (0, 1)),
    ]
    for stand_in, operator, given in pairs:
        torch.testing.assert_close(stand_in(*given), operator(*given))


class Windows(nn.Module):
    """The largest values in windows that two sizes decide."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with without_decisions():
            half = x[:, :, ::2].shape[2]
            return F.max_pool2d(x, (x.shape[2] // half, 1), (x.shape[2] // half, 1))


@pytest.mark.filterwarnings('ignore')
def test_windows_of_computed_sizes(tmp_path):
    torch.onnx.export(
        Windows(),
        (numbers(1, 1, 4, 3),),
        tmp_path / 'model.onnx',
        input_names=['x'],
        dynamic_axes={'x': {2: 'height'}},
        dynamo=False,
    )
    session = onnxruntime.InferenceSession(tmp_path / 'model.onnx')
    x = numbers(1, 1, 8, 3)
    (found,) = session.run(None, {'x': x.numpy()})
    assert torch.equal(torch.from_numpy(found), F.max_pool2d(x, (2, 1)))


def test_channels_that_lie_last_can_be_viewed():
    x = numbers(1, 4, 3, 5).to(memory_format=torch.channels_last)
    with pytest.raises(RuntimeError, match='view'):
        x.view(1, -1)
    with without_decisions():
        assert torch.equal(x.view(1, -1), x.flatten(1))
        assert x.view(torch.int32).dtype == torch.int32


@pytest.mark.filterwarnings('ignore')
def test_convolutions_with_a_kernel_for_each_object(tmp_path):
    run = in_onnx(PerObject(), numbers(3, 8), tmp_path / 'model.onnx')
    for count in (1, 5):
        kernels = numbers(count, 8, seed=count)
        features = torch.arange(2.0 * 3 * 5).reshape(1, 2, 3, 5).repeat(1, count, 1, 1)
        expected = F.conv2d(features, kernels.reshape(count * 4, 2, 1, 1), groups=count)
        torch.testing.assert_close(run(kernels), expected)
