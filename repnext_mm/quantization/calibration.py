"""What flows through an exported network on sample images: ranges, and the errors of 8 bits."""

import contextlib
import copy
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from repnext_mm.compat import require_extra
from repnext_mm.quantization.graph import PURPOSE, Graph

METHODS = ('minmax', 'entropy', 'percentile')
PERCENTILE = 99.999
BINS = dict(entropy=128, percentile=2048)
LEVELS = 255

Range = tuple[float, float]


class ChannelRanges(NamedTuple):
    """The extremes of a tensor's channels, ``(C,)`` each."""

    low: np.ndarray
    high: np.ndarray

    @property
    def magnitudes(self) -> np.ndarray:
        return np.maximum(np.abs(self.low), np.abs(self.high))

    @property
    def whole(self) -> Range:
        """Of all channels; zero is always part of it."""
        return min(float(self.low.min()), 0.0), max(float(self.high.max()), 0.0)


class Calibration(NamedTuple):
    """What sample images showed of a network.

    Attributes:
        graph: The network.
        channels: By tensor; tensors that never had a value are missing.
        ranges: What the integers of each tensor stand for.
        tamed: Weights to quantize in the place of the file's, for those that differ.
        images: How many there were.
    """

    graph: Graph
    channels: dict[str, ChannelRanges]
    ranges: dict[str, Range]
    tamed: dict[str, np.ndarray]
    images: int

    def unreached(self) -> list[str]:
        """Names of the layers that no image reached, because nothing was detected."""
        nodes = [self.graph.by_name[name] for name in self.graph.layers]
        return [
            self.graph.layers[node.name]
            for node in nodes
            if node.input[0] not in self.ranges or node.output[0] not in self.ranges
        ]


def calibrate(graph: Graph, images: Iterable[np.ndarray], method: str) -> Calibration:
    """Runs a network on images ``(H, W, 3)``.

    Args:
        graph: The network.
        images: Can be gone through twice.
        method: Of :data:`METHODS`.

    Raises:
        ValueError: If there is no image, or the network computes NaN.
    """
    tensors = graph.tensors(graph.chosen([]))
    channels, count = channel_ranges(graph, tensors, images)
    ranges = {name: row.whole for name, row in channels.items()}
    if method != 'minmax':
        ranges = histogram_ranges(graph, list(ranges), images, method)
    return Calibration(graph, channels, ranges, tame(graph, channels, ranges), count)


def tame(
    graph: Graph, channels: dict[str, ChannelRanges], ranges: dict[str, Range]
) -> dict[str, np.ndarray]:
    """Weights that do not follow channels which 8 bits cannot show.

    A channel that stays below half a step of its tensor's scale arrives as zero, or as the
    rounding error of the addition before it. The weights that read it are limited to the
    largest of the others in their row. Depthwise rows have a single channel, and stay.

    Returns:
        By the name of the weights, where any is limited.
    """
    faint: dict[str, np.ndarray] = {}
    for name in graph.layers:
        tensor, weight = graph.by_name[name].input[:2]
        if tensor in ranges:
            small = channels[tensor].magnitudes < step(ranges[tensor]) / 2
            faint[weight] = faint.get(weight, True) & small
    found = {}
    for name in graph.layers:
        node = graph.by_name[name]
        kernel, mask = graph.kernel(node), faint.get(node.input[1])
        if kernel is not None and mask is not None and not kernel.one_input_each and mask.any():
            found[node.input[1]] = kernel.tamed(mask)
    return found


def run(model: Any, outputs: Sequence[str], images: Iterable[np.ndarray]) -> Iterator[dict]:
    """The values of these tensors for each image ``(H, W, 3)`` in turn; one at a time in memory."""
    onnx = require_extra('onnx', 'onnx', PURPOSE)
    runtime = require_extra('onnxruntime', 'onnx', PURPOSE)
    wanted = copy.deepcopy(model)
    del wanted.graph.output[:]
    for name in outputs:
        wanted.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    session = runtime.InferenceSession(
        wanted.SerializeToString(), providers=['CPUExecutionProvider']
    )
    (entry,) = session.get_inputs()
    for image in images:
        values = session.run(list(outputs), {entry.name: image[None]})
        yield dict(zip(outputs, values, strict=True))


def channel_ranges(
    graph: Graph, tensors: Sequence[str], images: Iterable[np.ndarray]
) -> tuple[dict[str, ChannelRanges], int]:
    """The smallest and largest value of each channel, and the number of images.

    The extremes are taken inside the network, so that no activation is kept. Tensors that
    never had a value, behind RoIs where nothing was found, are left out.
    """
    model = copy.deepcopy(graph.model)
    wanted = [
        _add_reduction(graph, model, operator, tensor)
        for tensor in tensors
        for operator in ('ReduceMin', 'ReduceMax')
    ]
    found: dict[str, ChannelRanges] = {}
    count = 0
    for values in run(model, wanted, images):
        count += 1
        for number, tensor in enumerate(tensors):
            low, high = (values[name].ravel() for name in wanted[2 * number : 2 * number + 2])
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


def _add_reduction(graph: Graph, model: Any, operator: str, tensor: str) -> str:
    """Adds the smallest or largest value of each channel, or the sum of squares, as a tensor."""
    onnx = graph.onnx
    name = f'{tensor}/{operator}'
    rank = len(graph.shape(tensor) or ())
    axes = [axis for axis in range(rank) if axis != 1 or operator == 'ReduceSumSquare']
    inputs = [tensor]
    options: dict[str, Any] = dict(keepdims=1)
    if graph.opset >= 18:
        constant = onnx.numpy_helper.from_array(np.array(axes, np.int64), f'{name}/axes')
        model.graph.initializer.append(constant)
        inputs.append(constant.name)
    else:
        options['axes'] = axes
    model.graph.node.append(onnx.helper.make_node(operator, inputs, [name], name, **options))
    return name


def histogram_ranges(
    graph: Graph, tensors: Sequence[str], images: Iterable[np.ndarray], method: str
) -> dict[str, Range]:
    """Ranges that cut rare values off, by ONNX Runtime's histograms.

    The activations of one image are in memory at a time.

    Args:
        graph: The network.
        tensors: Of the network.
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
        for values in run(graph.model, tensors, images):
            collector.collect({name: value for name, value in values.items() if value.size})
        result = collector.compute_collection_result()
    return {name: (float(row[0]), float(row[1])) for name, row in result.items()}


def layer_errors(state: Calibration, images: Iterable[np.ndarray], levels: int) -> dict[str, float]:
    """What 8 bits do to each layer alone, in one pass: squared error relative to the output.

    Beside each layer, which reads exact values, the same layer with input and weights rounded
    runs in one network.

    Args:
        state: The network and its ranges.
        images: ``(H, W, 3)`` uint8, RGB.
        levels: The largest integer of a weight.

    Returns:
        By the name of the layer, the largest first; of nodes that share one the worst.
    """
    graph, ranges = state.graph, state.ranges
    model = copy.deepcopy(graph.model)
    rows = []
    for name, layer in graph.layers.items():
        node = graph.by_name[name]
        if node.input[0] in ranges and graph.is_float(node.output[0]):
            weight = state.tamed.get(node.input[1], graph.array(node.input[1]))
            rounded = round_weight(weight, graph.output_axis(node), levels)
            names = _add_shadow(graph, model, node, ranges[node.input[0]], rounded)
            rows.append((layer, *names))
    sums = dict.fromkeys([name for _, *names in rows for name in names], 0.0)
    for values in run(model, list(sums), images):
        for name, value in values.items():
            sums[name] += float(value.sum())
    found: dict[str, float] = {}
    for layer, error, energy in rows:
        relative = sums[error] / sums[energy] if sums[energy] else 0.0
        found[layer] = max(found.get(layer, 0.0), relative)
    return dict(sorted(found.items(), key=lambda row: -row[1]))


def _add_shadow(
    graph: Graph, model: Any, node: Any, span: Range, weight: np.ndarray
) -> tuple[str, str]:
    """Adds a layer's rounded twin; the names of its squared error and of the output's square."""
    onnx = graph.onnx
    name = f'{node.name}/rounded'
    scale = step(span)
    constants = {
        'scale': np.array(scale, np.float32),
        'zero': np.array(np.clip(round(-span[0] / scale), 0, LEVELS), np.uint8),
        'weight': weight,
    }
    for key, value in constants.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, f'{name}/{key}'))
    grid = [f'{name}/scale', f'{name}/zero']
    twin = copy.deepcopy(node)
    twin.name = name
    twin.input[0], twin.input[1], twin.output[0] = f'{name}/x', f'{name}/weight', f'{name}/y'
    make = onnx.helper.make_node
    model.graph.node.extend(
        [
            make('QuantizeLinear', [node.input[0], *grid], [f'{name}/integer']),
            make('DequantizeLinear', [f'{name}/integer', *grid], [f'{name}/x']),
            twin,
            make('Sub', [f'{name}/y', node.output[0]], [f'{name}/error']),
            make('Mul', [f'{name}/error', f'{name}/error'], [f'{name}/square']),
            make('ReduceSum', [f'{name}/square'], [f'{name}/total'], keepdims=0),
        ]
    )
    return f'{name}/total', _add_reduction(graph, model, 'ReduceSumSquare', node.output[0])


def step(span: Range) -> float:
    """The distance of two of the 256 values between the ends of a range with zero in it."""
    return max((max(span[1], 0.0) - min(span[0], 0.0)) / LEVELS, 1e-12)


def round_weight(weight: np.ndarray, axis: int, levels: int) -> np.ndarray:
    """Weights after a round trip through integers, with a scale for each row along an axis."""
    others = tuple(number for number in range(weight.ndim) if number != axis)
    scale = np.maximum(np.abs(weight).max(others, keepdims=True) / levels, 1e-30)
    return (np.round(weight / scale) * scale).astype(weight.dtype)
