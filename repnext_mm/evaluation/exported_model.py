"""An exported file in the place of the model it was made from, for evaluation."""

import logging
from collections.abc import Sequence

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.model import BaseModel
from torch import Tensor

from repnext_mm.config_dicts import type_name
from repnext_mm.export.data import classes_and_palette, dataset_meta_of
from repnext_mm.export.tasks import TASKS, task_named
from repnext_mm.registry import MODELS, register
from repnext_mm.runtime import SESSIONS, FileSpec, open_reader, open_session

TRAINING_HOOKS = ('ReparameterizeHook', 'EMAHook')


@register(MODELS)
class ExportedModel(BaseModel):
    """Tests an exported file with the config's data and evaluator.

    Images come from the test pipeline, resized; so what is compared with the model in torch
    is the file and nothing else.

    Args:
        path: File of ``tools/export.py``.
        runtime: ``'onnxruntime'`` or ``'openvino'`` for ONNX.
        test_cfg: The config's, for what the file leaves open: the windows of a segmentor.
        trust: Open a file that can run code; see :func:`~repnext_mm.runtime.open_session`.

    Raises:
        ValueError: If the file holds a part of a network only, or can run code and is not trusted.
    """

    def __init__(
        self,
        path: str,
        runtime: str | None = None,
        test_cfg: dict | None = None,
        trust: bool = False,
    ):
        super().__init__()
        self.reader = open_reader(path, runtime, trust=trust)
        self.task = task_named(self.reader.task)
        if test_cfg:
            self.task.adopt_test_cfg(self.reader, test_cfg)

    def forward(
        self, inputs: Tensor | list[Tensor], data_samples: list | None = None, mode: str = 'predict'
    ) -> list:
        """Predicts, image by image.

        Args:
            inputs: ``(3, H, W)`` uint8 each, BGR, as OpenMMLab's pipelines give them.
            data_samples: One for each image.
            mode: Only ``'predict'``.

        Raises:
            ValueError: If the mode is another one.
        """
        if mode != 'predict' or data_samples is None:
            raise ValueError(f'an exported file can be tested, not run with mode={mode!r}')
        self.task.prepare_samples(data_samples)
        return [
            self.task.fill(self.reader, self._rgb(image), sample)
            for image, sample in zip(inputs, data_samples, strict=True)
        ]

    @staticmethod
    def _rgb(image: Tensor) -> np.ndarray:
        if image.dtype != torch.uint8:
            raise ValueError(
                f'exported files take images of uint8, the pipeline gives {image.dtype}: leave '
                'normalization out of it'
            )
        return np.ascontiguousarray(image.cpu().numpy()[::-1].transpose(1, 2, 0))


def is_exported(path: str) -> bool:
    """Whether this is the name of an exported file."""
    return any(path.endswith(suffix) for suffix in SESSIONS)


def check_config(cfg: Config, path: str, spec: FileSpec) -> None:
    """Makes sure that a config is one to test an exported file with.

    Class names that differ in words only are a warning.

    Args:
        cfg: The config.
        path: The file.
        spec: The contract of the file.

    Raises:
        ValueError: If the config is for another task or another number of classes.
    """
    package, scope = task_named(spec.task).package, cfg.get('default_scope')
    if package and scope in {task.package for task in TASKS} and scope != package:
        raise ValueError(
            f'{path} is for {spec.task}, the config is for {scope}: test the file with the config '
            'it was exported from'
        )
    theirs, _ = classes_and_palette(dataset_meta_of(cfg))
    ours = spec.classes
    if ours and theirs and len(ours) != len(theirs):
        raise ValueError(
            f"{path} knows {len(ours)} classes ({shortened(ours)}), the config's test data has "
            f'{len(theirs)} ({shortened(theirs)}): test the file with the config it was exported from'
        )
    if ours and theirs and ours != theirs:
        print_log(
            f"{path} names its classes {shortened(ours)}, the config's test data {shortened(theirs)}: "
            'they are compared by their numbers',
            logger='current',
            level=logging.WARNING,
        )


def warn_of_baked_in(cfg: Config, path: str, spec: FileSpec) -> None:
    """Warns where a config's ``test_cfg`` says otherwise than the file, which cannot be changed.

    Args:
        cfg: The config.
        path: The file.
        spec: The contract of the file.
    """
    test_cfg = cfg.model.get('test_cfg') or {}
    for name, (ours, theirs) in task_named(spec.task).otherwise(test_cfg, spec.details).items():
        print_log(
            f"{path} has {name}={ours} in its graph, and the config's test_cfg says {theirs}: the "
            "file's counts. Export the model again to test with the other",
            logger='current',
            level=logging.WARNING,
        )


def shortened(names: Sequence[str]) -> str:
    """The first of many names."""
    return ', '.join([*names[:3], '...'] if len(names) > 4 else names)


def use_exported(
    cfg: Config, path: str, runtime: str | None = None, trust: bool = False
) -> FileSpec:
    """Makes a config test an exported file in the place of its model.

    Args:
        cfg: The config.
        path: The file.
        runtime: As for :class:`ExportedModel`, and so is ``trust``.
        trust: Whether it may run code.

    Returns:
        The contract of the file.

    Raises:
        ImportError, FileNotFoundError: As :func:`~repnext_mm.runtime.open_session` does.
        ValueError: As that does, and :func:`check_config`.
    """
    spec = open_session(path, runtime, trust=trust).spec
    check_config(cfg, path, spec)
    warn_of_baked_in(cfg, path, spec)
    test_cfg = cfg.model.get('test_cfg')
    given = dict(path=path, runtime=runtime, test_cfg=test_cfg, trust=trust)
    cfg.model = dict(type='repnext_mm.ExportedModel', **given)
    cfg.data_preprocessor = None  # mmengine would give it to the model
    cfg.load_from = None
    hooks = cfg.get('custom_hooks') or []
    cfg.custom_hooks = [hook for hook in hooks if type_name(hook) not in TRAINING_HOOKS]
    return spec
