"""The 8-bit version of a network: QuantizeLinear and DequantizeLinear nodes around its layers.

ONNX Runtime's tools insert the nodes; this package decides where
(:mod:`repnext_mm.quantization.placement`).
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from repnext_mm.quantization.calibration import Calibration
from repnext_mm.quantization.onnx_network import OnnxNetwork
from repnext_mm.quantization.placement import nodes_to_quantize

if TYPE_CHECKING:
    from onnx import ModelProto


def quantized_model(
    calibration: Calibration,
    float_layers: Collection[str],
    reduce_range: bool,
    symmetric: bool = False,
) -> ModelProto:
    """A copy of a network in which all layers but some are in 8 bits.

    Args:
        calibration: The network and its ranges.
        float_layers: Names of the layers that stay in float.
        reduce_range: Weights of 7 bits.
        symmetric: As TensorRT takes it: int8 activations with zero point 0, biases in float, and
            weights that are rounded in the graph.
    """
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    network = calibration.network
    nodes = [
        name
        for name in nodes_to_quantize(network, float_layers)
        if set(network.float_tensors([name])) <= set(calibration.ranges)
    ]
    ranges = {
        name: TensorData(lowest=np.float32(low), highest=np.float32(high))
        for name, (low, high) in calibration.ranges.items()
    }
    quantizer = QDQQuantizer(
        _with_limited_weights(calibration, nodes),
        per_channel=True,
        reduce_range=reduce_range,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QInt8 if symmetric else QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, ranges),
        nodes_to_quantize=nodes,
        nodes_to_exclude=[],
        op_types_to_quantize=sorted({network.by_name[name].op_type for name in nodes}),
        extra_options=dict(
            WeightSymmetric=True,
            ActivationSymmetric=symmetric,
            QuantizeBias=not symmetric,
            AddQDQPairToWeight=symmetric,
        ),
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    result = quantizer.model.model
    result.producer_name = network.model.producer_name
    _give_exact_inputs(result, network, nodes)
    _remove_idle(result)
    return result


def _with_limited_weights(calibration: Calibration, nodes: Collection[str]) -> ModelProto:
    """A copy of the network's model, in which these nodes have their limited weights."""
    from onnx import numpy_helper

    network, limited = calibration.network, calibration.limited_weights
    model = copy.deepcopy(network.model)
    names = {network.by_name[name].input[1] for name in nodes if name in network.layers}
    for entry in model.graph.initializer:
        if entry.name in names and entry.name in limited:
            entry.CopyFrom(numpy_helper.from_array(limited[entry.name], entry.name))
    return model


def _give_exact_inputs(model: ModelProto, network: OnnxNetwork, nodes: Collection[str]) -> None:
    """Lets float layers read what was computed, not the rounded copy for their neighbours."""
    for node in model.graph.node:
        exact = node.name in network.layers or node.op_type == 'Relu'
        if exact and node.name not in nodes:
            node.input[0] = network.by_name[node.name].input[0]


def _remove_idle(model: ModelProto) -> None:
    """Removes rounding that nothing reads, and its constants."""
    while True:
        used = {name for node in model.graph.node for name in node.input}
        used |= {output.name for output in model.graph.output}
        idle = [
            node
            for node in model.graph.node
            if node.op_type in ('QuantizeLinear', 'DequantizeLinear')
            and not used & set(node.output)
        ]
        if not idle:
            break
        for node in idle:
            model.graph.node.remove(node)
    for entry in [row for row in model.graph.initializer if row.name not in used]:
        model.graph.initializer.remove(entry)
