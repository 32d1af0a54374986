"""The form whose exported file is the fastest, measured in the runtime that reads such files."""

import logging
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import nn

from repnext_mm.export.formats import FORMATS
from repnext_mm.export.options import ExportOptions
from repnext_mm.export.preparation import prepare
from repnext_mm.reparam.fastest import AS_IS, ROUNDS, Choice, forms_to_try
from repnext_mm.runtime import SESSIONS, open_session
from repnext_mm.timing import processor_name, take_turns
from repnext_mm.trained import plain_copy


def fastest_file(
    model: Runner | nn.Module, cfg: Config | None, options: ExportOptions, rounds: int = ROUNDS
) -> Choice:
    """Writes a model in each inference form and times the files, in turn, at the traced size.

    They are read by the first runtime of their kind, with its defaults: ONNX Runtime, OpenVINO or
    torch on this machine's CPU. Of forms within 5 % of the fastest it is the first one.

    Args:
        model: As for :func:`repnext_mm.export.exporter.export_model`.
        cfg: The model's config.
        options: What to export, with a format; the form does not count.
        rounds: Timed rounds; two untimed ones come first.

    Raises:
        ImportError: If the runtime is not installed; the message names the extra that brings it.
        ValueError: If the model cannot be exported so.
    """
    form_of_file = FORMATS[str(options.format)]
    runs: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for form in forms_to_try(plain_copy(model)):
            ready = prepare(model, cfg, replace(options, form=form))
            path = Path(folder) / f'{form}{form_of_file.suffix}'
            form_of_file.write(ready.job, path)
            runs[form] = _Run(path, ready.images[0])
        timings = take_turns(runs, rounds)
        runs.clear()
    target = dict(
        device=f'cpu, {processor_name()}',
        runtime=next(iter(SESSIONS[form_of_file.suffix])),
        precision='float16' if options.half else 'float32',
        shape=list(ready.images[0].shape),
    )
    choice = Choice.of({form: (form, AS_IS) for form in timings}, timings, target)
    print_log(f'Chosen by time: {choice}', 'current', logging.INFO)
    return choice


class _Run:
    """Runs a file on an image ``(H, W, 3)``."""

    def __init__(self, path: Path, image: Any):
        self.session = open_session(path, trust=True)  # this process has just written it
        self.images = image[None]

    def __call__(self) -> None:
        self.session(self.images)
