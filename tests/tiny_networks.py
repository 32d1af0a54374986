"""Exported files of a few operators, whose answers a test can tell in advance.

What is in a picture follows from its colours: see each function.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from repnext_mm.runtime.size_rules import SizeRule
from repnext_mm.runtime.spec import KEY, FileSpec, InputSpec

CHANNELS = ('red', 'green', 'blue')
BOXES = np.array([[2, 3, 20, 15], [10, 4, 30, 28], [0, 0, 40, 30]], np.float32)
CERTAINTIES = np.array([1.0, 0.7, 0.3], np.float32)
"""Of a white picture; others are as much less certain as they are darker."""


def write_network(
    path: Path,
    task: str,
    nodes: list[onnx.NodeProto],
    outputs: dict[str, int],
    constants: dict[str, np.ndarray],
    classes: tuple[str, ...],
    resize: tuple[SizeRule, ...] | None = None,
    static_shape: tuple[int, int] | None = None,
    **details: Any,
) -> Path:
    """Writes an ONNX file with the exporter's metadata.

    Args:
        path: File.
        task: Of its reader.
        nodes: From ``images`` on.
        outputs: Types of values by name.
        constants: Arrays by name.
        classes: Names.
        resize: Rules for the size of images.
        static_shape: The only height and width.
        **details: Of the task.
    """
    images = helper.make_tensor_value_info('images', TensorProto.UINT8, ['N', 'H', 'W', 3])
    ends = [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()]
    arrays = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    as_float = helper.make_node('Cast', ['images'], ['floats'], to=TensorProto.FLOAT)
    graph = helper.make_graph([as_float, *nodes], task, [images], ends, arrays)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    spec = FileSpec(
        task=task,
        part='model',
        form='fused',
        precision='float32',
        outputs=tuple(outputs),
        input=InputSpec(mean=(100.0, 50.0, 20.0), std=(1.0,), static_shape=static_shape),
        classes=classes,
        resize=resize,
        opset=17,
        details=details,
    )
    helper.set_model_props(model, {KEY: spec.to_text()})
    onnx.save(model, path)
    return path


def tiny_detector(path: Path, **options: Any) -> Path:
    """Finds three objects in every picture, the more certain the brighter it is; masks are discs."""
    rows, columns = np.mgrid[:14, :14] - 6.5
    disc = (1 / (1 + np.exp(np.hypot(rows, columns) - 5.7))).astype(np.float32)
    constants = dict(
        all_boxes=BOXES,
        certainties=CERTAINTIES,
        all_labels=np.array([0, 1, 0], np.int64),
        discs=np.stack([disc] * 3),
        white=np.array(255, np.float32),
    )
    nodes = [
        helper.make_node('ReduceMean', ['floats'], ['mean'], keepdims=0),
        helper.make_node('Div', ['mean', 'white'], ['brightness']),
        helper.make_node('Mul', ['certainties', 'brightness'], ['scores']),
        helper.make_node('Identity', ['all_boxes'], ['boxes']),
        helper.make_node('Identity', ['all_labels'], ['labels']),
        helper.make_node('Identity', ['discs'], ['masks']),
    ]
    kinds = dict(boxes=TensorProto.FLOAT, scores=TensorProto.FLOAT, labels=TensorProto.INT64)
    return write_network(
        path,
        'detection',
        nodes,
        {**kinds, 'masks': TensorProto.FLOAT},
        constants,
        ('round', 'square'),
        score_threshold=0.05,
        mask_threshold=0.5,
        **options,
    )


def tiny_segmentor(path: Path, **options: Any) -> Path:
    """Finds for each pixel which of its channels is the brightest."""
    nodes = [helper.make_node('Transpose', ['floats'], ['logits'], perm=[0, 3, 1, 2])]
    return write_network(
        path,
        'segmentation',
        nodes,
        dict(logits=TensorProto.FLOAT),
        {},
        CHANNELS,
        **(dict(align_corners=False, argmax=False, window=None) | options),
    )


def tiny_classifier(path: Path, **options: Any) -> Path:
    """Finds which channel is the brightest on the whole."""
    nodes = [
        helper.make_node('ReduceMean', ['floats'], ['means'], axes=[1, 2], keepdims=0),
        helper.make_node('Div', ['means', 'scale'], ['scaled']),
        helper.make_node('Softmax', ['scaled'], ['scores'], axis=1),
    ]
    scale = dict(scale=np.array(50, np.float32))
    outputs = dict(scores=TensorProto.FLOAT)
    return write_network(path, 'classification', nodes, outputs, scale, CHANNELS, **options)
