"""Objects over images: masks, boxes and captions in the colours of their classes."""

import sys

import numpy as np
import pytest

from repnext_mm.visualization.captions import Style
from repnext_mm.visualization.colours import class_colours
from repnext_mm.visualization.instances import draw_instances, style_for

RED, BLUE, YELLOW, BLACK = (255, 0, 0), (0, 0, 255), (255, 255, 0), (0, 0, 0)


def photo(height: int = 90, width: int = 120) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def pixels(picture: np.ndarray, colour: tuple) -> np.ndarray:
    return (picture == colour).all(-1)


def test_masks_are_tinted_and_other_pixels_stay():
    image = photo()
    before = image.copy()
    masks = np.zeros((1, 90, 120), bool)
    masks[0, 30:60, 40:80] = True
    drawn = draw_instances(image, [[40, 30, 80, 60]], [''], [BLUE], masks)
    inside = np.zeros((90, 120), bool)
    inside[32:58, 42:78] = True
    expected = 0.55 * image[inside] + 0.45 * np.array(BLUE)
    assert np.abs(drawn[inside] - expected).max() <= 0.51
    outside = ~masks[0] & ~pixels(drawn, BLUE)
    assert np.array_equal(drawn[outside], image[outside])
    assert (~masks[0] & pixels(drawn, BLUE)).sum() < 80
    assert drawn.dtype == np.uint8 and np.array_equal(image, before)


def test_nothing_found_leaves_the_image():
    image = photo()
    for masks in (None, np.zeros((0, 90, 120), bool), np.array([])):
        drawn = draw_instances(image, np.zeros((0, 4)), [], [], masks)
        assert drawn is not image and np.array_equal(drawn, image)


def test_boxes_have_the_colour_of_their_class():
    drawn = draw_instances(photo(), [[10, 20, 50, 70]], [''], [RED], style=Style(10, 2))
    outline = np.zeros((90, 120), bool)
    outline[20:71, 10:51] = True
    outline[22:69, 12:49] = False
    assert pixels(drawn, RED)[outline].all()
    assert np.array_equal(drawn[~outline], photo()[~outline])


@pytest.mark.parametrize(
    'box, visible',
    [
        ([-30, -30, 40, 40], True),
        ([100, 70, 500, 500], True),
        ([-9, -9, 900, 900], True),
        ([20, 20, 20, 60], True),
        ([20, 20, 20, 20], True),
        ([119.9, 0, 120, 90], True),
        ([-30, 10, -5, 40], False),
        ([10, 90, 40, 95], False),
        ([40, 40, 20, 60], False),
        ([10, np.nan, 40, 60], False),
        ([10, 10, np.inf, 10], False),
        ([-np.inf, 10, -np.inf, 60], False),
    ],
)
@pytest.mark.parametrize('caption', ['', 'traffic light 0.99'])
def test_odd_boxes_are_clipped_or_left_out(box, visible, caption):
    drawn = draw_instances(photo(), [box], [caption], [RED])
    assert drawn.shape == (90, 120, 3)
    assert pixels(drawn, RED).any() == visible
    assert visible or np.array_equal(drawn, photo())


@pytest.mark.parametrize('size', [(1, 1), (5, 300), (300, 5), (480, 640), (1200, 2000)])
def test_captions_are_written_on_their_colour_at_any_size(size):
    height, width = size
    image = np.full((height, width, 3), 128, np.uint8)
    drawn = draw_instances(image, [[0, 0, width, height]], ['cat 0.50'], [YELLOW])
    assert pixels(drawn, YELLOW).any()
    if min(size) > 300:
        letters = np.argwhere(pixels(drawn, BLACK))
        tall = np.ptp(letters[:, 0]) + 1
        assert height / 60 <= tall <= height / 20
        assert np.ptp(letters[:, 1]) > 3 * tall


def test_style_grows_with_the_image_down_to_what_can_be_read():
    styles = [style_for(np.zeros((side, side, 3), np.uint8)) for side in (32, 400, 1000, 4000)]
    assert styles == sorted(styles) and len(set(styles)) == 4
    assert styles[0] == Style(10, 1)


def test_captions_do_not_hide_each_other_and_stay_within_the_picture():
    boxes = [[150, 40, 199, 90]] * 4
    colours = class_colours(4)
    image = np.full((130, 200, 3), 128, np.uint8)
    alone = [
        pixels(draw_instances(image, boxes[:1], ['zebra 0.50'], [colour]), colour).sum()
        for colour in colours
    ]
    drawn = draw_instances(image, boxes, ['zebra 0.50'] * 4, colours)
    outline = 2 * 100
    for colour, count in zip(colours, alone, strict=True):
        assert pixels(drawn, colour).sum() >= count - outline > 200


def test_small_objects_are_drawn_over_large_ones():
    masks = np.zeros((2, 90, 120), bool)
    masks[0, 40:50, 40:50], masks[1] = True, True
    image = np.zeros((90, 120, 3), np.uint8)
    boxes = [[40, 40, 50, 50], [0, 0, 120, 90]]
    drawn = draw_instances(image, boxes, ['', ''], [RED, BLUE], masks)
    assert drawn[45, 45].tolist() == [115, 0, 0] and drawn[70, 70].tolist() == [0, 0, 115]
    assert pixels(drawn, RED).any()


@pytest.mark.parametrize('colour, text', [(YELLOW, (0, 0, 0)), ((0, 0, 120), (255, 255, 255))])
def test_letters_contrast_with_their_background(colour, text):
    image = np.full((480, 640, 3), 128, np.uint8)
    drawn = draw_instances(image, [[100, 100, 400, 400]], ['HHH'], [colour])
    assert pixels(drawn, text).sum() > 10 and not pixels(drawn, np.subtract(255, text)).any()


def test_font_of_pillow_serves_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, 'matplotlib.font_manager', None)
    image = np.full((480, 640, 3), 128, np.uint8)
    drawn = draw_instances(image, [[100, 100, 400, 400]], ['cat'], [YELLOW])
    assert pixels(drawn, BLACK).sum() > 10


@pytest.mark.parametrize(
    'changes, message',
    [
        (dict(captions=[]), '2 boxes, 0 captions, 2 colours'),
        (dict(colours=[RED]), '1 colours'),
        (dict(masks=np.zeros((1, 90, 120), bool)), '1 masks'),
        (dict(masks=np.zeros((2, 90, 100), bool)), r'\(90, 120\); got \(90, 100\)'),
    ],
)
def test_arguments_that_do_not_fit_are_refused(changes, message):
    arguments = dict(boxes=[[1, 1, 20, 20]] * 2, captions=['a', 'b'], colours=[RED, BLUE])
    with pytest.raises(ValueError, match=message):
        draw_instances(photo(), **{**arguments, **changes})


def test_class_colours_are_distinct_and_do_not_depend_on_their_number():
    colours = class_colours(80)
    assert colours[:5] == class_colours(5) and class_colours(0) == ()
    values = np.array(colours)
    distances = np.abs(values[:, None] - values[None]).max(-1) + 255 * np.eye(80)
    assert distances.min() >= 17 and np.median(distances.min(1)) >= 34
    assert len(set(class_colours(1203))) == 1203
    assert (np.ptp(values, axis=1) > 30).all()
