"""An ONNX file as those who judge it read it: nodes, constants, types and ranks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from repnext_mm.compat import require_extra

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto


class OnnxFile:
    """The nodes of an ONNX file, those inside branches too, and what is known of their tensors.

    Args:
        path: The file. Weights beside it are not read.

    Attributes:
        path: The file.
        inputs: Names of the network's inputs.
        outputs: Names of its outputs.
        opset: Version of the standard operators.

    Raises:
        ImportError: If onnx is missing.
        ValueError: If it is no ONNX file.
    """

    def __init__(self, path: Path):
        onnx = require_extra('onnx', 'onnx', f'looking into {path}')
        from google.protobuf.message import DecodeError

        self.path = path
        try:
            model = onnx.load(str(path), load_external_data=False)
            model = onnx.shape_inference.infer_shapes(model, data_prop=True)
        except (DecodeError, onnx.shape_inference.InferenceError) as error:
            raise ValueError(f'{path} cannot be opened: {error}') from error
        self.opset = next(
            (entry.version for entry in model.opset_import if entry.domain in ('', 'ai.onnx')), 0
        )
        self.graphs = list(_graphs(model.graph))
        self.inputs = {value.name for value in model.graph.input}
        self.outputs = {value.name for value in model.graph.output}
        self._types = {
            value.name: value.type.tensor_type
            for graph in self.graphs
            for value in (*graph.input, *graph.value_info, *graph.output)
        }
        self._constants = {
            entry.name: entry for graph in self.graphs for entry in graph.initializer
        }
        for node in self.nodes():
            if node.op_type == 'Constant':
                values = [part.t for part in node.attribute if part.name == 'value']
                self._constants |= dict.fromkeys(node.output, *values) if values else {}

    def nodes(self) -> Iterator[NodeProto]:
        """All nodes, in the order of computation."""
        return (node for graph in self.graphs for node in graph.node)

    def is_constant(self, name: str) -> bool:
        """Whether a tensor has the same values for every image."""
        return name in self._constants

    def constant(self, name: str) -> np.ndarray | None:
        """The values of a constant; None for others, and for values beside the file."""
        from onnx import TensorProto, numpy_helper

        entry = self._constants.get(name)
        if entry is None or entry.data_location == TensorProto.EXTERNAL:
            return None
        return numpy_helper.to_array(entry)

    def type_of(self, name: str) -> str | None:
        """The type of a tensor as ONNX calls it, such as ``'FLOAT'``; None where it is unknown."""
        from onnx import TensorProto

        entry = self._constants.get(name)
        kind = entry.data_type if entry is not None else 0
        if name in self._types:
            kind = self._types[name].elem_type
        return TensorProto.DataType.Name(kind) if kind else None

    def rank(self, name: str) -> int | None:
        """The number of axes of a tensor; None where it is unknown."""
        if name in self._constants:
            return len(self._constants[name].dims)
        known = self._types.get(name)
        return len(known.shape.dim) if known is not None and known.HasField('shape') else None


def attributes(node: NodeProto) -> dict[str, Any]:
    """The attributes of a node by name, texts as ``str``."""
    from onnx import helper

    found = {part.name: helper.get_attribute_value(part) for part in node.attribute}
    return {k: v.decode() if isinstance(v, bytes) else v for k, v in found.items()}


def branches(node: NodeProto) -> list[GraphProto]:
    """The graphs inside a node, such as the two of an ``If``."""
    return [part.g for part in node.attribute if part.HasField('g')]


def _graphs(graph: GraphProto) -> Iterator[GraphProto]:
    yield graph
    for node in graph.node:
        for inner in branches(node):
            yield from _graphs(inner)
