"""The service's page in a headless Chromium: pictures are dropped, and what was found is shown."""

import base64

import numpy as np
import pytest
from chromium import CHROMIUM, chromium
from noise import noise
from serving import as_file, served
from tiny_networks import tiny_classifier, tiny_detector, tiny_segmentor

from repnext_mm.runtime import open_reader

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason='Chromium is not installed')

DROP = """
(() => {{
  const bytes = Uint8Array.from(atob('{content}'), (letter) => letter.charCodeAt(0));
  const files = new DataTransfer();
  files.items.add(new File([bytes], '{name}', {{ type: 'image/png' }}));
  window.dispatchEvent(new DragEvent('drop', {{ dataTransfer: files, cancelable: true }}));
}})()
"""
SCORES = "[...document.querySelectorAll('#objects .score')].map((cell) => cell.textContent)"
PIXEL = "[...document.getElementById('canvas').getContext('2d').getImageData({x}, {y}, 1, 1).data]"


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp('chromium')) as browser:
        yield browser


def drop(browser, content, name='dropped.png'):
    browser.evaluate(DROP.format(content=base64.b64encode(content).decode(), name=name))
    browser.wait_for("document.body.dataset.state === 'done'")


def open_page(browser, url, **options):
    browser.errors.clear()
    browser.requests.clear()
    browser.open(url, **options)
    browser.wait_for("document.body?.dataset.state === 'empty'")


def text_of(browser, element):
    return browser.evaluate(f"document.getElementById('{element}').textContent")


def test_objects_are_shown_and_the_slider_leaves_less_certain_ones_out(browser, tmp_path):
    reader = open_reader(tiny_detector(tmp_path / 'tiny.onnx'))
    image = np.full((30, 40, 3), 255, np.uint8)
    with served(reader, 'tiny finder') as url:
        open_page(browser, url)
        assert text_of(browser, 'name') == 'tiny finder'
        drop(browser, as_file(image))
        assert browser.evaluate(SCORES) == ['1.00', '0.70', '0.30']
        assert text_of(browser, 'summary') == '3 objects'
        assert browser.evaluate(PIXEL.format(x=4 * 11, y=4 * 9))[:3] != [255, 255, 255]
        assert browser.evaluate(PIXEL.format(x=4 * 37, y=4 * 1))[:3] == [255, 255, 255]
        browser.evaluate(
            "document.getElementById('threshold').value = 0.5;"
            "document.getElementById('threshold').dispatchEvent(new Event('input'))"
        )
        assert browser.evaluate(SCORES) == ['1.00', '0.70']
        assert text_of(browser, 'classes') == 'round1square1'
        browser.evaluate("document.querySelector('#classes button').click()")
        assert browser.evaluate(SCORES) == ['0.70']
        assert browser.errors == []
        own = [
            request for request in browser.requests if not request.startswith(('blob:', 'data:'))
        ]
        assert own and {request.startswith(url) for request in own} == {True}


def test_files_are_chosen_and_one_that_is_no_picture_is_told(browser, tmp_path):
    reader = open_reader(tiny_detector(tmp_path / 'tiny.onnx'))
    paths = [tmp_path / 'first.png', tmp_path / 'second.png']
    for path in paths:
        path.write_bytes(as_file(noise(30, 40)))
    with served(reader) as url:
        open_page(browser, url)
        browser.choose_files('#files', *paths)
        browser.wait_for("document.body.dataset.state === 'done'")
        assert text_of(browser, 'caption').startswith('first.png, 40')
        assert browser.evaluate("document.querySelectorAll('#strip button').length") == 2
        browser.evaluate("document.querySelectorAll('#strip button')[1].click()")
        browser.wait_for("document.getElementById('caption').textContent.startsWith('second.png')")
        drop(browser, b'this is none', 'broken.png')
        assert 'broken.png: the file is no picture' in text_of(browser, 'message')
        assert 'send a JPEG, PNG or WebP' in text_of(browser, 'message')


@pytest.mark.parametrize(
    ('dark', 'colour'), [(False, 'rgb(255, 255, 255)'), (True, 'rgb(20, 23, 26)')]
)
def test_the_page_is_light_or_dark_as_its_user_is_used_to(browser, tmp_path, dark, colour):
    with served(open_reader(tiny_classifier(tmp_path / 'tiny.onnx'))) as url:
        open_page(browser, url, dark=dark)
        background = 'getComputedStyle(document.body).backgroundColor'
        assert browser.evaluate(background) == colour


def test_classes_of_pixels_are_shown_in_their_colours(browser, tmp_path):
    reader = open_reader(tiny_segmentor(tmp_path / 'tiny.onnx'))
    image = np.zeros((20, 40, 3), np.uint8)
    image[:, :10, 0] = image[:, 10:, 2] = 200
    with served(reader) as url:
        open_page(browser, url)
        drop(browser, as_file(image))
        assert text_of(browser, 'classes') == 'blue75.0 %red25.0 %'
        set_opacity = (
            "document.getElementById('opacity').value = 1;"
            "document.getElementById('opacity').dispatchEvent(new Event('input'))"
        )
        browser.evaluate(set_opacity)
        colours = reader.colours(3)
        assert browser.evaluate(PIXEL.format(x=4 * 5, y=40))[:3] == list(colours[0])
        assert browser.evaluate(PIXEL.format(x=4 * 30, y=40))[:3] == list(colours[2])


def test_the_most_probable_classes_are_shown(browser, tmp_path):
    reader = open_reader(tiny_classifier(tmp_path / 'tiny.onnx'))
    image = np.full((8, 8, 3), (10, 60, 200), np.uint8)
    expected = [f'{score:.2f}' for score in sorted(reader(image).tolist(), reverse=True)]
    with served(reader) as url:
        open_page(browser, url)
        drop(browser, as_file(image))
        assert browser.evaluate(SCORES) == expected
        names = "[...document.querySelectorAll('#objects .name')].map((cell) => cell.textContent)"
        assert browser.evaluate(names) == ['blue', 'green', 'red']
