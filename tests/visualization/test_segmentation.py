"""mmseg's visualizer with a legend: wherever mmseg's own is called."""

import inspect

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from mmseg.visualization import SegLocalVisualizer

from repnext_mm.visualization.segmentation import SegLegendVisualizer

pytestmark = pytest.mark.distribution

PALETTE = [[255, 0, 0], [0, 200, 0], [0, 0, 255]]
IMAGE = np.zeros((40, 60, 3), np.uint8)


def sample(truth: bool = True) -> SegDataSample:
    labels = torch.zeros(1, 40, 60, dtype=torch.int64)
    labels[0, :20], labels[0, 20:25] = 2, 255
    result = SegDataSample(pred_sem_seg=PixelData(data=torch.zeros_like(labels)))
    if truth:
        result.gt_sem_seg = PixelData(data=labels)
    return result


@pytest.fixture
def visualizer(tmp_path):
    result = SegLegendVisualizer(tmp_path.name, picture_dir=str(tmp_path))
    result.dataset_meta = dict(classes=('a', 'b', 'c'), palette=PALETTE)
    return result


def colours(picture: np.ndarray) -> set[tuple]:
    return {tuple(pixel) for pixel in picture.reshape(-1, 3).tolist()}


def test_picture_has_the_colours_of_both_maps_and_their_legend(visualizer, tmp_path):
    visualizer.add_datasample('test_x.jpg', IMAGE, sample(), step=3)
    picture = cv2.imread(str(tmp_path / 'test_x.png'))[..., ::-1]
    tinted = [tuple(round(0.6 * value) for value in PALETTE[label]) for label in (0, 2)]
    assert {*tinted, (0, 0, 0)} <= colours(picture[24:64])
    assert {tuple(PALETTE[0]), tuple(PALETTE[2])} <= colours(picture[64:])
    assert tuple(PALETTE[1]) not in colours(picture)
    assert picture.shape[1] >= 120
    assert np.array_equal(visualizer.get_image(), picture)


def test_only_what_is_asked_for_is_drawn(visualizer, tmp_path):
    visualizer.add_datasample('one', IMAGE, sample(), draw_gt=False, with_labels=False)
    visualizer.add_datasample('two', IMAGE, sample(truth=False), out_file=str(tmp_path / 'o.png'))
    visualizer.add_datasample('three', IMAGE)
    one, two, three = (cv2.imread(str(tmp_path / f'{name}.png')) for name in ('one', 'o', 'three'))
    assert (two.shape[1], three.shape[1]) == (60, 60)
    assert one.shape[0] < two.shape[0]


def test_images_of_one_name_have_a_picture_each(visualizer, tmp_path):
    for _ in range(2):
        visualizer.add_datasample('test_x.jpg', IMAGE, sample())
    assert sorted(p.name for p in tmp_path.glob('*.png')) == ['test_x.png', 'test_x_2.png']


def test_signature_begins_as_that_of_mmseg():
    names = list(inspect.signature(SegLegendVisualizer.add_datasample).parameters)
    theirs = list(inspect.signature(SegLocalVisualizer.add_datasample).parameters)
    assert names[:-1] == theirs[: len(names) - 1]


@pytest.mark.parametrize('palette', [None, [], PALETTE[:2]])
def test_missing_colours_are_reported(visualizer, palette):
    visualizer.dataset_meta = dict(classes=('a', 'b', 'c'), palette=palette)
    with pytest.raises(ValueError, match=r'a colour for each class.*palette'):
        visualizer.add_datasample('x', IMAGE, sample())
