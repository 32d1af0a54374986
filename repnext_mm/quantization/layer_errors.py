"""Errors that 8 bits cause in each layer alone."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from repnext_mm.quantization.calibration import Calibration
from repnext_mm.quantization.onnx_network import OnnxNetwork
from repnext_mm.quantization.probes import add_reduction, tensor_values
from repnext_mm.quantization.scales import Range, round_weights, step_size, zero_point

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto


def measure_layer_errors(
    calibration: Calibration, images: Iterable[np.ndarray], largest_integer: int
) -> dict[str, float]:
    """The squared error of each layer relative to the square of its output, in one pass.

    Beside each layer, which reads exact values, the same layer with input and weights rounded
    runs in one network.

    Args:
        calibration: The network and its ranges.
        images: ``(H, W, 3)`` uint8, RGB.
        largest_integer: Of a weight.

    Returns:
        By the name of the layer, the largest first; of nodes that share one the worst.
    """
    network, ranges = calibration.network, calibration.ranges
    model = copy.deepcopy(network.model)
    rows = []
    for node in network.layer_nodes:
        if node.input[0] in ranges and network.is_float(node.output[0]):
            name = node.input[1]
            weights = calibration.limited_weights.get(name, network.array(name))
            rounded = round_weights(weights, network.output_axis(node), largest_integer)
            names = _add_rounded_twin(network, model, node, ranges[node.input[0]], rounded)
            rows.append((network.layers[node.name], *names))
    sums = dict.fromkeys([name for _, *names in rows for name in names], 0.0)
    for values in tensor_values(model, list(sums), images):
        for name, value in values.items():
            sums[name] += float(value.sum())
    found: dict[str, float] = {}
    for layer, error, square in rows:
        relative = sums[error] / sums[square] if sums[square] else 0.0
        found[layer] = max(found.get(layer, 0.0), relative)
    return dict(sorted(found.items(), key=lambda row: -row[1]))


def _add_rounded_twin(
    network: OnnxNetwork, model: ModelProto, node: NodeProto, limits: Range, weights: np.ndarray
) -> tuple[str, str]:
    """Adds a layer's rounded twin to a copy of the network's model.

    Args:
        network: The network.
        model: The copy.
        node: The layer.
        limits: Range of the layer's input.
        weights: Its rounded weights.

    Returns:
        The names of the sum of squared errors and of the sum of the output's squares.
    """
    from onnx import numpy_helper
    from onnx.helper import make_node

    name = f'{node.name}/rounded'
    constants: dict[str, np.ndarray] = {
        'scale': np.array(step_size(limits), np.float32),
        'zero': np.array(zero_point(limits)),
        'weight': weights,
    }
    for key, value in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(value, f'{name}/{key}'))
    grid = [f'{name}/scale', f'{name}/zero']
    twin = copy.deepcopy(node)
    twin.name = name
    twin.input[0], twin.input[1], twin.output[0] = f'{name}/x', f'{name}/weight', f'{name}/y'
    model.graph.node.extend(
        [
            make_node('QuantizeLinear', [node.input[0], *grid], [f'{name}/integer']),
            make_node('DequantizeLinear', [f'{name}/integer', *grid], [f'{name}/x']),
            twin,
            make_node('Sub', [f'{name}/y', node.output[0]], [f'{name}/error']),
            make_node('Mul', [f'{name}/error', f'{name}/error'], [f'{name}/square']),
            make_node('ReduceSum', [f'{name}/square'], [f'{name}/total'], keepdims=0),
        ]
    )
    return f'{name}/total', add_reduction(network, model, 'ReduceSumSquare', node.output[0])
