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
from repnext_mm.reparam.forms import TRAINING
from repnext_mm.runtime.size_rules import Prepared
from repnext_mm.trained import merged_copy, plain_copy


class CheckpointPredictor:
    """A model of mmdet, mmseg or mmpretrain with the weights of a checkpoint.

    Images get the size that the config's test pipeline gives them.

    Args:
        config: Path of the config.
        checkpoint: Path or URL of its checkpoint.
        form: ``'fused'`` or ``'plain'``; ``'training'`` for the form that the config builds.
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
        copied = plain_copy(model) if form == TRAINING else merged_copy(model, form)
        self.model: Any = copied.to(get_device())

    @torch.no_grad()
    def __call__(self, images: Sequence[np.ndarray]) -> list[Predicted]:
        """As :class:`~repnext_mm.prediction.predictors.Predictor`; images of one size are one batch."""
        prepared = [self.prepare(image) for image in images]
        results: dict[int, Predicted] = {}
        for numbers in same_sizes(prepared):
            batch = self.batch_of([prepared[n] for n in numbers], [images[n] for n in numbers])
            found = self.model.test_step(batch)
            results |= {
                number: as_arrays(self.task, sample)
                for number, sample in zip(numbers, found, strict=True)
            }
        return [results[number] for number in range(len(images))]

    def prepare(self, image: np.ndarray) -> Prepared:
        """An image ``(H, W, 3)`` uint8, RGB, in the size that the config's test pipeline gives it."""
        return resized(image, self.rules)

    def batch_of(
        self, prepared: Sequence[Prepared], images: Sequence[np.ndarray]
    ) -> dict[str, Any]:
        """What the model's ``test_step`` takes.

        Args:
            prepared: Images of one size, of :meth:`prepare`.
            images: The same ones as they were.
        """
        inputs = [to_bgr(image.image) for image in prepared]
        samples = []
        for image, original in zip(prepared, images, strict=True):
            sample = self.kind.new_sample(image.image.shape[:2])
            sample.set_metainfo(dict(ori_shape=original.shape[:2], scale_factor=image.scale))
            samples.append(sample)
        stacked: Any = torch.stack(inputs) if self.task == 'classification' else inputs
        return dict(inputs=stacked, data_samples=samples)
