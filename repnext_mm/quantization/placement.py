"""Which nodes of a network are computed in 8 bits: layers with weights, and what joins them."""

from collections.abc import Collection

from repnext_mm.quantization.onnx_network import OnnxNetwork

OPERATORS_BETWEEN_LAYERS = ('Relu', 'Add', 'Concat', 'Resize', 'MaxPool', 'GlobalAveragePool')
"""Operators without weights that have an 8-bit version."""


def nodes_to_quantize(network: OnnxNetwork, float_layers: Collection[str] = ()) -> list[str]:
    """Names of the nodes to quantize: layers, and the operators between two of them.

    Arithmetic on boxes, indices and sizes is none of these.

    Args:
        network: The network.
        float_layers: Names of the layers that stay in float.

    Returns:
        In the order of computation.
    """
    layers = {name for name, layer in network.layers.items() if layer not in float_layers}
    behind = _behind(network, layers)
    before = _before(network, layers, behind)
    rectifiers = {name for name in behind if network.by_name[name].op_type == 'Relu'}
    # In 8 bits the scale cuts negative values off, and what a float layer reads is not cut.
    rectifiers_of_float = {
        name
        for name in rectifiers
        for reader in network.readers.get(network.by_name[name].output[0], [])
        if reader.name in network.layers and reader.name not in layers
    }
    wanted = (layers | (behind & before) | rectifiers) - rectifiers_of_float
    return [node.name for node in network.nodes if node.name in wanted]


def _behind(network: OnnxNetwork, layers: set[str]) -> set[str]:
    """The layers, and the operators that read nothing but what these nodes compute."""
    found = set(layers)
    for node in network.nodes:
        if node.op_type in OPERATORS_BETWEEN_LAYERS:
            writers = [network.writers.get(name) for name in network.data_inputs(node)]
            if all(writer is not None and writer.name in found for writer in writers):
                found.add(node.name)
    return found


def _before(network: OnnxNetwork, layers: set[str], behind: set[str]) -> set[str]:
    """The nodes from which a way leads to one of the layers through the operators behind them."""
    found: set[str] = set()
    for node in reversed(network.nodes):
        readers = [row for output in node.output for row in network.readers.get(output, [])]
        if any(row.name in layers or row.name in found & behind for row in readers):
            found.add(node.name)
    return found
