"""Models of the mm packages and exported files, asked the same question."""

import warnings
from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData, PixelData

from repnext_mm.compat import require
from repnext_mm.runtime import Classifier, Detections, Detector, Segmentor

PACKAGES = {'detection': 'mmdet', 'segmentation': 'mmseg', 'classification': 'mmpretrain'}
SAMPLES = {'mmdet': 'DetDataSample', 'mmseg': 'SegDataSample', 'mmpretrain': 'DataSample'}


def task_of(model: Any) -> str:
    """What a model of the mm packages is for: a key of :data:`PACKAGES`, or ``'features'``.

    Raises:
        ValueError: If it is none of them; the message says what can be exported of it.
    """
    if not hasattr(model, 'backbone'):
        return 'features'
    if hasattr(model, 'roi_head'):
        return 'detection'
    if hasattr(model, 'decode_head'):
        return 'segmentation'
    if hasattr(model, 'head'):
        return 'classification'
    raise ValueError(
        f'a {type(model).__name__} cannot be exported whole: two-stage detectors, segmentors and '
        'classifiers can; export its backbone with part="backbone", or "backbone-neck"'
    )


def new_sample(task: str, size: tuple[int, int]) -> Any:
    """An empty data sample of the task's package for an image that is not resized."""
    package = PACKAGES[task]
    require(package, f'a model for {task}')
    structures = require(f'{package}.structures', f'a model for {task}')
    meta = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0))
    return getattr(structures, SAMPLES[package])(metainfo=meta)


@torch.no_grad()
def predict_with_torch(model: Any, task: str, image: np.ndarray) -> Any:
    """Asks a model of the mm packages through its own ``test_step``.

    Args:
        model: In evaluation mode.
        task: Of :func:`task_of`.
        image: ``(H, W, 3)`` uint8, RGB.

    Returns:
        :class:`Detections`; logits ``(C, H, W)``; or probabilities ``(classes,)``.
    """
    bgr = torch.from_numpy(image[:, :, ::-1].copy()).permute(2, 0, 1)
    sample = new_sample(task, image.shape[:2])
    inputs: Any = bgr[None] if task == 'classification' else [bgr]
    with warnings.catch_warnings():
        # mmdet's cascades copy tensors in a way that torch advises against.
        warnings.simplefilter('ignore')
        (found,) = model.test_step(dict(inputs=inputs, data_samples=[sample]))
    if task == 'segmentation':
        return found.seg_logits.data
    if task == 'classification':
        return found.pred_score
    instances = found.pred_instances
    arrays = {name: value.cpu().numpy() for name, value in instances.items()}
    return Detections(arrays['bboxes'], arrays['scores'], arrays['labels'], arrays.get('masks'))


def fill_sample(reader: Any, image: np.ndarray, sample: Any) -> Any:
    """Asks an exported file and writes the answer as its package's models would.

    Args:
        reader: A :class:`Detector`, :class:`Segmentor` or :class:`Classifier`.
        image: ``(H, W, 3)`` uint8, RGB, of the network's size.
        sample: The image's data sample.
    """
    if isinstance(reader, Detector):
        found = reader.detect(image, sample.scale_factor, sample.ori_shape[:2])
        sample.pred_instances = _instances(found)
    elif isinstance(reader, Segmentor):
        scores = reader.resize(reader.segment(image), sample.ori_shape[:2])
        labels = scores.argmax(0, keepdim=True) if len(scores) > 1 else scores.long()
        sample.set_data({'pred_sem_seg': PixelData(data=labels)})
        if len(scores) > 1:
            sample.set_data({'seg_logits': PixelData(data=scores)})
    elif isinstance(reader, Classifier):
        scores = torch.from_numpy(reader.classify(image))
        sample.set_pred_score(scores).set_pred_label(scores.argmax())
    return sample


def _instances(found: Detections) -> InstanceData:
    fields = dict(bboxes=found.boxes, scores=found.scores, labels=found.labels)
    if found.masks is not None:
        fields['masks'] = found.masks
    return InstanceData(**{name: torch.from_numpy(value) for name, value in fields.items()})
