"""faster-coco-eval, an optional extra, gives the numbers of pycocotools."""

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from repnext_mm.demo.shapes import generate_shapes

pytest.importorskip('faster_coco_eval')


def detections(coco, number: int, random: np.random.Generator) -> InstanceData:
    """Ground truth, some of it moved, with scores at random, and boxes on nothing."""
    boxes, masks, labels = [], [], []
    for annotation in coco.imgToAnns[number]:
        shift = int(random.integers(-6, 7))
        left, top, width, height = annotation['bbox']
        boxes.append([left + shift, top, left + width + shift, top + height])
        masks.append(np.roll(coco.annToMask(annotation), shift, 1).astype(bool))
        labels.append(annotation['category_id'] - 1)
    boxes.append([1.0, 1.0, 30.0, 30.0])
    height, width = (coco.imgs[number][key] for key in ('height', 'width'))
    masks.append(np.zeros((height, width), bool))
    masks[-1][1:30, 1:30] = True
    labels.append(0)
    return InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float32),
        scores=torch.from_numpy(random.permutation(len(boxes)) / len(boxes)),
        labels=torch.tensor(labels),
        masks=torch.from_numpy(np.stack(masks)),
    )


def test_both_metrics_agree(tmp_path):
    from mmdet.evaluation import CocoMetric
    from pycocotools.coco import COCO

    faster = pytest.importorskip('mmdet.evaluation.metrics.faster_coco_metric')
    root = generate_shapes(tmp_path / 'shapes', train=1, val=30)
    path = str(root / 'annotations' / 'instances_val.json')
    coco = COCO(path)
    classes = tuple(category['name'] for category in coco.cats.values())
    found = []
    for metric_class in (CocoMetric, faster.FasterCocoMetric):
        metric = metric_class(ann_file=path, metric=['bbox', 'segm'])
        metric.dataset_meta = dict(classes=classes)
        random = np.random.default_rng(0)
        for number, info in coco.imgs.items():
            shape = (info['height'], info['width'])
            sample = dict(img_id=number, ori_shape=shape, pred_instances={})
            sample['pred_instances'] = dict(detections(coco, number, random).items())
            metric.process({}, [sample])
        found.append(metric.evaluate(len(coco.imgs)))
    assert 0.2 < found[0]['coco/bbox_mAP'] < 0.95
    assert found[1] == pytest.approx(found[0], abs=1e-9)
