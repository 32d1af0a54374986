"""ONNX in ONNX Runtime."""

from typing import Any

import numpy as np

from repnext_mm.compat import require_extra
from repnext_mm.runtime.session import Session, named_errors, read_spec


class OnnxRuntimeSession(Session):
    """ONNX in ONNX Runtime, by default on the CPU.

    Args:
        source: The file.
        **options: Of ``InferenceSession``, such as ``providers=['CUDAExecutionProvider']`` or
            ``sess_options``, with which a session cannot be pickled.
    """

    native = ('session',)

    def open(self) -> None:
        runtime = require_extra('onnxruntime', 'onnx', f'running {self.source}')
        settings = runtime.SessionOptions()
        # Its threads would spin on after a run and slow down what is computed then, such as masks.
        settings.add_session_config_entry('session.force_spinning_stop', '1')
        chosen = dict(providers=['CPUExecutionProvider'], sess_options=settings) | self.options
        source = self.source
        with named_errors(source):
            content = source.content if source.path is None else str(source.place)
            self.session = runtime.InferenceSession(content, **chosen)
        self.spec = read_spec(self.session.get_modelmeta().custom_metadata_map, source)
        self.output_names = [output.name for output in self.session.get_outputs()]
        self.input_name = self.session.get_inputs()[0].name

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        outputs: list[Any] = self.session.run(None, {self.input_name: images})
        return dict(zip(self.output_names, outputs, strict=True))
