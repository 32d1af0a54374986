"""Exported ONNX files as the quantization reads them: constants folded, one bias for each layer."""

from __future__ import annotations

import copy
import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from repnext_mm.compat import require_extra

if TYPE_CHECKING:
    from onnx import ModelProto

LAYER_OPERATORS = ('Conv', 'ConvTranspose', 'Gemm', 'MatMul')
"""Operators with weights that are worth quantizing."""

PURPOSE = 'quantizing an exported file'


def simplify(path: Path) -> ModelProto:
    """Reads a file, folds constants and unused steps, and infers types.

    Symbolic shapes are left out: that part of ONNX Runtime's tools stops at operators whose
    outputs have as many entries as there are detections.

    Args:
        path: The ONNX file; it is only read.

    Returns:
        The simplified model, with the opset and the metadata of the file; layers that shared a
        bias have one each.

    Raises:
        ImportError: If onnx or onnxruntime is missing.
        ValueError: If the weights take more than 2 GB.
    """
    onnx = require_extra('onnx', 'onnx', PURPOSE)
    require_extra('onnxruntime', 'onnx', PURPOSE)
    from onnxruntime.quantization.shape_inference import quant_pre_process

    source = onnx.load(str(path))  # with weights that lie beside it
    with tempfile.TemporaryDirectory() as folder:
        whole, target = Path(folder) / 'whole.onnx', Path(folder) / 'simplified.onnx'
        if source.ByteSize() > onnx.checker.MAXIMUM_PROTOBUF:
            raise ValueError(f'{path} has weights of more than 2 GB, which are not quantized')
        onnx.save(source, str(whole))
        level = logging.root.level
        try:
            logging.root.setLevel(logging.ERROR)
            quant_pre_process(str(whole), str(target), skip_symbolic_shape=True)
        finally:
            logging.root.setLevel(level)
        model = onnx.load(str(target))
    del model.opset_import[:]  # ONNX Runtime names all that it knows
    model.opset_import.extend(source.opset_import)
    del model.metadata_props[:]
    model.metadata_props.extend(source.metadata_props)
    _separate_biases(model)
    return model


def _separate_biases(model: ModelProto) -> None:
    """Gives layers that share a bias one each: in 8 bits it has the scale of the layer's input."""
    constants = {entry.name: entry for entry in model.graph.initializer}
    seen: set[str] = set()
    for node in model.graph.node:
        biased = node.op_type in LAYER_OPERATORS and len(node.input) > 2
        if not biased or node.input[2] not in constants:
            continue
        name = node.input[2]
        if name in seen:
            own = copy.deepcopy(constants[name])
            own.name = f'{name}/{node.name}'
            model.graph.initializer.append(own)
            node.input[2] = own.name
        seen.add(name)
