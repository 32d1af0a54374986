"""Batches for any method: objects, masks, label maps, proposals, and the views of semi-supervision."""

import copy
from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData, PixelData

from sweep.methods import Method

STUFF = 80
"""Labels of stuff begin here in COCO's panoptic numbering."""


def batch_for(method: Method, semi_supervised: bool = False) -> dict[str, Any]:
    """A batch as the method's dataloader gives it: of two images, with noise in them."""
    generator = torch.Generator().manual_seed(0)
    size = (3, method.size, method.size)
    images = [torch.randint(0, 256, size, dtype=torch.uint8, generator=generator) for _ in range(2)]
    make = _detection_sample if method.package == 'mmdet' else _segmentation_sample
    samples = [make(method, number) for number in range(2)]
    if not semi_supervised:
        return dict(inputs=images, data_samples=samples)
    views = ('sup', 'unsup_teacher', 'unsup_student')
    return dict(
        inputs={view: [image.clone() for image in images] for view in views},
        data_samples={view: copy.deepcopy(samples) for view in views},
    )


def _metainfo(size: int, number: int) -> dict[str, Any]:
    shape = (size, size)
    return dict(
        img_id=number,
        img_path=f'{number}.jpg',
        img_shape=shape,
        ori_shape=shape,
        pad_shape=shape,
        batch_input_shape=shape,
        scale_factor=(1.0, 1.0),
        flip=False,
        flip_direction=None,
        border=(0, size, 0, size),
        homography_matrix=np.eye(3, dtype=np.float32),
        text='thing. object. body.',
        custom_entities=True,
        tokens_positive=None,
    )


def _detection_sample(method: Method, number: int) -> Any:
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks

    size = method.size
    boxes = torch.tensor([[0.06, 0.06, 0.45, 0.5], [0.3, 0.2, 0.95, 0.85]]) * size
    masks = np.zeros((2, size, size), np.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.int().tolist(), strict=True):
        mask[y1:y2, x1:x2] = 1
    labels = torch.tensor([0, 3]) % method.classes
    sample = DetDataSample(metainfo=_metainfo(size, number))
    sample.gt_instances = InstanceData(
        bboxes=boxes, labels=labels, masks=BitmapMasks(masks, size, size)
    )
    if not method.masks:
        del sample.gt_instances.masks
    sample.ignored_instances = InstanceData(
        bboxes=torch.zeros(0, 4),
        labels=torch.zeros(0, dtype=torch.long),
        masks=BitmapMasks(np.zeros((0, size, size), np.uint8), size, size),
    )
    if method.proposals:
        regions = torch.cat((boxes, boxes + 0.05 * size, boxes * 0.5))
        scores = torch.linspace(1, 0.5, len(regions))
        sample.proposals = InstanceData(bboxes=regions, scores=scores)
    label_map = np.full((size, size), STUFF, np.int64)
    label_map[size // 2 :] = STUFF + 1
    for mask, label in zip(masks, labels.tolist(), strict=True):
        label_map[mask == 1] = label
    sample.gt_sem_seg = PixelData(sem_seg=torch.from_numpy(label_map[None]))
    return sample


def _segmentation_sample(method: Method, number: int) -> Any:
    from mmseg.structures import SegDataSample

    size = method.size
    generator = torch.Generator().manual_seed(number)
    coarse = torch.randint(0, 8, (1, size // 16, size // 16), generator=generator)
    labels = coarse.repeat_interleave(16, 1).repeat_interleave(16, 2)
    sample = SegDataSample(metainfo=_metainfo(size, number))
    sample.gt_sem_seg = PixelData(data=labels)
    edges = torch.zeros_like(labels)
    edges[:, ::16] = 1
    sample.gt_edge_map = PixelData(data=edges)
    return sample
