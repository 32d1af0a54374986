"""The layers of an ONNX file, and what lies between them."""

import copy
import logging
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from repnext_mm.compat import require_extra

WEIGHTED = ('Conv', 'ConvTranspose', 'Gemm', 'MatMul')
"""Operators with weights that are worth quantizing."""

CARRIERS = ('Relu', 'Add', 'Concat', 'Resize', 'MaxPool', 'GlobalAveragePool')
"""Operators between layers that have an 8-bit version."""

PURPOSE = 'quantizing an exported file'


class Kernel:
    """The weights of a layer as rows, one for each output channel.

    Args:
        node: The layer.
        weight: Its weights, as ONNX has them.

    Attributes:
        rows: ``(outputs, inputs / groups, ...)``.
        inputs: How many input channels there are.
    """

    def __init__(self, node: Any, weight: np.ndarray):
        options = _attributes(node)
        self.transposed = node.op_type == 'ConvTranspose' or (
            node.op_type == 'Gemm' and not options.get('transB', 0)
        )
        self.rows = np.swapaxes(weight, 0, 1) if self.transposed else weight
        groups = options.get('group', 1)
        per_group = self.rows.shape[1]
        group = np.arange(len(self.rows)) // (len(self.rows) // groups)
        self.inputs = per_group * groups
        self.sources = group[:, None] * per_group + np.arange(per_group)

    @property
    def one_input_each(self) -> bool:
        """Whether every row reads a single channel, as in depthwise convolutions."""
        return self.rows.shape[1] == 1

    def columns(self) -> np.ndarray:
        """The largest magnitude of the weights that read each input channel, ``(inputs,)``."""
        magnitudes = np.abs(self.rows).reshape(*self.rows.shape[:2], -1).max(-1)
        found = np.zeros(self.inputs, magnitudes.dtype)
        np.maximum.at(found, self.sources, magnitudes)
        return found

    def scaled(self, inputs: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """The weights for inputs that were multiplied, and outputs that are to be."""
        factors = outputs[:, None] / inputs[self.sources]
        rows = self.rows * factors.reshape(*factors.shape, *[1] * (self.rows.ndim - 2))
        rows = np.swapaxes(rows, 0, 1) if self.transposed else rows
        return np.ascontiguousarray(rows, self.rows.dtype)

    def tamed(self, faint: np.ndarray) -> np.ndarray:
        """The weights with those of some input channels no larger than the others of their row.

        Args:
            faint: ``(inputs,)`` bool, the channels that may not widen a row's range.
        """
        ours = np.abs(self.rows).reshape(*self.rows.shape[:2], -1).max(-1)
        limits = np.where(faint[self.sources], 0.0, ours).max(1)
        limits = np.where(faint[self.sources], limits[:, None], np.inf).astype(self.rows.dtype)
        limits = limits.reshape(*limits.shape, *[1] * (self.rows.ndim - 2))
        rows = np.clip(self.rows, -limits, limits)
        return np.ascontiguousarray(np.swapaxes(rows, 0, 1) if self.transposed else rows)


class Graph:
    """An ONNX file of ours, simplified, with its layers.

    Args:
        path: The file; it is only read.

    Attributes:
        model: The simplified model; constants are folded and every bias has one reader.
        layers: For each node with weights the name of its layer as in the model in torch, such
            as ``'backbone.stages.0.blocks.0.expand'``. Several nodes may share one.
    """

    def __init__(self, path: Path):
        self.onnx = require_extra('onnx', 'onnx', PURPOSE)
        self.model = simplified(path)
        nodes = self.model.graph.node
        self.nodes = list(nodes)
        self.by_name = {node.name: node for node in nodes}
        self.weights = {entry.name: entry for entry in self.model.graph.initializer}
        self.writers = {output: node for node in nodes for output in node.output}
        self.readers: dict[str, list[Any]] = {}
        for node in nodes:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.layers = {
            node.name: layer_name(node)
            for node in nodes
            if node.op_type in WEIGHTED and len(node.input) > 1 and node.input[1] in self.weights
        }
        values = (*self.model.graph.value_info, *self.model.graph.output, *self.model.graph.input)
        self.values = {value.name: value.type.tensor_type for value in values}
        self.outputs = [value.name for value in self.model.graph.output]

    @property
    def opset(self) -> int:
        """Of ONNX's own operators."""
        return next(entry.version for entry in self.model.opset_import if not entry.domain)

    def output_axis(self, node: Any) -> int:
        """The axis of a layer's weights along which its output channels lie."""
        options = _attributes(node)
        if node.op_type == 'MatMul':
            return self.array(node.input[1]).ndim - 1
        first = node.op_type == 'Conv' or (node.op_type == 'Gemm' and options.get('transB', 0))
        return 0 if first else 1

    def is_float(self, tensor: str) -> bool:
        """Whether this is a float32 tensor that is computed."""
        known = self.values.get(tensor)
        return known is not None and known.elem_type == self.onnx.TensorProto.FLOAT

    def shape(self, tensor: str) -> list[int | None] | None:
        """The sides that are known; None without a known rank."""
        known = self.values.get(tensor)
        if known is None or not known.HasField('shape'):
            return None
        return [side.dim_value if side.HasField('dim_value') else None for side in known.shape.dim]

    def channels(self, tensor: str) -> int | None:
        """The size of the second axis, if it is known."""
        shape = self.shape(tensor)
        return shape[1] if shape and len(shape) > 1 else None

    def array(self, name: str) -> np.ndarray:
        """A constant."""
        return self.onnx.numpy_helper.to_array(self.weights[name])

    def kernel(self, node: Any) -> Kernel | None:
        """The weights of a layer whose channels are the second axis; None for other layers."""
        options = _attributes(node)
        plain = all(options.get(name, 1) == 1 for name in ('alpha', 'beta'))
        grouped = node.op_type == 'ConvTranspose' and options.get('group', 1) != 1
        bias = all(not name or name in self.weights for name in node.input[2:])
        if node.op_type == 'MatMul' or options.get('transA') or grouped or not (plain and bias):
            return None
        return Kernel(node, self.array(node.input[1]))

    def replace(self, name: str, values: np.ndarray) -> None:
        """Gives a constant other values."""
        self.weights[name].CopyFrom(self.onnx.numpy_helper.from_array(values, name))

    def shared_weights(self) -> set[str]:
        """Weights that several nodes use, such as those of an RPN on all levels."""
        users = [self.by_name[name].input[1] for name in self.layers]
        return {name for name in users if len(self.readers[name]) > 1}

    def multiplying_layers(self) -> list[str]:
        """Names of depthwise layers with several output channels for each input channel."""
        kernels = {name: self.kernel(self.by_name[name]) for name in self.layers}
        return [
            self.layers[name]
            for name, kernel in kernels.items()
            if kernel and kernel.one_input_each and len(kernel.rows) > kernel.inputs > 1
        ]

    def data(self, node: Any) -> list[str]:
        """The inputs of a carrier that are not sizes or options."""
        return list(node.input) if node.op_type in ('Add', 'Concat') else [node.input[0]]

    def pooled(self, node: Any) -> str | None:
        """The maps ``(N, C, H, W)`` that a product with a matrix pools; None if it does not."""
        ranks = {name: len(self.shape(name) or ()) for name in node.input}
        maps = [name for name, rank in ranks.items() if rank == 4]
        return maps[0] if sorted(ranks.values()) == [2, 4] else None

    def joins_channels(self, node: Any) -> bool:
        """Whether a concatenation puts the known channels of its inputs one after the other."""
        known = all(self.channels(name) and self.is_float(name) for name in node.input)
        return known and _attributes(node).get('axis') == 1

    def chosen(self, keep_float: Iterable[str]) -> list[str]:
        """The nodes to quantize: layers, and the carriers between two of them.

        Arithmetic on boxes, indices and sizes is none of these.

        Args:
            keep_float: Names of layers.
        """
        left_out = set(keep_float)
        layers = {name for name, layer in self.layers.items() if layer not in left_out}
        behind = set(layers)  # what only 8-bit layers lead to
        for node in self.nodes:
            if node.op_type in CARRIERS:
                writers = [self.writers.get(name) for name in self.data(node)]
                if all(writer is not None and writer.name in behind for writer in writers):
                    behind.add(node.name)
        before: set[str] = set()  # what leads to an 8-bit layer
        for node in reversed(self.nodes):
            readers = [reader for output in node.output for reader in self.readers.get(output, [])]
            if any(r.name in layers or r.name in before & behind for r in readers):
                before.add(node.name)
        rectifiers = {name for name in behind if self.by_name[name].op_type == 'Relu'}
        # In 8 bits the scale cuts negative values off, and what a float layer reads is not cut.
        rectifiers_of_float = {
            name
            for name in rectifiers
            for reader in self.readers.get(self.by_name[name].output[0], [])
            if reader.name in self.layers and reader.name not in layers
        }
        wanted = (layers | (behind & before) | rectifiers) - rectifiers_of_float
        return [node.name for node in self.nodes if node.name in wanted]

    def tensors(self, nodes: Iterable[str]) -> list[str]:
        """The float tensors that these nodes read and write."""
        found: dict[str, None] = {}
        for name in nodes:
            node = self.by_name[name]
            inputs = self.data(node) if node.name not in self.layers else [node.input[0]]
            found |= dict.fromkeys(t for t in (*inputs, *node.output) if self.is_float(t))
        return list(found)


def simplified(path: Path) -> Any:
    """Folds constants and unused steps, and infers types, as far as that works on whole detectors.

    Symbolic shapes are left out: that part of ONNX Runtime's tools stops at operators whose
    outputs have as many entries as there are detections.
    """
    onnx = require_extra('onnx', 'onnx', PURPOSE)
    require_extra('onnxruntime', 'onnx', PURPOSE)
    from onnxruntime.quantization.shape_inference import quant_pre_process

    source = onnx.load(str(path))
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / 'simplified.onnx'
        level = logging.root.level
        try:
            logging.root.setLevel(logging.ERROR)
            quant_pre_process(str(path), str(target), skip_symbolic_shape=True)
        finally:
            logging.root.setLevel(level)
        model = onnx.load(str(target))
    del model.opset_import[:]  # ONNX Runtime names all that it knows
    model.opset_import.extend(source.opset_import)
    del model.metadata_props[:]
    model.metadata_props.extend(source.metadata_props)
    _separate_biases(model)
    return model


def _separate_biases(model: Any) -> None:
    """Gives layers that share a bias one each: in 8 bits it has the scale of the layer's input."""
    constants = {entry.name: entry for entry in model.graph.initializer}
    seen: set[str] = set()
    for node in model.graph.node:
        if node.op_type not in WEIGHTED or len(node.input) < 3 or node.input[2] not in constants:
            continue
        name = node.input[2]
        if name in seen:
            own = copy.deepcopy(constants[name])
            own.name = f'{name}/{node.name}'
            model.graph.initializer.append(own)
            node.input[2] = own.name
        seen.add(name)


def layer_name(node: Any) -> str:
    """What a reader of the model in torch calls a layer."""
    weight = node.input[1]
    if weight.endswith('.weight'):
        return weight.removesuffix('.weight')
    # The exporter folded a batch norm into the weights and gave them a number for a name.
    parts = node.name.split('/')[1:-1]
    return '.'.join(part for part in parts if part) or node.name


def _attributes(node: Any) -> dict[str, Any]:
    """The whole numbers and factors among a node's attributes."""
    kinds = {1: 'f', 2: 'i'}
    return {a.name: getattr(a, kinds[a.type]) for a in node.attribute if a.type in kinds}
