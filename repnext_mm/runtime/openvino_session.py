"""OpenVINO's files, and ONNX, in OpenVINO."""

import functools
import os
from collections import deque
from typing import Any

import numpy as np

from repnext_mm.compat import require_openvino
from repnext_mm.runtime.pairs import check_weights
from repnext_mm.runtime.session import Session, named_errors, read_spec
from repnext_mm.runtime.spec import KEY


class OpenVinoSession(Session):
    """OpenVINO IR, or ONNX in OpenVINO, by default on the CPU and in float32 where it is not INT8.

    Each run has an infer request of its own: one that two threads share is busy, or gives one of
    them what belongs to the other.

    Args:
        source: The file.
        **options: Of ``Core.compile_model``: ``device_name``, and ``config`` over the defaults.
    """

    native = ('core', 'compiled', 'idle')

    def open(self) -> None:
        openvino = require_openvino(f'running {self.source}')
        self.core, source = openvino_core(openvino), self.source
        if source.suffix == '.xml':
            check_weights(source.place)  # before OpenVINO reads weights of another graph
        with named_errors(source):
            model = self.core.read_model(
                source.content if source.path is None else str(source.place)
            )
        self.spec = read_spec(_entries(model), source)
        # Without the hint, processors with bfloat16 units compute in that.
        hints = {'PERFORMANCE_HINT': 'LATENCY', 'INFERENCE_PRECISION_HINT': 'f32'}
        options = self.options
        chosen = dict(device_name='CPU') | options | dict(config=hints | options.get('config', {}))
        self.compiled = self.core.compile_model(model, **chosen)
        self.idle: deque[Any] = deque()
        self.output_names = self.spec.outputs  # OpenVINO may know them by inner names

    def wake(self) -> None:
        refuse_fork()

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        try:
            request = self.idle.pop()
        except IndexError:
            request = self.compiled.create_infer_request()
        outputs = request.infer([images]).to_tuple()
        found = {
            name: np.array(value) for name, value in zip(self.output_names, outputs, strict=True)
        }
        self.idle.append(request)
        return found


@functools.cache
def _core(openvino: Any) -> tuple[Any, int]:
    """The only core of this process, and the process's number.

    Each core puts a stack for signal handlers in place, and the one before back when it goes. Of
    two that go in the order in which they came, the second puts back what the first has freed,
    and the next signal, a data loader's worker that ends for instance, kills the process (seen
    with OpenVINO 2026.4).
    """
    return openvino.Core(), os.getpid()


def openvino_core(openvino: Any) -> Any:
    """The core of this process.

    Raises:
        RuntimeError: If the process was forked from one that had it.
    """
    core, process = _core(openvino)
    if process != os.getpid():
        refuse_fork()
    return core


def refuse_fork() -> None:
    """Says what to do where OpenVINO's threads have stayed behind in a fork.

    Raises:
        RuntimeError: Always: of processes that were forked while other threads ran networks, 11 of
            12 waited for ever at their first run (OpenVINO 2026.4).
    """
    raise RuntimeError(
        'this process was forked from one that had opened a file in OpenVINO, whose threads do not '
        "follow: start workers with the method 'spawn' or 'forkserver', as in "
        "multiprocessing.get_context('spawn') and DataLoader(multiprocessing_context='spawn'), or "
        "open files in the workers alone, or use runtime='onnxruntime'"
    )


def _entries(model: Any) -> dict[str, Any]:
    """Entries of an IR of ours, or of ONNX, which OpenVINO puts below ``framework``."""
    for place in ([KEY], ['framework', KEY]):
        if model.has_rt_info(place):
            return {KEY: model.get_rt_info(place).astype(str)}
    return {}
