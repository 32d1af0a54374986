"""Ranges of the tensors in an exported network, measured on sample images."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from repnext_mm.quantization.onnx_network import OnnxNetwork
from repnext_mm.quantization.placement import nodes_to_quantize
from repnext_mm.quantization.probes import add_reduction, tensor_values
from repnext_mm.quantization.scales import Range, around_zero
from repnext_mm.quantization.weight_limits import limited_weights

METHODS = ('minmax', 'entropy', 'percentile')
PERCENTILE = 99.999
BINS = dict(entropy=128, percentile=2048)


class ChannelRanges(NamedTuple):
    """The extremes of a tensor's channels, ``(C,)`` each."""

    low: np.ndarray
    high: np.ndarray

    @property
    def magnitudes(self) -> np.ndarray:
        """The largest magnitude of each channel, ``(C,)``."""
        return np.maximum(np.abs(self.low), np.abs(self.high))

    @property
    def whole(self) -> Range:
        """Smallest and largest value of all channels; zero is always between them."""
        return min(float(self.low.min()), 0.0), max(float(self.high.max()), 0.0)


class Calibration(NamedTuple):
    """A network, and the ranges that sample images gave.

    Attributes:
        network: The network.
        channels: Extremes of the channels by tensor; tensors that never had a value are missing.
        ranges: By tensor, the values that the smallest and largest integer stand for.
        limited_weights: By name, weights to quantize in the place of the file's, for those that
            differ (:mod:`repnext_mm.quantization.weight_limits`).
        images: Number of images.
    """

    network: OnnxNetwork
    channels: dict[str, ChannelRanges]
    ranges: dict[str, Range]
    limited_weights: dict[str, np.ndarray]
    images: int

    @property
    def magnitudes(self) -> dict[str, np.ndarray]:
        """The largest magnitude of each channel, ``(C,)`` by tensor."""
        return {name: row.magnitudes for name, row in self.channels.items()}

    def unreached_layers(self) -> list[str]:
        """Names of the layers that no image reached, because nothing was detected."""
        return [
            self.network.layers[node.name]
            for node in self.network.layer_nodes
            if node.input[0] not in self.ranges or node.output[0] not in self.ranges
        ]


def calibrate(
    network: OnnxNetwork, images: Iterable[np.ndarray], method: str, symmetric: bool = False
) -> Calibration:
    """Measures the ranges of all tensors that may be quantized.

    Args:
        network: The network.
        images: ``(H, W, 3)`` uint8, RGB; can be gone through twice.
        method: ``'minmax'`` for all values, ``'entropy'`` or ``'percentile'`` to cut rare ones off.
        symmetric: Zero is in the middle of every range.

    Raises:
        ValueError: If there is no image, or the network computes NaN.
    """
    tensors = network.float_tensors(nodes_to_quantize(network))
    channels, count = channel_ranges(network, tensors, images)
    ranges = {name: row.whole for name, row in channels.items()}
    if method != 'minmax':
        ranges = histogram_ranges(network, list(ranges), images, method)
    if symmetric:
        ranges = {name: around_zero(limits) for name, limits in ranges.items()}
    magnitudes = {name: row.magnitudes for name, row in channels.items()}
    limited = limited_weights(network, magnitudes, ranges)
    return Calibration(network, channels, ranges, limited, count)


def channel_ranges(
    network: OnnxNetwork, tensors: Sequence[str], images: Iterable[np.ndarray]
) -> tuple[dict[str, ChannelRanges], int]:
    """The smallest and largest value of each channel, and the number of images.

    The extremes are taken inside the network, so that no activation is kept. Tensors that
    never had a value, behind RoIs where nothing was found, are left out.

    Args:
        network: The network.
        tensors: Names of float tensors.
        images: ``(H, W, 3)`` uint8, RGB.

    Raises:
        ValueError: If there is no image, or the network computes NaN.
    """
    model = copy.deepcopy(network.model)
    lows = [add_reduction(network, model, 'ReduceMin', tensor) for tensor in tensors]
    highs = [add_reduction(network, model, 'ReduceMax', tensor) for tensor in tensors]
    found: dict[str, ChannelRanges] = {}
    count = 0
    for values in tensor_values(model, [*lows, *highs], images):
        count += 1
        for tensor, low_name, high_name in zip(tensors, lows, highs, strict=True):
            low, high = values[low_name].ravel(), values[high_name].ravel()
            if not np.isfinite(low).all():
                if not np.isinf(low).all():
                    raise ValueError(f'the network computes NaN at {tensor}: check the checkpoint')
                continue
            if tensor in found:
                low = np.minimum(low, found[tensor].low)
                high = np.maximum(high, found[tensor].high)
            found[tensor] = ChannelRanges(low, high)
    if not count:
        raise ValueError('calibration needs at least one image')
    return found, count


def histogram_ranges(
    network: OnnxNetwork, tensors: Sequence[str], images: Iterable[np.ndarray], method: str
) -> dict[str, Range]:
    """Ranges that cut rare values off, by ONNX Runtime's histograms.

    The activations of one image are in memory at a time.

    Args:
        network: The network.
        tensors: Names of float tensors.
        images: ``(H, W, 3)`` uint8, RGB.
        method: ``'entropy'`` or ``'percentile'``.
    """
    from onnxruntime.quantization.calibrate import HistogramCollector

    collector = HistogramCollector(
        method=method,
        symmetric=False,
        num_bins=BINS[method],
        num_quantized_bins=128,
        percentile=PERCENTILE,
        scenario='same',
    )
    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does
        for values in tensor_values(network.model, tensors, images):
            collector.collect({name: value for name, value in values.items() if value.size})
        result = collector.compute_collection_result()
    return {name: (float(row[0]), float(row[1])) for name, row in result.items()}
