"""Values of tensors inside a network, computed on sample images in ONNX Runtime."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from repnext_mm.compat import require_extra
from repnext_mm.quantization.onnx_network import OnnxNetwork
from repnext_mm.quantization.simplification import PURPOSE

if TYPE_CHECKING:
    from onnx import ModelProto


def tensor_values(
    model: ModelProto, tensors: Sequence[str], images: Iterable[np.ndarray]
) -> Iterator[dict[str, np.ndarray]]:
    """Runs a model on images, one at a time in memory.

    Args:
        model: The model; it stays as it is.
        tensors: Names of the tensors to give out, inner ones too.
        images: ``(H, W, 3)`` uint8, RGB.

    Yields:
        For each image the values by the name of the tensor.

    Raises:
        ImportError: If onnx or onnxruntime is missing.
    """
    onnx = require_extra('onnx', 'onnx', PURPOSE)
    runtime = require_extra('onnxruntime', 'onnx', PURPOSE)
    probed = copy.deepcopy(model)
    del probed.graph.output[:]
    for name in tensors:
        probed.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    session = runtime.InferenceSession(
        probed.SerializeToString(), providers=['CPUExecutionProvider']
    )
    (entry,) = session.get_inputs()
    for image in images:
        values = session.run(list(tensors), {entry.name: image[None]})
        yield dict(zip(tensors, values, strict=True))


def add_reduction(
    network: OnnxNetwork,
    model: ModelProto,
    operator: Literal['ReduceMin', 'ReduceMax', 'ReduceSumSquare'],
    tensor: str,
) -> str:
    """Adds a node that reduces a tensor ``(N, C, ...)``: extremes for each channel, squares in all.

    Args:
        network: Says the ranks of tensors and the opset.
        model: A copy of the network's model; the node is added to it.
        operator: Of ONNX.
        tensor: Name of the tensor.

    Returns:
        The name of the reduced tensor.
    """
    from onnx import helper, numpy_helper

    name = f'{tensor}/{operator}'
    rank = network.rank(tensor)
    axes = [axis for axis in range(rank) if axis != 1 or operator == 'ReduceSumSquare']
    inputs = [tensor]
    if network.opset >= 18:
        constant = numpy_helper.from_array(np.array(axes, np.int64), f'{name}/axes')
        model.graph.initializer.append(constant)
        inputs.append(constant.name)
        node = helper.make_node(operator, inputs, [name], name, keepdims=1)
    else:
        node = helper.make_node(operator, inputs, [name], name, keepdims=1, axes=axes)
    model.graph.node.append(node)
    return name
