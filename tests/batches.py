"""Batches as the dataloaders of mmdet, mmseg and mmpretrain give them."""

import numpy as np
import torch


def images(size: int, count: int = 2) -> list[torch.Tensor]:
    return [torch.randint(0, 256, (3, size, size), dtype=torch.uint8) for _ in range(count)]


def detection_batch(size: int = 64) -> dict:
    """Two images with two boxes and masks each."""
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks
    from mmengine.structures import InstanceData

    samples = []
    for number in range(2):
        boxes = torch.tensor([[4.0, 4, 28, 32], [20, 12, 60, 54]])
        masks = np.zeros((2, size, size), np.uint8)
        for mask, (x1, y1, x2, y2) in zip(masks, boxes.int().tolist(), strict=True):
            mask[y1:y2, x1:x2] = 1
        instances = InstanceData(
            bboxes=boxes, labels=torch.tensor([0, 3]), masks=BitmapMasks(masks, size, size)
        )
        shape = dict(img_shape=(size, size), ori_shape=(size, size), scale_factor=(1.0, 1.0))
        sample = DetDataSample(
            metainfo=dict(img_id=number, batch_input_shape=(size, size), **shape)
        )
        sample.gt_instances = instances
        samples.append(sample)
    return dict(inputs=images(size), data_samples=samples)


def segmentation_batch(size: int = 32) -> dict:
    """Two images with a label for each pixel."""
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    samples = []
    for _ in range(2):
        shape = dict(img_shape=(size, size), ori_shape=(size, size))
        sample = SegDataSample(metainfo=dict(scale_factor=(1.0, 1.0), **shape))
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 6, (1, size, size)))
        samples.append(sample)
    return dict(inputs=images(size), data_samples=samples)


def classification_batch(size: int = 64) -> dict:
    """Two images with a class each."""
    from mmpretrain.structures import DataSample

    return dict(
        inputs=torch.stack(images(size)),
        data_samples=[DataSample().set_gt_label(label) for label in (1, 2)],
    )
