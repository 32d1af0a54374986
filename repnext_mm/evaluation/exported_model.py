"""An exported file in the place of the model it was made from, for evaluation."""

import logging
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.model import BaseModel
from torch import Tensor

from repnext_mm.compat import require
from repnext_mm.config_dicts import type_name
from repnext_mm.export.data import test_meta
from repnext_mm.export.prediction import PACKAGES, fill_sample
from repnext_mm.registry import MODELS, register
from repnext_mm.runtime import SESSIONS, Detector, Segmentor, open_reader, open_session

TRAINING_HOOKS = ('ReparameterizeHook', 'EMAHook')


@register(MODELS)
class ExportedModel(BaseModel):
    """Tests an exported file with the config's data and evaluator.

    Images come from the test pipeline, resized; so what is compared with the model in torch
    is the file and nothing else.

    Args:
        path: File of ``tools/export.py``.
        runtime: ``'onnxruntime'`` or ``'openvino'`` for ONNX.
        test_cfg: That of a segmentor, for windows: ``mode``, ``crop_size`` and ``stride``.

    Raises:
        ValueError: If the file holds a part of a network only.
    """

    def __init__(self, path: str, runtime: str | None = None, test_cfg: dict | None = None):
        super().__init__()
        self.reader = open_reader(path, runtime)
        if isinstance(self.reader, Segmentor) and test_cfg:
            self.reader.window = window_of(test_cfg)

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
        if isinstance(self.reader, Detector):  # as mmdet's preprocessor does, for pictures
            require('mmdet.models.utils.misc', 'a detector').samplelist_boxtype2tensor(data_samples)
        return [
            fill_sample(self.reader, self._rgb(image), sample)
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


def window_of(test_cfg: dict) -> dict[str, list[int]] | None:
    """The windows in which a segmentor's ``test_cfg`` looks at an image; None for the whole."""
    if test_cfg.get('mode', 'whole') != 'slide':
        return None
    return {name: list(test_cfg[name]) for name in ('crop_size', 'stride')}


def is_exported(path: str) -> bool:
    """Whether this is the name of an exported file."""
    return any(path.endswith(suffix) for suffix in SESSIONS)


def check_config(cfg: Config, path: str, metadata: dict[str, Any]) -> None:
    """Makes sure that a config is one to test an exported file with.

    Class names that differ in words only are a warning.

    Args:
        cfg: The config.
        path: The file.
        metadata: Of the file.

    Raises:
        ValueError: If the config is for another task or another number of classes.
    """
    task, scope = metadata['task'], cfg.get('default_scope')
    if task in PACKAGES and scope in PACKAGES.values() and scope != PACKAGES[task]:
        raise ValueError(
            f'{path} is for {task}, the config is for {scope}: test the file with the config it was '
            'exported from'
        )
    ours, theirs = list(metadata.get('classes') or []), list(test_meta(cfg).get('classes') or [])
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


def shortened(names: list[str]) -> str:
    """The first of many names."""
    return ', '.join([*names[:3], '...'] if len(names) > 4 else names)


def use_exported(cfg: Config, path: str, runtime: str | None = None) -> dict[str, Any]:
    """Makes a config test an exported file in the place of its model.

    Returns:
        The metadata of the file.

    Raises:
        ImportError, FileNotFoundError: As :func:`~repnext_mm.runtime.open_session` does.
        ValueError: As that does, and :func:`check_config`.
    """
    metadata = open_session(path, runtime).metadata
    check_config(cfg, path, metadata)
    test_cfg = cfg.model.get('test_cfg') if cfg.get('default_scope') == 'mmseg' else None
    cfg.model = dict(type='repnext_mm.ExportedModel', path=path, runtime=runtime, test_cfg=test_cfg)
    cfg.load_from = None
    hooks = cfg.get('custom_hooks') or []
    cfg.custom_hooks = [hook for hook in hooks if type_name(hook) not in TRAINING_HOOKS]
    return metadata
