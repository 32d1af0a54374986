"""Exported files, opened in the runtime that reads them."""

import functools
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from repnext_mm.compat import require_extra, require_openvino
from repnext_mm.runtime.pairs import check_weights
from repnext_mm.runtime.programs import check_program
from repnext_mm.runtime.spec import KEY, FileSpec


class Session(ABC):
    """An exported file, ready to run.

    Args:
        path: The file.
        **options: Of the runtime.

    Attributes:
        path: The file.
        spec: The contract that the exporter wrote into the file.
        output_names: Names of the outputs, in order.
    """

    can_run_code: ClassVar[bool] = False
    """Whether opening a file can run code from it, so that it must be trusted."""

    path: Path
    spec: FileSpec
    output_names: Sequence[str]

    @abstractmethod
    def __init__(self, path: Path, **options: Any): ...

    @property
    def metadata(self) -> dict[str, Any]:
        """The contract as the plain values that stand in the file."""
        return self.spec.to_json()

    @abstractmethod
    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Runs a batch ``(N, H, W, 3)`` uint8, RGB; the outputs by name."""

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Checks the input and runs it.

        Raises:
            ValueError: If it is not what the file takes; the message says what is.
        """
        static, batch = self.spec.input.static_shape, self.spec.input.batch
        fits = (
            images.ndim == 4
            and images.dtype == np.uint8
            and images.shape[3] == 3
            and min(images.shape) > 0
            and (batch is None or images.shape[0] == batch)
            and (static is None or images.shape[1:3] == static)
        )
        if not fits:
            height, width = static or ('H', 'W')
            raise ValueError(
                f'this file takes uint8 RGB images of shape ({batch or "N"}, {height}, {width}, 3), '
                f'got {images.dtype} of shape {images.shape}'
            )
        return self.run(np.ascontiguousarray(images))


class OnnxRuntimeSession(Session):
    """ONNX in ONNX Runtime, by default on the CPU.

    Args:
        path: The file.
        **options: Of ``InferenceSession``, such as ``providers=['CUDAExecutionProvider']`` or
            ``sess_options``.
    """

    def __init__(self, path: Path, **options: Any):
        runtime = require_extra('onnxruntime', 'onnx', f'running {path}')
        settings = runtime.SessionOptions()
        # Its threads would spin on after a run and slow down what is computed then, such as masks.
        settings.add_session_config_entry('session.force_spinning_stop', '1')
        chosen = dict(providers=['CPUExecutionProvider'], sess_options=settings) | options
        self.path = path
        with _named_errors(path):
            self.session = runtime.InferenceSession(str(path), **chosen)
        self.spec = read_spec(self.session.get_modelmeta().custom_metadata_map, path)
        self.output_names = [output.name for output in self.session.get_outputs()]
        self.input_name = self.session.get_inputs()[0].name

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        outputs = self.session.run(None, {self.input_name: images})
        return dict(zip(self.output_names, outputs, strict=True))


class OpenVinoSession(Session):
    """OpenVINO IR, or ONNX in OpenVINO, by default on the CPU and in float32 where it is not INT8.

    Args:
        path: The file.
        **options: Of ``Core.compile_model``: ``device_name``, and ``config`` over the defaults.
    """

    def __init__(self, path: Path, **options: Any):
        openvino = require_openvino(f'running {path}')
        core = _openvino_core(openvino)
        self.path = path
        if path.suffix == '.xml':
            check_weights(path)  # before OpenVINO reads weights of another graph
        with _named_errors(path):
            model = core.read_model(str(path))
        self.spec = read_spec(_openvino_entries(model), path)
        # Without the hint, processors with bfloat16 units compute in that.
        hints = {'PERFORMANCE_HINT': 'LATENCY', 'INFERENCE_PRECISION_HINT': 'f32'}
        chosen = dict(device_name='CPU') | options | dict(config=hints | options.get('config', {}))
        self.compiled = core.compile_model(model, **chosen)
        self.output_names = self.spec.outputs  # OpenVINO may know them by inner names

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        outputs = self.compiled([images]).to_tuple()
        return {
            name: np.array(value) for name, value in zip(self.output_names, outputs, strict=True)
        }


class ExportedProgramSession(Session):
    """A program of ``torch.export`` in torch, on the CPU.

    Opening one can run code from it: see :mod:`repnext_mm.runtime.programs`.
    """

    can_run_code = True

    def __init__(self, path: Path):
        import torch
        import torchvision  # noqa: F401 (registers the operators that the program calls)

        check_program(path)
        entries = {KEY: ''}
        self.path = path
        with _named_errors(path), warnings.catch_warnings():
            warnings.simplefilter('ignore')  # torch reads buffers that it does not write
            self.module = torch.export.load(str(path), extra_files=entries).module()
        self.spec = read_spec(entries, path)
        self.output_names = self.spec.outputs

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        try:
            return _run_torch(self.module, images, self.output_names)
        except AssertionError as error:
            raise ValueError(
                f'torch.export made this program for images of other sizes than {images.shape} '
                f'({error}): feature maps of one pixel stay so, and others never become so'
            ) from error


SESSIONS: dict[str, dict[str, type[Session]]] = {
    '.onnx': {'onnxruntime': OnnxRuntimeSession, 'openvino': OpenVinoSession},
    '.xml': {'openvino': OpenVinoSession},
    '.pt2': {'torch': ExportedProgramSession},
}
"""For each ending of a file the runtimes that read it, the default one first."""


def open_session(
    path: str | Path, runtime: str | None = None, *, trust: bool = False, **options: Any
) -> Session:
    """Opens an exported file.

    Args:
        path: Ends in one of :data:`SESSIONS`.
        runtime: One of those that read such files; None for the first of them.
        trust: Open a file that can run code, a program of ``torch.export``. ONNX and OpenVINO's
            files are data and need no trust.
        **options: Of ONNX Runtime's ``InferenceSession`` or OpenVINO's ``compile_model``; both
            use the CPU by default.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If the runtime is not installed; the message names what to install.
        ValueError: If the ending or the runtime is unknown, the file is not of this exporter, its
            runtime cannot open it, or it can run code and is not trusted.
    """
    path = Path(path)
    if path.suffix not in SESSIONS:
        raise ValueError(f'{path} is no exported file: those end in {tuple(SESSIONS)}')
    if not path.is_file():
        raise FileNotFoundError(f'there is no exported file {path}: tools/export.py writes them')
    runtimes = SESSIONS[path.suffix]
    if runtime is not None and runtime not in runtimes:
        raise ValueError(
            f'unknown runtime {runtime!r} for {path.suffix}: choose from {tuple(runtimes)}'
        )
    session = runtimes[runtime or next(iter(runtimes))]
    if session.can_run_code and not trust:
        raise ValueError(
            f'{path} was not opened: a {path.suffix} file can run code when it is opened, and not '
            'everything in it can be checked. If you know who made it, say so with trust=True; ONNX and '
            'OpenVINO files are data and need no trust'
        )
    return session(path, **options)


def can_run_code(path: str | Path) -> bool:
    """Whether opening a file of this name can run code from it, so that it must be trusted."""
    return any(session.can_run_code for session in SESSIONS.get(Path(path).suffix, {}).values())


def read_spec(entries: Mapping[str, Any], path: Path) -> FileSpec:
    """The exporter's entry among the metadata of a file.

    Args:
        entries: Texts (or bytes) by name.
        path: The file, for the error messages.

    Raises:
        ValueError: If it is missing, damaged, or of a newer version.
    """
    text = entries.get(KEY)
    if not text:
        raise ValueError(
            f'{path} has no metadata {KEY!r}, so it was not written by tools/export.py: '
            'export the model with it'
        )
    try:
        return FileSpec.from_text(text)
    except ValueError as error:
        raise ValueError(f'{path} cannot be read: {error}') from error


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """Names the file in what a runtime raises, each in its own classes."""
    try:
        yield
    except Exception as error:
        raise ValueError(f'{path} cannot be opened: {error}') from error


@functools.cache
def _openvino_core(openvino: Any) -> Any:
    """The only core of this process.

    Each core puts a stack for signal handlers in place, and the one before back when it goes. Of
    two that go in the order in which they came, the second puts back what the first has freed,
    and the next signal, a data loader's worker that ends for instance, kills the process (seen
    with OpenVINO 2026.4).
    """
    return openvino.Core()


def _openvino_entries(model: Any) -> dict[str, Any]:
    """Entries of an IR of ours, or of ONNX, which OpenVINO puts below ``framework``."""
    for place in ([KEY], ['framework', KEY]):
        if model.has_rt_info(place):
            return {KEY: model.get_rt_info(place).astype(str)}
    return {}


def _run_torch(module: Any, images: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
    import torch

    with torch.inference_mode():
        outputs = module(torch.from_numpy(images))
    outputs = outputs if isinstance(outputs, tuple | list) else [outputs]
    return {name: value.numpy() for name, value in zip(names, outputs, strict=True)}
