"""Label maps in the colours of the classes, and their legend."""

import numpy as np
import pytest

from repnext_mm.visualization.legend import Entry, frequent_classes, overlay, with_legend

PALETTE = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]


def test_every_class_has_its_colour_and_other_pixels_stay():
    image = np.random.default_rng(0).integers(0, 256, (7, 5, 3), np.uint8)
    labels = np.full((7, 5), 255)
    labels[0], labels[1], labels[2] = 0, 2, 7
    drawn = overlay(image, labels, PALETTE)
    assert drawn.dtype == np.uint8 and np.array_equal(drawn[2:], image[2:])
    for row, colour in ((0, PALETTE[0]), (1, PALETTE[2])):
        expected = 0.4 * image[row] + 0.6 * np.array(colour)
        assert np.abs(drawn[row] - expected).max() <= 0.51


def test_labels_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r'\(4, 4\).*\(4, 5\)'):
        overlay(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5), int), PALETTE)


def test_legend_lists_what_occurs_by_size():
    maps = [np.array([[2, 2, 2, 255]]), np.array([[0, 2, 9, 255]])]
    assert frequent_classes(maps, 'abc', PALETTE) == [
        Entry('c', (0, 0, 255)),
        Entry('a', (255, 0, 0)),
    ]


@pytest.mark.parametrize('count', [0, 1, 40])
@pytest.mark.parametrize('width', [20, 300])
def test_legend_shows_every_colour_below_the_panels(count, width):
    colours = [(5 * i, 255 - 5 * i, 7) for i in range(count)]
    entries = [Entry(f'class {i}', colour) for i, colour in enumerate(colours)]
    panel = np.full((50, width, 3), 100, np.uint8)
    page = with_legend([panel, panel], ['ground truth', 'prediction'], entries)
    assert page.shape[1] >= 2 * width and page.shape[0] > 50
    found = {tuple(pixel) for pixel in page[80:].reshape(-1, 3).tolist()}
    assert set(colours) <= found
    assert (page == 100).all(-1).sum() >= 2 * 50 * width * 0.99
