"""Exported ONNX files in 8 bits: post-training quantization, and which layers to spare.

ONNX Runtime's tools insert the quantization; this module decides where. Only layers with
weights and what lies between two of them is quantized: boxes, indices, sizes and pooling
matrices stay as they are.

A batch norm that stands before a convolution is merged into the weights behind it. Channels
that are hardly ever active have a tiny variance there, so their weights become hundreds of
times larger than all others. In float that cancels; in 8 bits the scale of the whole row
follows them, and rounding errors of the input are multiplied by them. Two steps repair that
before anything is rounded: :func:`equalize`, where it helps, and :func:`tame`.
"""

import copy
import itertools
import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from repnext_mm.files import check_place, replaced_together
from repnext_mm.quantization.calibration import METHODS, Calibration, calibrate, layer_errors
from repnext_mm.quantization.equalization import equalize
from repnext_mm.quantization.graph import Graph
from repnext_mm.runtime.sessions import open_session
from repnext_mm.runtime.spec import KEY as METADATA

FEW = 8
"""Images on which layers are compared."""

LARGEST = {True: 64, False: 127}
"""Of a weight, with and without reduced range."""


class Quantizer:
    """Writes 8-bit versions of an exported file, for which it is calibrated once.

    Weights are int8, symmetric, with a scale for each output channel. Activations are uint8
    with a zero point, because x86 multiplies unsigned by signed bytes. Processors without
    VNNI add two of these products in 16 bits, which overflow with weights above 64; with
    ``reduce_range`` there are none, so that the file computes the same everywhere.

    Args:
        source: Float file of ``tools/export.py``; it is only read.
        images: ``(H, W, 3)`` uint8, RGB, of the network's size; gone through several times.
        method: Of :data:`METHODS`.
        reduce_range: Weights of 7 bits.
        repair: Limit weights of channels that 8 bits cannot show, and even out the channels if
            that makes the sum of the layers' errors smaller. Without it this is what ONNX
            Runtime's tools do by themselves.

    Attributes:
        layers: The names of all layers with weights, as in the model in torch.
        spared: Those that stay in float in any case: what no image reached, because nothing was
            detected, and depthwise layers with several outputs for each input, the mixers of
            the plain form, which ONNX Runtime computes slower in 8 bits than in float.
        equalized: Whether the channels were evened out.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If onnx or onnxruntime is missing.
        ValueError: If the file cannot be quantized, an image does not fit, or there is none.
    """

    def __init__(
        self,
        source: str | Path,
        images: Iterable[np.ndarray],
        method: str = 'minmax',
        reduce_range: bool = True,
        repair: bool = True,
    ):
        self.source = Path(source)
        if method not in METHODS:
            raise ValueError(f'unknown method {method!r}: choose from {METHODS}')
        self.metadata = read_metadata(self.source)
        self.method, self.reduce_range = method, reduce_range
        images = list(images) if iter(images) is images else images
        few = list(itertools.islice(images, FEW))
        check_images(few, self.metadata, self.source)
        self.state = calibrate(Graph(self.source), images, method)
        self.equalized = False
        if not repair:
            self.state = self.state._replace(tamed={})
        else:
            graph = Graph(self.source)
            equalize(graph, {name: row.magnitudes for name, row in self.state.channels.items()})
            state = calibrate(graph, images, method)
            if self._total(state, few) < self._total(self.state, few):
                self.state, self.equalized = state, True
        self.graph = self.state.graph
        self.layers = list(dict.fromkeys(self.graph.layers.values()))
        self.spared = list(
            dict.fromkeys((*self.state.unreached(), *self.graph.multiplying_layers()))
        )

    def _total(self, state: Calibration, images: Iterable[np.ndarray]) -> float:
        return sum(layer_errors(state, images, LARGEST[self.reduce_range]).values())

    def errors(self, images: Iterable[np.ndarray]) -> dict[str, float]:
        """What 8 bits do to each layer alone: squared error over the output's square, worst first."""
        return layer_errors(self.state, images, LARGEST[self.reduce_range])

    def write(self, target: str | Path, keep_float: Collection[str] = ()) -> list[str]:
        """Writes a quantized file.

        Args:
            target: Ends in ``.onnx``.
            keep_float: Names of layers, or of parts of the network, such as
                ``'backbone.stages.3'``, whose layers are meant.

        Returns:
            The names of the layers that are in 8 bits.

        Raises:
            ValueError: If a name is unknown, or the target is the source or no ``.onnx``.
        """
        target = Path(target)
        check_target(self.source, target)
        spared = [*self.named(keep_float), *self.spared]
        model = self._quantized(spared)
        entry = next(entry for entry in model.metadata_props if entry.key == METADATA)
        entry.value = json.dumps(self.metadata | self._description(spared))
        onnx = self.graph.onnx
        onnx.checker.check_model(model)
        with replaced_together(target) as draft:
            onnx.save(model, str(draft))
            open_session(draft)  # a file that does not open is not kept
        return [layer for layer in self.layers if layer not in spared]

    def named(self, names: Collection[str]) -> list[str]:
        """The layers with these names, or in the parts with these names.

        Raises:
            ValueError: If there is none.
        """
        found: dict[str, None] = {}
        for name in names:
            chosen = [row for row in self.layers if row == name or row.startswith(f'{name}.')]
            if not chosen:
                raise ValueError(f'there is no layer {name!r}: the layers are {self.layers}')
            found |= dict.fromkeys(chosen)
        return list(found)

    def _description(self, spared: Collection[str]) -> dict[str, Any]:
        import onnxruntime

        details = dict(
            method=self.method,
            images=self.state.images,
            keep_float=sorted(set(spared)),
            weights='int8, symmetric, per output channel',
            activations='uint8',
            reduce_range=self.reduce_range,
            equalized=self.equalized,
            limited_weights=sorted(self.state.tamed),
            onnxruntime=onnxruntime.__version__,
        )
        return dict(precision='int8', quantization=details)

    def _quantized(self, spared: Collection[str]) -> Any:
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

        nodes = self.graph.chosen(spared)
        nodes = [n for n in nodes if set(self.graph.tensors([n])) <= set(self.state.ranges)]
        model = copy.deepcopy(self.graph.model)
        producer = model.producer_name
        self._put_weights(model, set(nodes))
        ranges = {
            name: TensorData(lowest=np.float32(low), highest=np.float32(high))
            for name, (low, high) in self.state.ranges.items()
        }
        quantizer = QDQQuantizer(
            model,
            per_channel=True,
            reduce_range=self.reduce_range,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=TensorsData(CalibrationMethod.MinMax, ranges),
            nodes_to_quantize=nodes,
            nodes_to_exclude=[],
            op_types_to_quantize=sorted({self.graph.by_name[name].op_type for name in nodes}),
            extra_options=dict(WeightSymmetric=True, ActivationSymmetric=False),
        )
        quantizer.quantize_model()
        quantizer.model.topological_sort()
        result = quantizer.model.model
        result.producer_name = producer
        self._give_exact_inputs(result, set(nodes))
        return result

    def _put_weights(self, model: Any, nodes: Collection[str]) -> None:
        chosen = {self.graph.by_name[name].input[1] for name in nodes if name in self.graph.layers}
        for entry in model.graph.initializer:
            if entry.name in chosen and entry.name in self.state.tamed:
                values = self.state.tamed[entry.name]
                entry.CopyFrom(self.graph.onnx.numpy_helper.from_array(values, entry.name))

    def _give_exact_inputs(self, model: Any, nodes: Collection[str]) -> None:
        """Lets float layers read what was computed, not the rounded copy for their neighbours."""
        for node in model.graph.node:
            exact = node.name in self.graph.layers or node.op_type == 'Relu'
            if exact and node.name not in nodes:
                node.input[0] = self.graph.by_name[node.name].input[0]
        while True:
            used = {name for node in model.graph.node for name in node.input}
            used |= {output.name for output in model.graph.output}
            idle = [
                node
                for node in model.graph.node
                if node.op_type in ('QuantizeLinear', 'DequantizeLinear')
                and not used & set(node.output)
            ]
            if not idle:
                break
            for node in idle:
                model.graph.node.remove(node)
        for entry in [row for row in model.graph.initializer if row.name not in used]:
            model.graph.initializer.remove(entry)


def quantize_file(
    source: str | Path,
    target: str | Path,
    images: Iterable[np.ndarray],
    keep_float: Collection[str] = (),
    method: str = 'minmax',
) -> list[str]:
    """Writes an 8-bit version of an exported file.

    Args:
        source: Float ONNX file of ``tools/export.py``; it is only read.
        target: File to write.
        images: ``(H, W, 3)`` uint8, RGB, of the network's size, for calibration.
        keep_float: Names of layers, or of parts of the network, that stay in float.
        method: How the ranges of activations are chosen, of :data:`METHODS`.

    Returns:
        The names of the layers that are in 8 bits.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If onnx or onnxruntime is missing.
        ValueError: If the file cannot be quantized, a name is unknown, or an image does not fit.
    """
    return Quantizer(source, images, method).write(target, keep_float)


def check_target(source: str | Path, target: str | Path) -> None:
    """Makes sure that a quantized file may be written there.

    Raises:
        OSError: If the place is taken (:func:`~repnext_mm.files.check_place`).
        ValueError: If that is the source, or no ``.onnx``.
    """
    check_place(target)
    if Path(target).suffix != '.onnx' or Path(target).resolve() == Path(source).resolve():
        raise ValueError(f'the quantized file must be another .onnx file, got {target}')


def read_metadata(source: Path) -> dict[str, Any]:
    """The metadata of a file that can be quantized.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a float32 ONNX file of this exporter.
    """
    if source.suffix != '.onnx':
        raise ValueError(f'only ONNX files are quantized, got {source}: export to model.onnx')
    metadata = open_session(source).metadata
    precision = metadata['precision']
    if precision == 'int8':
        raise ValueError(f'{source} is quantized already: start from the float file')
    if precision != 'float32':
        raise ValueError(f'{source} is in {precision}: export it without --half')
    return metadata


def check_images(images: Iterable[Any], metadata: dict[str, Any], source: Path) -> None:
    """Makes sure that images are what a file takes.

    Raises:
        ValueError: The message says what is.
    """
    static = metadata['input'].get('static_shape')
    for image in images:
        shape, dtype = np.shape(image), getattr(image, 'dtype', None)
        if dtype != np.uint8 or len(shape) != 3 or shape[2] != 3:
            raise ValueError(
                'calibration takes RGB images of shape (H, W, 3) in uint8, got '
                f'{dtype} of shape {shape}'
            )
        if static is not None and list(shape[:2]) != list(static):
            raise ValueError(
                f'{source} takes only images of {static[0]} x {static[1]} pixels (height x '
                f'width), got {shape[0]} x {shape[1]}: prepare them with its reader'
            )
