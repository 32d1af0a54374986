"""An exported network as ONNX nodes: its layers, their weights, and the tensors between them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from repnext_mm.quantization.layer_weights import LayerWeights, number_attributes
from repnext_mm.quantization.simplification import LAYER_OPERATORS

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto


class OnnxNetwork:
    """A simplified ONNX model with its layers.

    Args:
        model: Of :func:`~repnext_mm.quantization.simplification.simplify`, with one bias for each
            layer.

    Attributes:
        model: The model.
        layers: For each node with weights the name of its layer as in the model in torch, such
            as ``'backbone.stages.0.blocks.0.expand'``. Several nodes may share one.
        by_name: The nodes by name.
        constants: Weights and other constants by name.
        writers: The node that computes each tensor.
        readers: The nodes that read each tensor.
        outputs: Names of the model's outputs.
    """

    def __init__(self, model: ModelProto):
        self.model = model
        nodes = self.model.graph.node
        self.nodes = list(nodes)
        self.by_name = {node.name: node for node in nodes}
        self.constants = {entry.name: entry for entry in self.model.graph.initializer}
        self.writers = {output: node for node in nodes for output in node.output}
        self.readers: dict[str, list[NodeProto]] = {}
        for node in nodes:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.layers = {node.name: layer_name(node) for node in nodes if self._is_layer(node)}
        values = (*self.model.graph.value_info, *self.model.graph.output, *self.model.graph.input)
        self.types = {value.name: value.type.tensor_type for value in values}
        self.outputs = [value.name for value in self.model.graph.output]

    def _is_layer(self, node: NodeProto) -> bool:
        weighted = node.op_type in LAYER_OPERATORS and len(node.input) > 1
        return weighted and node.input[1] in self.constants

    @property
    def layer_nodes(self) -> list[NodeProto]:
        """The nodes with weights, in the order of computation."""
        return [self.by_name[name] for name in self.layers]

    @property
    def opset(self) -> int:
        """Version of the standard operators that the model uses."""
        return next(entry.version for entry in self.model.opset_import if not entry.domain)

    def output_axis(self, node: NodeProto) -> int:
        """The axis of a layer's weights along which its output channels lie."""
        if node.op_type == 'MatMul':
            return self.array(node.input[1]).ndim - 1
        rows_first = node.op_type == 'Gemm' and number_attributes(node).get('transB', 0)
        return 0 if node.op_type == 'Conv' or rows_first else 1

    def is_float(self, tensor: str) -> bool:
        """Whether this is a float32 tensor that is computed."""
        from onnx import TensorProto

        known = self.types.get(tensor)
        return known is not None and known.elem_type == TensorProto.FLOAT

    def shape(self, tensor: str) -> list[int | None] | None:
        """The sides of a tensor, None for those that are open; None without a known rank."""
        known = self.types.get(tensor)
        if known is None or not known.HasField('shape'):
            return None
        return [side.dim_value if side.HasField('dim_value') else None for side in known.shape.dim]

    def rank(self, tensor: str) -> int:
        """Number of axes of a tensor; 0 where it is unknown."""
        return len(self.shape(tensor) or ())

    def channels(self, tensor: str) -> int | None:
        """The size of the second axis, if it is known."""
        shape = self.shape(tensor)
        return shape[1] if shape and len(shape) > 1 else None

    def array(self, name: str) -> np.ndarray:
        """A constant as an array."""
        from onnx import numpy_helper

        return numpy_helper.to_array(self.constants[name])

    def layer_weights(self, node: NodeProto) -> LayerWeights | None:
        """The weights of a layer whose channels are the second axis; None for other layers."""
        options = number_attributes(node)
        unscaled = all(options.get(name, 1) == 1 for name in ('alpha', 'beta'))
        grouped = node.op_type == 'ConvTranspose' and options.get('group', 1) != 1
        constant_bias = all(not name or name in self.constants for name in node.input[2:])
        if node.op_type == 'MatMul' or options.get('transA') or grouped:
            return None
        if not (unscaled and constant_bias):
            return None
        return LayerWeights(node, self.array(node.input[1]))

    def replace_constant(self, name: str, values: np.ndarray) -> None:
        """Gives a constant other values."""
        from onnx import numpy_helper

        self.constants[name].CopyFrom(numpy_helper.from_array(values, name))

    def shared_weights(self) -> set[str]:
        """Names of weights that several nodes use, such as those of an RPN on all levels."""
        used = [node.input[1] for node in self.layer_nodes]
        return {name for name in used if len(self.readers[name]) > 1}

    def channel_multiplying_layers(self) -> list[str]:
        """Names of depthwise layers with several output channels for each input channel."""
        weights = {self.layers[node.name]: self.layer_weights(node) for node in self.layer_nodes}
        return [layer for layer, row in weights.items() if row and row.multiplies_channels]

    def data_inputs(self, node: NodeProto) -> list[str]:
        """The inputs of a node that are feature maps, not weights, sizes or options."""
        return list(node.input) if node.op_type in ('Add', 'Concat') else [node.input[0]]

    def float_tensors(self, nodes: Iterable[str]) -> list[str]:
        """Names of the float tensors that the nodes with these names read and write."""
        found: dict[str, None] = {}
        for name in nodes:
            node = self.by_name[name]
            found |= dict.fromkeys((*self.data_inputs(node), *node.output))
        return [tensor for tensor in found if self.is_float(tensor)]

    def pooled_maps(self, node: NodeProto) -> str | None:
        """The maps ``(N, C, H, W)`` that a product with a matrix pools; None if it does not."""
        ranks = {name: self.rank(name) for name in node.input}
        maps = [name for name, rank in ranks.items() if rank == 4]
        return maps[0] if sorted(ranks.values()) == [2, 4] else None

    def joins_channels(self, node: NodeProto) -> bool:
        """Whether a concatenation puts the known channels of its inputs one after the other."""
        known = all(self.channels(name) and self.is_float(name) for name in node.input)
        return known and number_attributes(node).get('axis') == 1


def layer_name(node: NodeProto) -> str:
    """The name that the layer of a node with weights has in the model in torch."""
    weight = node.input[1]
    if weight.endswith('.weight'):
        return weight.removesuffix('.weight')
    # The exporter folded a batch norm into the weights and gave them a number for a name.
    parts = node.name.split('/')[1:-1]
    return '.'.join(part for part in parts if part) or node.name
