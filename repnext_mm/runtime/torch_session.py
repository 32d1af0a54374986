"""Programs of ``torch.export`` in torch."""

import io
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from repnext_mm.compat import require_extra
from repnext_mm.runtime.devices import torch_device
from repnext_mm.runtime.session import Session, named_errors, read_spec
from repnext_mm.runtime.source import ModelSource
from repnext_mm.runtime.spec import KEY


class ExportedProgramSession(Session):
    """A program of ``torch.export`` in torch, by default on the CPU.

    Opening one can run code from it: see :mod:`repnext_mm.runtime.programs`.

    Args:
        source: The file.
        **options: ``device``, such as ``'cuda'`` or ``'cuda:1'``: the program is moved there,
            whatever device it was made on.
    """

    can_run_code = True

    def open(self) -> None:
        for package in ('torch', 'torchvision'):  # which registers operators that programs call
            require_extra(package, 'torch', f'running {self.source}')
        import torch
        from torch.export.passes import move_to_device_pass

        from repnext_mm.runtime.programs import check_program

        self.device = torch_device(self.options.get('device', 'cpu'))
        source = self.source
        check_program(_file(source), str(source))
        entries = {KEY: ''}
        with named_errors(source), warnings.catch_warnings():
            warnings.simplefilter('ignore')  # torch reads buffers that it does not write
            program = torch.export.load(_file(source), extra_files=entries)
            self.module = move_to_device_pass(program, self.device).module()
        self.spec = read_spec(entries, source)
        self.output_names = self.spec.outputs

    def wake(self) -> None:
        """Goes on with one thread, as torch's own data loaders do: OpenMP's others stay behind."""
        import torch

        torch.set_num_threads(1)

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        try:
            return _run(self.module, images, self.output_names, self.device)
        except AssertionError as error:
            raise ValueError(
                f'torch.export made this program for images of other sizes than {images.shape} '
                f'({error}): feature maps of one pixel stay so, and others never become so'
            ) from error


def _file(source: ModelSource) -> io.BytesIO | str:
    """What torch and zipfile read: the path, or the content from its beginning."""
    return io.BytesIO(source.content or b'') if source.path is None else str(source.place)


def _run(
    module: Any, images: np.ndarray, names: Sequence[str], device: Any
) -> dict[str, np.ndarray]:
    import torch

    if not images.flags.writeable:  # of which torch warns
        images = images.copy()
    with torch.inference_mode():
        outputs = module(torch.from_numpy(images).to(device))
    outputs = outputs if isinstance(outputs, tuple | list) else [outputs]
    return {name: value.cpu().numpy() for name, value in zip(names, outputs, strict=True)}
