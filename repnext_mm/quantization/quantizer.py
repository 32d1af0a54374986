"""Exported ONNX files in 8 bits: post-training quantization, and which layers stay in float.

Only layers with weights and the operators between two of them are quantized: boxes, indices,
sizes and pooling matrices stay as they are. Two steps repair weights before anything is
rounded: :func:`~repnext_mm.quantization.weight_limits.limited_weights`, and
:func:`~repnext_mm.quantization.equalization.equalize` where it helps.
"""

import itertools
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from repnext_mm.deprecation import renamed_argument, warn_of_old_name
from repnext_mm.files import replaced
from repnext_mm.quantization.calibration import METHODS, Calibration, calibrate
from repnext_mm.quantization.equalization import equalize
from repnext_mm.quantization.insertion import quantized_model
from repnext_mm.quantization.layer_errors import measure_layer_errors
from repnext_mm.quantization.onnx_network import OnnxNetwork
from repnext_mm.quantization.simplification import simplify
from repnext_mm.quantization.source_file import SourceFile, check_quantized_path
from repnext_mm.runtime.sessions import open_session
from repnext_mm.runtime.spec import KEY

COMPARED_IMAGES = 8
"""Number of calibration images on which the layers' errors are compared."""

LARGEST_INTEGER = {True: 64, False: 127}
"""Of a weight, with and without reduced range."""


class Quantizer:
    """Writes 8-bit versions of an exported file, for which it is calibrated once.

    Weights are int8, symmetric, with a scale for each output channel. Activations are uint8
    with a zero point, because x86 multiplies unsigned by signed bytes, or int8 without one for
    TensorRT. Processors without
    VNNI add two of these products in 16 bits, which overflow with weights above 64; with
    ``reduce_range`` there are none, so that the file computes the same everywhere.

    Args:
        source: Float file of ``tools/export.py``; it is only read.
        images: ``(H, W, 3)`` uint8, RGB, of the network's size; gone through several times.
        range_method: How the ranges of activations are chosen: ``'minmax'``, ``'entropy'`` or
            ``'percentile'``.
        reduce_range: Weights of 7 bits.
        repair: Limit weights of channels that 8 bits cannot show, and even out the channels if
            that makes the sum of the layers' errors smaller. Without it this is what ONNX
            Runtime's tools do by themselves.
        symmetric: Activations are int8 with zero point 0, weights have all 8 bits and stay in the
            file as floats that the graph rounds, and biases are floats: what TensorRT takes.

    Attributes:
        layers: The names of all layers with weights, as in the model in torch.
        always_float: Names of the layers that stay in float in any case: those that no image
            reached, because nothing was detected, and depthwise layers with several outputs for
            each input, the mixers of the plain form, which ONNX Runtime computes slower in 8 bits
            than in float.
        equalized: Whether the channels were evened out.
        calibration: The network and the ranges of its tensors.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If onnx or onnxruntime is missing.
        ValueError: If the file cannot be quantized, an image does not fit, or there is none.
    """

    @renamed_argument('method', 'range_method')
    def __init__(
        self,
        source: str | Path,
        images: Iterable[np.ndarray],
        range_method: str = 'minmax',
        reduce_range: bool = True,
        repair: bool = True,
        symmetric: bool = False,
    ):
        if range_method not in METHODS:
            raise ValueError(f'unknown range_method {range_method!r}: choose from {METHODS}')
        self.source = SourceFile(source)
        self.range_method, self.symmetric = range_method, symmetric
        self.reduce_range = reduce_range and not symmetric
        images = list(images) if iter(images) is images else images
        compared = list(itertools.islice(images, COMPARED_IMAGES))
        self.source.check_images(compared)
        network = OnnxNetwork(simplify(self.source.path))
        self.calibration = calibrate(network, images, range_method, symmetric)
        self.equalized = False
        if repair:
            evened = calibrate(
                equalize(network, self.calibration.magnitudes).network,
                images,
                range_method,
                symmetric,
            )
            if self._total_error(evened, compared) < self._total_error(self.calibration, compared):
                self.calibration, self.equalized = evened, True
        else:
            self.calibration = self.calibration._replace(limited_weights={})
        self.network = self.calibration.network
        self.layers = list(dict.fromkeys(self.network.layers.values()))
        unreached = self.calibration.unreached_layers()
        multiplying = self.network.channel_multiplying_layers()
        self.always_float = list(dict.fromkeys((*unreached, *multiplying)))

    def _total_error(self, calibration: Calibration, images: Iterable[np.ndarray]) -> float:
        largest = LARGEST_INTEGER[self.reduce_range]
        return sum(measure_layer_errors(calibration, images, largest).values())

    def layer_errors(self, images: Iterable[np.ndarray]) -> dict[str, float]:
        """The error that 8 bits cause in each layer alone.

        Args:
            images: ``(H, W, 3)`` uint8, RGB, of the network's size.

        Returns:
            By the name of the layer, the sum of its squared errors relative to the sum of its
            output's squares; the worst first.
        """
        return measure_layer_errors(self.calibration, images, LARGEST_INTEGER[self.reduce_range])

    def write(self, target: str | Path, keep_float: Collection[str] = ()) -> list[str]:
        """Writes a quantized file.

        Args:
            target: Ends in ``.onnx``.
            keep_float: Names of layers, or of parts of the network, such as
                ``'backbone.stages.3'``, whose layers are meant.

        Returns:
            The names of the layers that are in 8 bits.

        Raises:
            OSError: If the place of the target is taken.
            ValueError: If a name is unknown, or the target is the source or no ``.onnx``.
        """
        import onnx

        check_quantized_path(self.source.path, target)
        float_layers = [*self.find_layers(keep_float), *self.always_float]
        model = quantized_model(self.calibration, float_layers, self.reduce_range, self.symmetric)
        entry = next(entry for entry in model.metadata_props if entry.key == KEY)
        entry.value = self.source.quantized_spec(self._details(float_layers)).to_text()
        onnx.checker.check_model(model)
        with replaced(target) as draft:
            onnx.save(model, str(draft))
            open_session(draft)  # a file that does not open is not kept
        return [layer for layer in self.layers if layer not in float_layers]

    def find_layers(self, names: Collection[str]) -> list[str]:
        """The layers with these names, or in the parts of the network with these names.

        Raises:
            ValueError: If there is none; the message names all layers.
        """
        found: dict[str, None] = {}
        for name in names:
            matches = [row for row in self.layers if row == name or row.startswith(f'{name}.')]
            if not matches:
                raise ValueError(f'there is no layer {name!r}: the layers are {self.layers}')
            found |= dict.fromkeys(matches)
        return list(found)

    def _details(self, float_layers: Collection[str]) -> dict[str, Any]:
        """How a file is quantized, for its metadata."""
        import onnxruntime

        return dict(
            method=self.range_method,
            images=self.calibration.images,
            keep_float=sorted(set(float_layers)),
            weights='int8, symmetric, per output channel',
            activations='int8, symmetric' if self.symmetric else 'uint8',
            reduce_range=self.reduce_range,
            equalized=self.equalized,
            limited_weights=sorted(self.calibration.limited_weights),
            onnxruntime=onnxruntime.__version__,
        )

    def errors(self, images: Iterable[np.ndarray]) -> dict[str, float]:
        """The old name of :meth:`layer_errors`."""
        warn_of_old_name('Quantizer.errors', 'Quantizer.layer_errors')
        return self.layer_errors(images)

    def named(self, names: Collection[str]) -> list[str]:
        """The old name of :meth:`find_layers`."""
        warn_of_old_name('Quantizer.named', 'Quantizer.find_layers')
        return self.find_layers(names)

    @property
    def spared(self) -> list[str]:
        """The old name of ``always_float``."""
        warn_of_old_name('Quantizer.spared', 'Quantizer.always_float')
        return self.always_float


@renamed_argument('method', 'range_method')
def quantize_file(
    source: str | Path,
    target: str | Path,
    images: Iterable[np.ndarray],
    keep_float: Collection[str] = (),
    range_method: str = 'minmax',
) -> list[str]:
    """Writes an 8-bit version of an exported file.

    Args:
        source: Float ONNX file of ``tools/export.py``; it is only read.
        target: File to write.
        images: ``(H, W, 3)`` uint8, RGB, of the network's size, for calibration.
        keep_float: Names of layers, or of parts of the network, that stay in float.
        range_method: As for :class:`Quantizer`.

    Returns:
        The names of the layers that are in 8 bits.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If onnx or onnxruntime is missing.
        OSError: If the place of the target is taken.
        ValueError: If the file cannot be quantized, a name is unknown, or an image does not fit.
    """
    return Quantizer(source, images, range_method).write(target, keep_float)
