"""Channels of even range, by moving factors from one layer into the next.

Weights are quantized with a scale for each output channel, activations with one scale for
all channels. The plain form suffers most from the second: in its wide tensors the copied
input stands beside what the block computes, in another range. Convolutions, ReLU, additions,
pooling and interpolation commute with a positive factor for each channel, so what one layer
puts out may be multiplied by it and the weights that read it divided.

Source: cross-layer equalization, Nagel et al., arXiv 1906.04721, section 4.1; here for all
layers that write to or read from the same residual stream at once, with measured ranges of
the activations in the place of those of the first layer's weights. Factors are powers of two,
so the network computes the same, bit for bit, before it is quantized.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from repnext_mm.quantization.graph import Graph, Kernel

HOMOGENEOUS = (
    'Relu',
    'LeakyRelu',
    'MaxPool',
    'AveragePool',
    'GlobalAveragePool',
    'Resize',
    'Identity',
)
"""Operators that act on each channel alone and commute with a positive factor."""

LARGEST_FACTOR = 2.0**10
FLOOR = 1e-6
"""Relative range of channels that were never active."""


class Reader(NamedTuple):
    """A layer that reads a stream, from this channel of its input on."""

    node: Any
    offset: int


class Streams:
    """Which tensors must share their factors, who writes them and who reads them.

    Args:
        graph: The network.
    """

    def __init__(self, graph: Graph):
        self.graph = graph
        self.parents: dict[str, str] = {}
        self.fixed: set[str] = {self.find(output) for output in graph.outputs}
        self.parts: dict[str, list[str]] = {}
        shared = graph.shared_weights()
        for node in graph.nodes:
            if node.name in graph.layers:
                if node.input[1] in shared or graph.kernel(node) is None:
                    self.fix(node.input[0], node.output[0])
            else:
                self._join(node)
        self._settle()

    def find(self, tensor: str) -> str:
        """The tensor that stands for all that share their factors with this one."""
        while self.parents.get(tensor, tensor) != tensor:
            tensor = self.parents[tensor]
        return tensor

    def fix(self, *tensors: str) -> None:
        """Leaves these tensors as they are."""
        self.fixed.update(tensors)

    def _unite(self, *tensors: str) -> None:
        first = self.find(tensors[0])
        for tensor in tensors[1:]:
            self.parents[self.find(tensor)] = first

    def _join(self, node: Any) -> None:
        graph, inputs = self.graph, list(node.input)
        kinds = {(len(graph.shape(name) or ()), graph.channels(name)) for name in inputs}
        if node.op_type in HOMOGENEOUS:
            self._unite(inputs[0], node.output[0])
        elif node.op_type == 'Add' and len(kinds) == 1 and graph.channels(inputs[0]):
            self._unite(*inputs, node.output[0])
        elif node.op_type == 'MatMul' and (maps := graph.pooled(node)):
            self._unite(maps, node.output[0])
        elif node.op_type == 'Concat' and graph.joins_channels(node):
            self.parts[node.output[0]] = inputs
        else:
            self.fix(*inputs, *node.output)

    def _settle(self) -> None:
        """Spreads what is fixed over streams, and between a concatenation and its parts."""
        writers: dict[str, int] = {}
        for node in self.graph.nodes:
            if node.name in self.graph.layers or node.output[0] in self.parts:
                root = self.find(node.output[0])
                writers[root] = writers.get(root, 0) + 1
        for output in self.parts:
            if writers[self.find(output)] > 1:
                self.fix(output)
        written = {tensor for node in self.graph.nodes for tensor in node.output}
        self.fix(*(name for node in self.graph.nodes for name in node.input if name not in written))
        while True:
            before = len(self.fixed)
            self.fixed |= {self.find(tensor) for tensor in self.fixed}
            for output, inputs in self.parts.items():
                if any(self.find(name) in self.fixed for name in (output, *inputs)):
                    self.fix(self.find(output), *map(self.find, inputs))
            if len(self.fixed) == before:
                return

    def is_fixed(self, tensor: str) -> bool:
        """Whether the tensor must stay as it is."""
        return self.find(tensor) in self.fixed

    def readers(self) -> dict[str, list[Reader]]:
        """For each stream the layers that read it, through concatenations too."""
        found: dict[str, list[Reader]] = {}
        for name in self.graph.layers:
            node = self.graph.by_name[name]
            for stream, offset in self.sources(node.input[0]):
                found.setdefault(stream, []).append(Reader(node, offset))
        return found

    def sources(self, tensor: str) -> list[tuple[str, int]]:
        """The streams that a tensor is made of, and the channel at which each begins."""
        root = self.find(tensor)
        joined = [output for output in self.parts if self.find(output) == root]
        if not joined:
            return [(root, 0)]
        found, offset = [], 0
        for part in self.parts[joined[0]]:
            found += [(stream, offset + start) for stream, start in self.sources(part)]
            offset += self.graph.channels(part) or 0
        return found


def equalize(graph: Graph, ranges: Mapping[str, np.ndarray]) -> int:
    """Changes the weights of a network, and nothing that it computes.

    Args:
        graph: Its weights are replaced.
        ranges: The largest magnitude of each channel of each tensor that is quantized.

    Returns:
        How many streams have factors now.
    """
    streams = Streams(graph)
    readers = streams.readers()
    activity: dict[str, list[np.ndarray]] = {}
    for tensor, magnitudes in ranges.items():
        rectified = [reader.op_type == 'Relu' for reader in graph.readers.get(tensor, [])]
        if not (rectified and all(rectified)):  # what goes into a ReLU is never quantized
            activity.setdefault(streams.find(tensor), []).append(_relative(magnitudes))
    factors = {}
    for stream, rows in activity.items():
        if not streams.is_fixed(stream) and stream in readers:
            active = np.maximum.reduce(rows)
            factors[stream] = _factors(active, _columns(graph, readers[stream], len(active)))
    for name in graph.layers:
        node = graph.by_name[name]
        kernel = graph.kernel(node)
        if kernel is not None:
            incoming = np.ones(kernel.inputs)
            for stream, offset in streams.sources(node.input[0]):
                if stream in factors:
                    incoming[offset : offset + len(factors[stream])] = factors[stream]
            outgoing = factors.get(streams.find(node.output[0]), np.ones(len(kernel.rows)))
            _rescale(graph, node, kernel, incoming, outgoing)
    return len(factors)


def _rescale(
    graph: Graph, node: Any, kernel: Kernel, incoming: np.ndarray, outgoing: np.ndarray
) -> None:
    if (incoming == 1).all() and (outgoing == 1).all():
        return
    graph.replace(node.input[1], kernel.scaled(incoming, outgoing))
    if len(node.input) > 2 and node.input[2]:
        bias = graph.array(node.input[2])
        graph.replace(node.input[2], (bias * outgoing).astype(bias.dtype))


def _relative(values: np.ndarray) -> np.ndarray:
    return values / max(float(values.max()), 1e-30)


def _columns(graph: Graph, readers: list[Reader], channels: int) -> np.ndarray:
    """How large the weights are that read each channel; depthwise layers do not mind."""
    found = np.zeros(channels)
    for reader in readers:
        kernel = graph.kernel(reader.node)
        if kernel is not None and not kernel.one_input_each:
            columns = _relative(kernel.columns())[reader.offset : reader.offset + channels]
            found = np.maximum(found, columns)
    return found if found.any() else np.ones(channels)


def _factors(activity: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Powers of two near ``sqrt(columns / activity)``."""
    ideal = np.sqrt(np.maximum(columns, FLOOR) / np.maximum(activity, FLOOR))
    factors = np.exp2(np.round(np.log2(ideal)))
    return np.clip(factors, 1 / LARGEST_FACTOR, LARGEST_FACTOR)
