"""The weights of one layer, whatever operator of ONNX it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from onnx import NodeProto


class LayerWeights:
    """The weights of a layer as rows, one for each output channel.

    Args:
        node: The layer; its channels are the second axis of input and output.
        array: Its weights, as ONNX has them.

    Attributes:
        rows: ``(outputs, inputs / groups, ...)``.
        inputs: Number of input channels.
        sources: ``(outputs, inputs / groups)``, the input channel that each entry of a row reads.
    """

    def __init__(self, node: NodeProto, array: np.ndarray):
        options = number_attributes(node)
        self.transposed = node.op_type == 'ConvTranspose' or (
            node.op_type == 'Gemm' and not options.get('transB', 0)
        )
        self.rows = np.swapaxes(array, 0, 1) if self.transposed else array
        groups = int(options.get('group', 1))
        per_group = self.rows.shape[1]
        group = np.arange(len(self.rows)) // (len(self.rows) // groups)
        self.inputs = per_group * groups
        self.sources = group[:, None] * per_group + np.arange(per_group)

    @property
    def one_input_each(self) -> bool:
        """Whether every row reads a single channel, as in depthwise convolutions."""
        return self.rows.shape[1] == 1

    @property
    def multiplies_channels(self) -> bool:
        """Whether this is a depthwise layer with several output channels for each input channel."""
        return self.one_input_each and len(self.rows) > self.inputs > 1

    def column_magnitudes(self) -> np.ndarray:
        """The largest magnitude of the weights that read each input channel, ``(inputs,)``."""
        magnitudes = self._magnitudes()
        found = np.zeros(self.inputs, magnitudes.dtype)
        np.maximum.at(found, self.sources, magnitudes)
        return found

    def scaled(self, inputs: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """The weights for inputs that were multiplied, and outputs that are to be.

        Args:
            inputs: ``(inputs,)``, the factor that each input channel has.
            outputs: ``(outputs,)``, the factor that each output channel gets.

        Returns:
            An array like that of the constructor: ``weights * outputs / inputs``.
        """
        factors = outputs[:, None] / inputs[self.sources]
        return self._as_onnx((self.rows * self._spread(factors)).astype(self.rows.dtype))

    def limited(self, negligible: np.ndarray) -> np.ndarray:
        """The weights with those of some input channels no larger than the others of their row.

        Args:
            negligible: ``(inputs,)`` bool, the channels that may not widen a row's range.

        Returns:
            An array like that of the constructor.
        """
        read = negligible[self.sources]
        largest = np.where(read, 0.0, self._magnitudes()).max(1)
        limits = np.where(read, largest[:, None], np.inf).astype(self.rows.dtype)
        return self._as_onnx(np.clip(self.rows, -self._spread(limits), self._spread(limits)))

    def _magnitudes(self) -> np.ndarray:
        """The largest magnitude of each row's entries for one input, ``(outputs, inputs / groups)``."""
        return np.abs(self.rows).reshape(*self.rows.shape[:2], -1).max(-1)

    def _spread(self, values: np.ndarray) -> np.ndarray:
        """Values ``(outputs, inputs / groups)`` with the axes of a kernel, to multiply rows with."""
        return values.reshape(*values.shape, *[1] * (self.rows.ndim - 2))

    def _as_onnx(self, rows: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(np.swapaxes(rows, 0, 1) if self.transposed else rows)


def number_attributes(node: NodeProto) -> dict[str, float]:
    """The attributes of a node that are single numbers, by name."""
    fields = {1: 'f', 2: 'i'}  # by AttributeProto.AttributeType
    return {a.name: getattr(a, fields[a.type]) for a in node.attribute if a.type in fields}
