"""What TensorRT's parser would not take of an ONNX file, told without TensorRT.

The facts are in :mod:`~repnext_mm.export.targets.tensorrt_operators`. They are of TensorRT 10;
version 8 takes fewer operators and no uint8.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from repnext_mm.export.targets import tensorrt_operators as table
from repnext_mm.export.targets.obstacles import Obstacle
from repnext_mm.export.targets.onnx_file import OnnxFile, attributes, branches

if TYPE_CHECKING:
    from onnx import NodeProto

OTHER_PART = 'export the part before it (part="backbone" or "backbone-neck")'
SYMMETRIC = 'quantize it with symmetric=True'
STATIC = 'export with static=True'


class TargetRule(NamedTuple):
    """A limit of some operators."""

    operators: Collection[str]
    """Where it holds."""

    broken: Callable[[OnnxFile, NodeProto], str | None]
    """Says what is wrong with a node; None where nothing is."""

    remedy: str
    """What to do."""


def check_for_tensorrt(path: Path) -> list[Obstacle]:
    """Looks for what TensorRT's parser does not take.

    Args:
        path: An ONNX file.

    Returns:
        Nothing where none of the rules is broken: that is no proof that an engine can be built.

    Raises:
        ImportError: If onnx is missing.
        ValueError: If it is no ONNX file.
    """
    file = OnnxFile(path)
    found = []
    if file.opset not in table.OPSETS:
        reason = f'opset {file.opset} is none of {table.OPSETS[0]} to {table.OPSETS[-1]}'
        found.append(Obstacle(path.name, reason, 'export with another opset'))
    for node in file.nodes():
        found += _findings(file, node)
    return found


def _findings(file: OnnxFile, node: NodeProto) -> Iterator[Obstacle]:
    place = f'{node.op_type} {node.name}'.strip()
    if node.domain not in ('', 'ai.onnx'):
        yield Obstacle(place, f'an operator of {node.domain}', 'it needs a plugin of your own')
    elif node.op_type not in table.TENSORRT_OPERATORS:
        yield Obstacle(place, f'TensorRT has no {node.op_type}', OTHER_PART)
    else:
        for rule in LIMITS:
            if not rule.operators or node.op_type in rule.operators:
                if reason := rule.broken(file, node):
                    yield Obstacle(place, reason, rule.remedy)


def _other_type(file: OnnxFile, node: NodeProto) -> str | None:
    if not node.input or node.op_type == 'DequantizeLinear':
        return None
    kind = file.type_of(node.input[1 if node.op_type == 'Where' else 0])
    if kind is None or kind in table.TENSORRT_OPERATORS[node.op_type]:
        return None
    return f'{node.op_type} does not take {kind}'


def _other_integers(file: OnnxFile, node: NodeProto) -> str | None:
    kind = file.type_of(node.input[0])
    if kind is None or kind in table.TENSORRT_OPERATORS['DequantizeLinear']:
        return None
    return f'DequantizeLinear does not take {kind}'


def _zero_point(file: OnnxFile, node: NodeProto) -> str | None:
    if len(node.input) < 3 or not node.input[2]:
        return None
    values = file.constant(node.input[2])
    if values is None or values.any():
        return 'its zero point is not 0'
    return f'it rounds to {values.dtype}' if values.dtype.name == 'uint8' else None


def _k_of_top_k(file: OnnxFile, node: NodeProto) -> str | None:
    if attributes(node).get('sorted', 1) != 1:
        return 'its result is not sorted'
    k = file.constant(node.input[1])
    if k is None:
        return f'its K is no constant, and TensorRT takes {table.LARGEST_K} at most'
    return (
        None
        if int(k.ravel()[0]) <= table.LARGEST_K
        else (f'its K is {int(k.ravel()[0])}, and TensorRT takes {table.LARGEST_K} at most')
    )


def _constant_input(number: int, name: str) -> Callable[[OnnxFile, NodeProto], str | None]:
    def broken(file: OnnxFile, node: NodeProto) -> str | None:
        given = len(node.input) > number and node.input[number]
        if not given or file.is_constant(node.input[number]):
            return None
        return f'its {name} are computed, not constant'

    return broken


def _resize(file: OnnxFile, node: NodeProto) -> str | None:
    options = attributes(node)
    mode = options.get('mode', 'nearest')
    pairs = [
        ('mode', mode, table.RESIZE_MODES),
        (
            'coordinate_transformation_mode',
            options.get('coordinate_transformation_mode', 'half_pixel'),
            table.RESIZE_COORDINATES,
        ),
        (
            'keep_aspect_ratio_policy',
            options.get('keep_aspect_ratio_policy', 'stretch'),
            {'stretch'},
        ),
        ('antialias', options.get('antialias', 0), {0}),
    ]
    if mode == 'nearest':
        rounding = options.get('nearest_mode', 'round_prefer_floor')
        pairs.append(('nearest_mode', rounding, table.RESIZE_ROUNDINGS))
    return next((f'its {k} is {v!r}' for k, v, known in pairs if v not in known), None)


def _pooling(file: OnnxFile, node: NodeProto) -> str | None:
    if any(value != 1 for value in attributes(node).get('dilations', ())):
        return 'its windows are dilated'
    if file.rank(node.input[0]) not in (None, 4, 5):
        return 'it pools along one axis'
    return 'it puts out indices' if len(node.output) > 1 and node.output[1] else None


def _ranks_of_branches(file: OnnxFile, node: NodeProto) -> str | None:
    for pair in zip(*(graph.output for graph in branches(node)), strict=True):
        ranks = {file.rank(value.name) for value in pair} - {None}
        if len(ranks) > 1:
            return f'its branches give tensors of {sorted(map(str, ranks))} axes'
    return None


def _second_output(file: OnnxFile, node: NodeProto) -> str | None:
    return 'it has more than one output' if any(node.output[1:]) else None


def _reduction(file: OnnxFile, node: NodeProto) -> str | None:
    reduction = attributes(node).get('reduction', 'none')
    return None if reduction == 'none' else f'its reduction is {reduction!r}'


LIMITS = (
    TargetRule((), _other_type, STATIC + ', or ' + OTHER_PART),
    TargetRule(('DequantizeLinear',), _other_integers, SYMMETRIC),
    TargetRule(('QuantizeLinear', 'DequantizeLinear'), _zero_point, SYMMETRIC),
    TargetRule(('TopK',), _k_of_top_k, 'set test_cfg.rpn.nms_pre, or nms_pre, to 3840 or less'),
    TargetRule(('Resize',), _resize, 'let the layer resize by nearest or bilinear'),
    TargetRule(('MaxPool', 'AveragePool', 'LpPool'), _pooling, OTHER_PART),
    TargetRule(('If',), _ranks_of_branches, STATIC),
    TargetRule(('LayerNormalization',), _second_output, OTHER_PART),
    TargetRule(('ScatterND',), _reduction, OTHER_PART),
    TargetRule(table.REDUCTIONS, _constant_input(1, 'axes'), STATIC),
    TargetRule(('CumSum',), _constant_input(1, 'axis'), STATIC),
    TargetRule(('OneHot',), _constant_input(1, 'depth'), STATIC),
    TargetRule(('Squeeze', 'Unsqueeze'), _constant_input(1, 'axes'), STATIC),
)
"""The limits that a file of the known operators can break."""
