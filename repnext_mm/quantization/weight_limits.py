"""Weights that do not follow channels which 8 bits cannot show.

A batch norm that stands before a convolution is merged into the weights behind it. Channels
that are hardly ever active have a tiny variance there, so their weights become hundreds of
times larger than all others. In float that cancels; in 8 bits the scale of the whole row
follows them, and rounding errors of the input are multiplied by them.
"""

from collections.abc import Mapping

import numpy as np

from repnext_mm.quantization.onnx_network import OnnxNetwork
from repnext_mm.quantization.scales import Range, step_size


def limited_weights(
    network: OnnxNetwork, magnitudes: Mapping[str, np.ndarray], ranges: Mapping[str, Range]
) -> dict[str, np.ndarray]:
    """Weights in which negligible channels do not widen the range of a row.

    A channel that stays below half a step of its tensor's scale arrives as zero, or as the
    rounding error of the addition before it. The weights that read it are limited to the
    largest of the others in their row. Depthwise rows have a single channel, and stay.

    Args:
        network: The network; it stays as it is.
        magnitudes: The largest magnitude of each channel, ``(C,)`` by tensor.
        ranges: The range that 8 bits show, by tensor.

    Returns:
        New weights by name, as ONNX has them, where any is limited.
    """
    negligible: dict[str, np.ndarray] = {}
    for node in network.layer_nodes:
        tensor, weight = node.input[:2]
        if tensor in ranges:
            small = magnitudes[tensor] < step_size(ranges[tensor]) / 2
            negligible[weight] = negligible.get(weight, np.True_) & small
    found = {}
    for node in network.layer_nodes:
        weights, mask = network.layer_weights(node), negligible.get(node.input[1])
        if weights is not None and mask is not None and not weights.one_input_each and mask.any():
            found[node.input[1]] = weights.limited(mask)
    return found
