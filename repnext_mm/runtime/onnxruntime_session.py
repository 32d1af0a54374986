"""ONNX in ONNX Runtime."""

from typing import Any

import numpy as np

from repnext_mm.compat import require_extra
from repnext_mm.runtime.devices import check_providers, providers_for
from repnext_mm.runtime.session import Session, named_errors, read_spec


class OnnxRuntimeSession(Session):
    """ONNX in ONNX Runtime, by default on the CPU.

    Args:
        source: The file.
        **options: ``device`` (``'cpu'``, ``'cuda'``, ``'cuda:N'``), and those of
            ``InferenceSession``, such as ``providers`` or ``sess_options``, with which a session
            cannot be pickled.
    """

    native = ('session',)

    def open(self) -> None:
        runtime = require_extra('onnxruntime', 'onnx', f'running {self.source}')
        settings = runtime.SessionOptions()
        # Its threads would spin on after a run and slow down what is computed then, such as masks.
        settings.add_session_config_entry('session.force_spinning_stop', '1')
        device = self.options.get('device', 'cpu')
        providers = providers_for(device, runtime)
        given = {name: value for name, value in self.options.items() if name != 'device'}
        chosen = dict(providers=providers, sess_options=settings) | given
        source = self.source
        with named_errors(source):
            content = source.content if source.path is None else str(source.place)
            self.session = runtime.InferenceSession(content, **chosen)
            check_providers(device, self.session)
        self.spec = read_spec(self.session.get_modelmeta().custom_metadata_map, source)
        self.output_names = [output.name for output in self.session.get_outputs()]
        self.input_name = self.session.get_inputs()[0].name

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        outputs: list[Any] = self.session.run(None, {self.input_name: images})
        return dict(zip(self.output_names, outputs, strict=True))
