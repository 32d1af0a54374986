"""ONNX in OpenCV's dnn module."""

import threading

import numpy as np

from repnext_mm.compat import require_extra
from repnext_mm.runtime.images import image_module
from repnext_mm.runtime.session import Session, named_errors, read_spec


class OpenCvSession(Session):
    """ONNX in OpenCV's dnn module, on the CPU: files for one size of images, without NMS.

    A network of OpenCV keeps its input, so runs take turns. The contract of the file is read with
    the package onnx, for OpenCV does not give metadata.

    Args:
        source: The file; it takes no options.
    """

    def open(self) -> None:
        source = self.source
        onnx = require_extra('onnx', 'onnx', f'running {source} in OpenCV')
        cv2 = image_module('cv2')
        content = source.place.read_bytes() if source.path is not None else source.content or b''
        with named_errors(source):
            model = onnx.load_from_string(content)
        self.spec = read_spec({row.key: row.value for row in model.metadata_props}, source)
        self.output_names = self.spec.outputs
        self.input_name = model.graph.input[0].name
        self.turn = threading.Lock()
        if self.spec.input.static_shape is None:
            raise ValueError(
                f'{source} takes images of any size, and OpenCV needs the sizes of all tensors: '
                'export with static=True'
            )
        with named_errors(source):
            self.network = cv2.dnn.readNetFromONNX(np.frombuffer(content, np.uint8))

    def wake(self) -> None:
        """Goes on with one thread: those of OpenCV's pool stay behind in a fork."""
        image_module('cv2').setNumThreads(1)
        self.open()

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        with self.turn:
            self.network.setInput(images.astype(np.float32), self.input_name)
            outputs = self.network.forward(list(self.output_names))
            return {
                name: np.array(value)
                for name, value in zip(self.output_names, outputs, strict=True)
            }
