"""AP that counts all objects of an image, and COCO's where there are few."""

import json

import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric
from mmdet.evaluation.metrics import coco_metric
from mmdet.registry import METRICS
from mmengine.structures import InstanceData

import repnext_mm.registry  # noqa: F401

pytestmark = pytest.mark.distribution


def evaluate(folder, objects: int, kind: str, wrong: int = 0) -> dict[str, float]:
    """The metrics of a detector that finds all objects, and some that are not there first."""
    boxes = np.array([[12 * (n % 20), 12 * (n // 20), 10, 10] for n in range(objects)], float)
    annotations = [
        dict(id=n + 1, image_id=1, category_id=1, bbox=list(box), area=100.0, iscrowd=0)
        for n, box in enumerate(boxes)
    ]
    path = folder / f'{objects}.json'
    images = [dict(id=1, file_name='a.png', height=240, width=240)]
    path.write_text(
        json.dumps(dict(images=images, annotations=annotations, categories=[dict(id=1, name='a')]))
    )
    metric = METRICS.build(dict(type=kind, ann_file=str(path), metric='bbox'))
    metric.dataset_meta = dict(classes=('a',))
    found = np.concatenate([boxes[:wrong] + np.array([500, 500, 0, 0]), boxes])
    found[:, 2:] += found[:, :2]
    predictions = InstanceData(
        bboxes=torch.from_numpy(found).float(),
        scores=torch.linspace(1, 0.5, len(found)),
        labels=torch.zeros(len(found), dtype=torch.long),
    )
    sample = dict(img_id=1, ori_shape=(240, 240), pred_instances=dict(predictions.items()))
    metric.process({}, [sample])
    return metric.evaluate(1)


def test_the_headline_counts_all_objects(tmp_path):
    usual = coco_metric.COCOeval
    coco = evaluate(tmp_path, 200, 'CocoMetric')
    ours = evaluate(tmp_path, 200, 'repnext_mm.ManyObjectsCocoMetric')
    assert coco['coco/bbox_mAP'] < 0.6  # though all were found
    assert ours['coco/bbox_mAP'] == ours['coco/bbox_mAP_50'] == 1.0
    assert {name: value for name, value in ours.items() if name != 'coco/bbox_mAP'} == {
        name: value for name, value in coco.items() if name != 'coco/bbox_mAP'
    }
    assert coco_metric.COCOeval is usual and METRICS.get('CocoMetric') is CocoMetric


def test_few_objects_give_the_numbers_of_coco(tmp_path):
    coco = evaluate(tmp_path, 30, 'CocoMetric', wrong=10)
    assert evaluate(tmp_path, 30, 'repnext_mm.ManyObjectsCocoMetric', wrong=10) == coco
    assert 0.5 < coco['coco/bbox_mAP'] < 1
