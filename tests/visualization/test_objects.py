"""Pictures of many objects show the objects: captions give way, small images are enlarged."""

import numpy as np
import pytest

from repnext_mm.visualization.colours import class_colours
from repnext_mm.visualization.instances import draw_instances
from repnext_mm.visualization.objects import DrawOptions, Objects, draw_objects, scale_for

GREY = 128
RED, BLUE = (255, 0, 0), (0, 0, 255)


def crowd(rows: int = 14, side: int = 256) -> Objects:
    """Disks in a grid that fill a square image, with masks."""
    step = side / rows
    ys, xs = np.mgrid[:side, :side]
    boxes, masks = [], []
    for row in range(rows):
        for column in range(rows):
            x, y, radius = (column + 0.5) * step, (row + 0.5) * step, 0.4 * step
            boxes.append([x - radius, y - radius, x + radius, y + radius])
            masks.append((xs - x) ** 2 + (ys - y) ** 2 < radius**2)
    count = rows**2
    scores = np.linspace(0.99, 0.5, count)
    return Objects(np.array(boxes), scores, np.zeros(count, int), np.stack(masks))


def grey(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), GREY, np.uint8)


def visible(drawn: np.ndarray, plain: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Part of each mask's pixels that are drawn as without captions."""
    same = (drawn == plain).all(-1)
    return np.array([same[mask].mean() for mask in masks])


def test_captions_hide_no_object_of_a_crowd_and_all_of_them_would():
    objects = crowd()
    image = grey(256, 256)
    pictures = {
        mode: draw_objects(image, objects, ['cell'], [RED], DrawOptions(0.0, 1.0, mode, 'class'))
        for mode in ('auto', 'all', 'none')
    }
    shares = {
        mode: visible(picture, pictures['none'], objects.masks)
        for mode, picture in pictures.items()
    }
    assert shares['auto'].min() > 0.85
    assert np.median(shares['all']) < 0.5


def test_captions_of_few_objects_are_all_there():
    boxes = [[20, 20, 200, 200], [260, 40, 500, 300]]
    colours = class_colours(2)
    auto = draw_instances(grey(400, 600), boxes, ['cat 0.90', 'dog 0.80'], colours)
    every = draw_instances(
        grey(400, 600), boxes, ['cat 0.90', 'dog 0.80'], colours, caption_mode='all'
    )
    assert np.array_equal(auto, every)


def test_captions_shrink_before_they_go():
    boxes = [[x, y, x + 52, y + 40] for y in range(20, 980, 60) for x in range(10, 980, 60)]
    colours = [RED] * len(boxes)
    drawn = draw_instances(grey(1000, 1000), boxes, ['0.99'] * len(boxes), colours)
    bare = draw_instances(
        grey(1000, 1000), boxes, ['0.99'] * len(boxes), colours, caption_mode='none'
    )
    changed = (drawn != bare).any(-1)
    assert changed.sum() > len(boxes) * 50  # many are written
    heights = changed[:, :].any(1)
    runs = np.diff(np.flatnonzero(np.diff(np.concatenate([[0], heights, [0]]))))[::2]
    assert runs.min() < 20  # the usual letters take 26 pixels and more


@pytest.mark.parametrize(
    ('size', 'scale'), [((256, 256), 2), ((100, 80), 4), ((800, 600), 1), ((4000, 9), 1)]
)
def test_small_images_are_enlarged(size, scale):
    assert scale_for(grey(*size)) == scale
    nothing = Objects(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int))
    assert draw_objects(grey(*size), nothing, ['a'], [RED]).shape == (
        size[0] * scale, size[1] * scale, 3
    )  # fmt: skip


def test_objects_grow_with_their_image():
    mask = np.zeros((1, 50, 60), bool)
    mask[0, 10:20, 30:50] = True
    objects = Objects(np.array([[30, 10, 50, 20]]), np.array([0.9]), np.array([0]), mask)
    drawn = draw_objects(
        grey(50, 60), objects, ['a', 'b'], [RED, BLUE], DrawOptions(0.5, 3.0, 'none')
    )
    changed = np.argwhere((drawn != GREY).any(-1))
    assert changed.min(0).tolist() == [30, 90]
    assert np.abs(changed.max(0) - [60, 150]).max() <= 1


def test_uncertain_objects_are_left_out():
    drawn = draw_objects(grey(64, 64), crowd(2, 64), ['a'], [RED], DrawOptions(1.0, 1.0))
    assert (drawn == GREY).all()


@pytest.mark.parametrize(
    ('classes', 'colour_by', 'distinct'),
    [
        (['a'], 'auto', True),
        (['a', 'b'], 'auto', False),
        (['a'], 'class', False),
        (['a', 'b'], 'instance', True),
    ],
)
def test_colours_tell_classes_or_objects_apart(classes, colour_by, distinct):
    options = DrawOptions(0.0, 1.0, 'none', colour_by)
    objects = crowd(2, 64)
    drawn = draw_objects(grey(64, 64), objects, classes, [RED, BLUE], options)
    middles = {tuple(drawn[int(y), int(x)]) for x, y in [(16, 16), (48, 16), (16, 48), (48, 48)]}
    assert len(middles) == (4 if distinct else 1)
