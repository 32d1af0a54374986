"""A config and its checkpoint in use, merged."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.device import get_device
from mmengine.registry import init_default_scope

from repnext_mm.checkpoints.identity import dataset_meta
from repnext_mm.checkpoints.loading import build_model, load_parts
from repnext_mm.export.data import read_test_data
from repnext_mm.export.tasks import task_of
from repnext_mm.export.tasks.base import to_bgr
from repnext_mm.launch.command_line import config_of
from repnext_mm.prediction.predictors import (
    Predicted,
    as_arrays,
    enough_colours,
    resized,
    same_sizes,
)
from repnext_mm.trained import merged_copy


class CheckpointPredictor:
    """A model of mmdet, mmseg or mmpretrain with the weights of a checkpoint.

    Images get the size that the config's test pipeline gives them.

    Args:
        config: Path of the config.
        checkpoint: Path or URL of its checkpoint.
        form: ``'fused'`` or ``'plain'``.
        options: Changes to the config by dotted keys.

    Raises:
        FileNotFoundError: If there is no such config.
        ValueError: If the checkpoint lacks a part of the model, or the form is unknown.
    """

    def __init__(
        self,
        config: str,
        checkpoint: str,
        form: str = 'fused',
        options: dict[str, Any] | None = None,
    ):
        cfg = config_of(config, options)
        init_default_scope(cfg.get('default_scope', 'mmengine'))
        model = build_model(cfg)
        kind = task_of(model, 'model')
        meta = dataset_meta(load_parts(model, checkpoint, kind.parts_of('model')))
        data = read_test_data(cfg, kind.keeps_positions).with_classes(meta or {})
        self.kind, self.rules, self.task = kind, data.rules, kind.name
        self.classes = list(data.classes or [])
        self.colours = enough_colours(list(data.palette or []), len(self.classes))
        self.model: Any = merged_copy(model, form).to(get_device())

    @torch.no_grad()
    def __call__(self, images: Sequence[np.ndarray]) -> list[Predicted]:
        """As :class:`~repnext_mm.prediction.predictors.Predictor`; images of one size are one batch."""
        prepared = [resized(image, self.rules) for image in images]
        results: dict[int, Predicted] = {}
        for numbers in same_sizes(prepared):
            inputs = [to_bgr(prepared[number].image) for number in numbers]
            samples = []
            for number in numbers:
                sample = self.kind.new_sample(prepared[number].image.shape[:2])
                sample.set_metainfo(
                    dict(ori_shape=images[number].shape[:2], scale_factor=prepared[number].scale)
                )
                samples.append(sample)
            stacked: Any = torch.stack(inputs) if self.task == 'classification' else inputs
            found = self.model.test_step(dict(inputs=stacked, data_samples=samples))
            results |= {
                number: as_arrays(self.task, sample)
                for number, sample in zip(numbers, found, strict=True)
            }
        return [results[number] for number in range(len(images))]
