"""No finite weight becomes infinite by a cast to float16."""

import pytest
import torch
from exports import CLASSIFIERS, small_config, small_model
from helpers import backbone, slim
from torch import nn

from repnext_mm.export import ExportOptions, export_model
from repnext_mm.export.preparation import prepare
from repnext_mm.reparam import reparameterize_model
from repnext_mm.reparam.complete import replace_batch_norms
from repnext_mm.reparam.ranges import check_range


def test_merging_into_float16_refuses_what_it_cannot_hold():
    """Small weights, and a batch norm that makes large ones of them."""
    model = backbone(slim('m0')).half()
    reparameterize_model(model)
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    norms[0].weight.data.fill_(60000.0)
    norms[0].running_var.fill_(1e-6)
    assert all(value.isfinite().all() for value in model.state_dict().values())
    with pytest.raises(ValueError, match=r'merged weight of Conv2d.*infinite in float16.*float32'):
        reparameterize_model(model)
    merged = reparameterize_model(model.float())
    assert all(value.isfinite().all() for value in merged.state_dict().values())


def test_affine_maps_are_checked_too():
    norm = nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3)).half().eval()
    norm[1].running_var.fill_(1e-7)
    norm[1].weight.data.fill_(50000.0)
    with pytest.raises(ValueError, match=r'affine map of BatchNorm2d.*infinite in float16'):
        replace_batch_norms(norm)


def test_exporting_in_half_names_the_weight():
    cfg = small_config(CLASSIFIERS[0])
    model = small_model(cfg)
    model.head.requires_grad_(False)
    weight = next(p for n, p in model.named_parameters() if n.startswith('head.'))
    weight.view(-1)[0] = 1e9
    prepare(model, cfg, ExportOptions(shape=(64, 64), format='onnx'))
    with pytest.raises(ValueError, match=r'head\..* value of .*float16.*6.55e\+04.*float32'):
        prepare(model, cfg, ExportOptions(shape=(64, 64), format='onnx', half=True))


def test_activations_beyond_the_range_are_found(tmp_path):
    """Weights that fit, and sums of features that do not."""
    cfg = small_config(CLASSIFIERS[0])
    model = small_model(cfg)
    norm = next(m for m in model.modules() if isinstance(m, nn.BatchNorm2d))
    norm.bias.data.fill_(60000.0)
    options = ExportOptions(shape=(64, 64), part='backbone', half=True)
    with pytest.raises(
        ValueError, match=r'puts out values of up to .* on a test image of 64 x 64.*float32'
    ):
        export_model(model, tmp_path / 'half.onnx', cfg, options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ('value', 'dtype', 'fits'),
    [
        (65504.0, torch.float16, True),
        (65519.0, torch.float16, True),
        (65520.0, torch.float16, False),
        (-1e5, torch.float16, False),
        (1e5, torch.bfloat16, True),
        (float('inf'), torch.float16, True),
        (1e38, torch.float32, True),
    ],
)
def test_only_what_becomes_infinite_is_refused(value, dtype, fits):
    tensor = torch.tensor([1.0, value])
    if fits:
        check_range(tensor, dtype, 'x', 'y')
        return
    with pytest.raises(ValueError, match='x has a value of'):
        check_range(tensor, dtype, 'x', 'y')


def test_tensors_without_values_are_left_alone():
    check_range(torch.empty(0), torch.float16, 'x', 'y')
    check_range(torch.tensor([100000]), torch.float16, 'x', 'y')
    check_range(torch.ones(1, device='meta'), torch.float16, 'x', 'y')
