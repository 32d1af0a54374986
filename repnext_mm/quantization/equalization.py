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

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from repnext_mm.quantization.layer_weights import LayerWeights
from repnext_mm.quantization.onnx_network import OnnxNetwork

if TYPE_CHECKING:
    from onnx import NodeProto

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


class StreamReader(NamedTuple):
    """A layer that reads a stream.

    Attributes:
        node: The layer.
        offset: The channel of its input at which the stream begins.
    """

    node: NodeProto
    offset: int


class Streams:
    """Which tensors must share their factors, who writes them and who reads them.

    Args:
        network: The network.

    Attributes:
        network: The network.
        parts: By the output of each concatenation of channels its inputs.
    """

    def __init__(self, network: OnnxNetwork):
        self.network = network
        self.parents: dict[str, str] = {}
        self.fixed: set[str] = {self.find(output) for output in network.outputs}
        self.parts: dict[str, list[str]] = {}
        shared = network.shared_weights()
        for node in network.nodes:
            if node.name in network.layers:
                if node.input[1] in shared or network.layer_weights(node) is None:
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

    def _join(self, node: NodeProto) -> None:
        network, inputs = self.network, list(node.input)
        kinds = {(network.rank(name), network.channels(name)) for name in inputs}
        if node.op_type in HOMOGENEOUS:
            self._unite(inputs[0], node.output[0])
        elif node.op_type == 'Add' and len(kinds) == 1 and network.channels(inputs[0]):
            self._unite(*inputs, node.output[0])
        elif node.op_type == 'MatMul' and (maps := network.pooled_maps(node)):
            self._unite(maps, node.output[0])
        elif node.op_type == 'Concat' and network.joins_channels(node):
            self.parts[node.output[0]] = inputs
        else:
            self.fix(*inputs, *node.output)

    def _settle(self) -> None:
        """Spreads what is fixed over streams, and between a concatenation and its parts."""
        writers: dict[str, int] = {}
        for node in self.network.nodes:
            if node.name in self.network.layers or node.output[0] in self.parts:
                root = self.find(node.output[0])
                writers[root] = writers.get(root, 0) + 1
        for output in self.parts:
            if writers[self.find(output)] > 1:
                self.fix(output)
        written = {tensor for node in self.network.nodes for tensor in node.output}
        self.fix(
            *(name for node in self.network.nodes for name in node.input if name not in written)
        )
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

    def readers(self) -> dict[str, list[StreamReader]]:
        """For each stream the layers that read it, through concatenations too."""
        found: dict[str, list[StreamReader]] = {}
        for node in self.network.layer_nodes:
            for stream, offset in self.sources(node.input[0]):
                found.setdefault(stream, []).append(StreamReader(node, offset))
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
            offset += self.network.channels(part) or 0
        return found


class Equalized(NamedTuple):
    """A network with channels of even range.

    Attributes:
        network: It computes the same as the one before, with other weights.
        streams: Number of streams that have factors now.
    """

    network: OnnxNetwork
    streams: int


def equalize(network: OnnxNetwork, magnitudes: Mapping[str, np.ndarray]) -> Equalized:
    """Evens the channels of a network out.

    Args:
        network: The network; it stays as it is.
        magnitudes: The largest magnitude of each channel, ``(C,)`` for each tensor that is
            quantized.
    """
    network = OnnxNetwork(copy.deepcopy(network.model))
    streams = Streams(network)
    factors = _stream_factors(streams, magnitudes)
    for node in network.layer_nodes:
        weights = network.layer_weights(node)
        if weights is not None:
            incoming = np.ones(weights.inputs)
            for stream, offset in streams.sources(node.input[0]):
                if stream in factors:
                    incoming[offset : offset + len(factors[stream])] = factors[stream]
            outgoing = factors.get(streams.find(node.output[0]), np.ones(len(weights.rows)))
            _rescale(network, node, weights, incoming, outgoing)
    return Equalized(network, len(factors))


def _stream_factors(
    streams: Streams, magnitudes: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The factors ``(C,)`` of each stream that may have some."""
    network, readers = streams.network, streams.readers()
    activity: dict[str, list[np.ndarray]] = {}
    for tensor, values in magnitudes.items():
        rectified = [reader.op_type == 'Relu' for reader in network.readers.get(tensor, [])]
        if not (rectified and all(rectified)):  # what goes into a ReLU is never quantized
            activity.setdefault(streams.find(tensor), []).append(_relative(values))
    factors = {}
    for stream, rows in activity.items():
        if not streams.is_fixed(stream) and stream in readers:
            active = np.maximum.reduce(rows)
            factors[stream] = _factors(active, _columns(network, readers[stream], len(active)))
    return factors


def _rescale(
    network: OnnxNetwork,
    node: NodeProto,
    weights: LayerWeights,
    incoming: np.ndarray,
    outgoing: np.ndarray,
) -> None:
    """Gives a layer the weights and bias for factors on its input and output channels."""
    if (incoming == 1).all() and (outgoing == 1).all():
        return
    network.replace_constant(node.input[1], weights.scaled(incoming, outgoing))
    if len(node.input) > 2 and node.input[2]:
        bias = network.array(node.input[2])
        network.replace_constant(node.input[2], (bias * outgoing).astype(bias.dtype))


def _relative(values: np.ndarray) -> np.ndarray:
    return values / max(float(values.max()), 1e-30)


def _columns(network: OnnxNetwork, readers: list[StreamReader], channels: int) -> np.ndarray:
    """How large the weights are that read each channel; depthwise layers do not mind."""
    found = np.zeros(channels)
    for reader in readers:
        weights = network.layer_weights(reader.node)
        if weights is not None and not weights.one_input_each:
            columns = _relative(weights.column_magnitudes())
            found = np.maximum(found, columns[reader.offset : reader.offset + channels])
    return found if found.any() else np.ones(channels)


def _factors(activity: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Powers of two near ``sqrt(columns / activity)``."""
    ideal = np.sqrt(np.maximum(columns, FLOOR) / np.maximum(activity, FLOOR))
    factors = np.exp2(np.round(np.log2(ideal)))
    return np.clip(factors, 1 / LARGEST_FACTOR, LARGEST_FACTOR)
