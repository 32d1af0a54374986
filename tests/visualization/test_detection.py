"""Pictures of mmdet's tests: ground truth beside prediction, titled, with what was found."""

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData

from repnext_mm.registry import VISUALIZERS
from repnext_mm.visualization.detection import DetLegendVisualizer

pytestmark = pytest.mark.distribution


def sample() -> DetDataSample:
    masks = np.zeros((1, 40, 60), np.uint8)
    masks[0, 10:30, 10:40] = 1
    box = torch.tensor([[10.0, 10.0, 40.0, 30.0]])
    found = DetDataSample()
    found.gt_instances = InstanceData(
        bboxes=box, labels=torch.tensor([1]), masks=BitmapMasks(masks, 40, 60)
    )
    found.pred_instances = InstanceData(
        bboxes=box.repeat(2, 1),
        labels=torch.tensor([1, 0]),
        scores=torch.tensor([0.9, 0.1]),
        masks=torch.from_numpy(masks).bool().repeat(2, 1, 1),
    )
    return found


def test_ground_truth_stands_beside_the_prediction(tmp_path):
    visualizer = DetLegendVisualizer(tmp_path.name, scale=2.0)
    visualizer.dataset_meta = dict(classes=('cat', 'dog'))
    image = np.full((40, 60, 3), 90, np.uint8)
    path = tmp_path / 'deep' / 'picture.png'
    visualizer.add_datasample('image', image, sample(), out_file=str(path))
    picture = visualizer.get_image()
    assert path.is_file() and picture.shape[1] >= 2 * 120
    titled = [picture[24:104, start : start + 120] for start in (0, 130)]
    assert all((panel != 90).any() for panel in titled)
    alone = DetLegendVisualizer(f'{tmp_path.name} alone', scale=2.0)
    alone.dataset_meta = visualizer.dataset_meta
    alone.add_datasample('image', image, sample(), draw_gt=False, out_file=str(path))
    assert alone.get_image().shape[1] < picture.shape[1]


def test_configs_find_the_visualizer(tmp_path):
    built = VISUALIZERS.build(dict(type='DetLegendVisualizer', name=tmp_path.name, captions='none'))
    assert isinstance(built, DetLegendVisualizer) and built.captions == 'none'
