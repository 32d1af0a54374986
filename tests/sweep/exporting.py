"""The step of export: an untrained model that finds something, and the file that has to find the same."""

import copy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from helpers import randomize
from torch import nn

from repnext_mm.export import ExportOptions, export_model
from repnext_mm.export.exporter import Report
from sweep.methods import Method
from sweep.narrowing import LEAST_SIZE

HEADS = ('bbox_head', 'roi_head', 'mask_head', 'rpn_head', 'panoptic_head', 'decode_head')
"""Parts of a model of which every layer may be one that predicts."""

LITTLE = 0.03
"""Standard deviation of the weights of a layer that is initialized so as to find nothing."""

RARE = -2.0
"""Biases below it are those of a class that nothing belongs to before training."""

SCORE_THRESHOLD = 0.01
"""Of two-stage detectors, whose classes share a sum of 1."""


def export(method: Method, model: nn.Module) -> dict[str, Any]:
    """The whole model becomes an ONNX file that predicts the same; the exporter makes sure of it.

    Args:
        method: Of the model.
        model: Untrained; it is changed.

    Returns:
        Whether the file is for one size alone (``static``), the numbers of objects compared (``objects``)
        and the largest differences by their names (``differences``).

    Raises:
        ArithmeticError: If there was nothing to compare.
        ValueError: By the exporter, with the reason.
    """
    model = randomize(model).float()
    if method.package == 'mmdet':
        find_something(model)
    model.eval()
    height = max(method.size, LEAST_SIZE[method.package])
    options = ExportOptions(shape=(height, height * 5 // 4 // 32 * 32))
    static = False
    try:
        report = exported(model, options)
    except ValueError as error:
        if not any(words in str(error) for words in ('static=True', 'itself cannot predict')):
            raise
        static = True
        report = exported(model, ExportOptions(shape=options.shape, static=True))
    return summary(report) | dict(static=static)


def exported(model: nn.Module, options: ExportOptions) -> Report:
    """The report on a file that is not kept."""
    with TemporaryDirectory() as folder:
        return export_model(copy.deepcopy(model), Path(folder, 'model.onnx'), options=options)


def summary(report: Report) -> dict[str, Any]:
    """What was compared, and how far it was apart.

    Raises:
        ArithmeticError: If no object was found in any image.
    """
    objects = [row.count for row in report.comparisons]
    if 0 in objects and not any(objects):
        raise ArithmeticError('the model finds nothing, so that nothing was compared')
    differences: dict[str, float] = {}
    for row in report.comparisons:
        for name, value in row.differences.items():
            differences[name] = max(differences.get(name, 0.0), float(f'{value:.1e}'))
    return dict(objects=objects, differences=differences)


def find_something(model: Any) -> None:
    """Draws the weights of a detector's last layers anew, so that objects of many classes are found."""
    generator = torch.Generator().manual_seed(1)
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear) and name.startswith(HEADS):
            _draw(layer, name, generator)
    rcnn = (getattr(model, 'test_cfg', None) or {}).get('rcnn') or {}
    if rcnn.get('score_thr'):
        rcnn['score_thr'] = SCORE_THRESHOLD
        model.roi_head.test_cfg['score_thr'] = SCORE_THRESHOLD


@torch.no_grad()
def _draw(layer: nn.Conv2d | nn.Linear, name: str, generator: torch.Generator) -> None:
    """Changes a layer that puts out next to nothing: classes of unit variance, boxes of less."""
    weight, bias = layer.weight, layer.bias
    if weight.std() < LITTLE or name.endswith('fc_reg'):  # boxes far outside cannot be drawn
        own_name = '.'.join(part for part in name.split('.') if part not in HEADS)
        spread = 0.2 if 'reg' in own_name or 'bbox' in own_name else 1.0
        scale = spread / weight[0].numel() ** 0.5
        weight.copy_(torch.randn(weight.shape, generator=generator) * scale)
    if bias is not None and (bias < RARE).any():
        # The grids of SOLO's mask head have thousands of cells, each with a mask.
        many = name.startswith('mask_head') and name.endswith('conv_cls')
        bias.fill_(2 * RARE if many else 0.0)
