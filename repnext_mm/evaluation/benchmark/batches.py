"""Generated batches with ground truth, for training steps of whole models."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from repnext_mm.compat import require

OBJECTS = 4
"""Objects of each image, with a box and a mask."""


def training_batch(package: str, shape: tuple[int, int] | None, count: int) -> dict[str, Any]:
    """A batch as the training pipeline of a package gives it, always the same.

    Args:
        package: ``'mmdet'``, ``'mmseg'`` or ``'mmpretrain'``.
        shape: Height and width in pixels, at least 32 each.
        count: Images.

    Raises:
        ValueError: If there is no such package, or no shape.
    """
    if package not in _SAMPLES or shape is None:
        raise ValueError(
            f'training batches are for {tuple(_SAMPLES)} with a shape, got {package!r} and {shape}'
        )
    images, samples = [], []
    for number in range(count):
        generator = torch.Generator().manual_seed(number)
        size = (3, *shape)
        images.append(torch.randint(256, size, generator=generator, dtype=torch.uint8))
        samples.append(_SAMPLES[package](shape, generator))
    inputs = torch.stack(images) if package == 'mmpretrain' else images
    return dict(inputs=inputs, data_samples=samples)


def _detection(shape: tuple[int, int], generator: torch.Generator) -> Any:
    structures = require('mmdet.structures', 'a training step of a detector')
    masks = require('mmdet.structures.mask', 'a training step of a detector')
    height, width = shape
    corners = torch.rand(OBJECTS, 2, generator=generator) * torch.tensor([width, height]) / 2
    sides = torch.tensor([width, height]) / 4 * (1 + torch.rand(OBJECTS, 2, generator=generator))
    boxes = torch.cat([corners, corners + sides], 1)
    instances = InstanceData(
        bboxes=boxes,
        labels=torch.zeros(OBJECTS, dtype=torch.long),
        masks=masks.BitmapMasks(_filled(boxes, shape), *shape),
    )
    meta = dict(_meta(shape), batch_input_shape=shape, pad_shape=shape)
    return structures.DetDataSample(metainfo=meta, gt_instances=instances)


def _filled(boxes: Tensor, shape: tuple[int, int]) -> np.ndarray:
    """Masks ``(N, H, W)`` that fill the boxes."""
    masks = np.zeros((len(boxes), *shape), np.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes.int().tolist(), strict=True):
        mask[top:bottom, left:right] = 1
    return masks


def _segmentation(shape: tuple[int, int], generator: torch.Generator) -> Any:
    structures = require('mmseg.structures', 'a training step of a segmentor')
    labels = PixelData(data=torch.randint(2, (1, *shape), generator=generator))
    return structures.SegDataSample(metainfo=_meta(shape), gt_sem_seg=labels)


def _classification(shape: tuple[int, int], generator: torch.Generator) -> Any:
    structures = require('mmpretrain.structures', 'a training step of a classifier')
    return structures.DataSample(metainfo=_meta(shape)).set_gt_label(
        torch.randint(2, (1,), generator=generator)
    )


def _meta(shape: tuple[int, int]) -> dict[str, Any]:
    return dict(img_shape=shape, ori_shape=shape, scale_factor=(1.0, 1.0))


_SAMPLES: dict[str, Callable[[tuple[int, int], torch.Generator], Any]] = dict(
    mmdet=_detection, mmseg=_segmentation, mmpretrain=_classification
)
