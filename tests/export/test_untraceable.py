"""Errors of a trace say which operator of which part stands in the way, and what to do."""

import pytest
import torch
from onnx import helper
from torch import nn

from repnext_mm.export.untraceable import check_standard, writing


class Neck(nn.Module):
    def __init__(self, compute):
        super().__init__()
        self.compute = compute

    def forward(self, x):
        return self.compute(x)


def write(compute, tmp_path, part='model', dynamic=True):
    network = nn.Sequential(Neck(compute))
    with torch.no_grad(), writing(part, dynamic):
        torch.onnx.export(
            network,
            (torch.rand(1, 2, 6, 6),),
            tmp_path / 'model.onnx',
            input_names=['x'],
            dynamic_axes={'x': {2: 'height'}},
            dynamo=False,
        )


def pool(x):
    return nn.functional.adaptive_avg_pool2d(x, (x.shape[2] // 2, 3))


def missing(x):
    return x.nothing


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize(
    ('compute', 'words'),
    [
        (torch.linalg.pinv, r'linalg_pinv.*not supported'),
        (pool, r'adaptive pooling, since output_size is not constant'),
        (
            missing,
            r"cannot be traced \(AttributeError: 'Tensor' object has no attribute 'nothing'\)",
        ),
    ],
)
def test_the_operator_and_the_remedy_are_named(compute, words, tmp_path):
    with pytest.raises(ValueError, match=rf'whole model .*{words}.*backbone-neck.*static=True'):
        write(compute, tmp_path)
    with pytest.raises(ValueError, match=r'^the neck .*; choose another') as caught:
        write(compute, tmp_path, part='neck', dynamic=False)
    assert '\n' not in str(caught.value)


def test_operators_of_others_are_named():
    own = helper.make_node('Relu', ['x'], ['y'], name='/head/Relu')
    other = helper.make_node('MMCVThing', ['y'], ['z'], name='/head/Thing', domain='mmcv')
    models = [
        helper.make_model(helper.make_graph(nodes, 'graph', [], []))
        for nodes in ([own], [own, other])
    ]
    check_standard(models[0], 'model', dynamic=True)
    with pytest.raises(ValueError, match=r'mmcv::MMCVThing, in head\.Thing, .*backbone-neck'):
        check_standard(models[1], 'model', dynamic=True)
