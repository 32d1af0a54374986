"""The network in a headless Chromium finds what the Python reader finds.

It needs ONNX Runtime Web: the environment variable ``ONNXRUNTIME_WEB`` names its archive or folder.
"""

import base64
import functools
import http.server
import os
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from chromium import CHROMIUM, chromium
from exports import DETECTORS, small_config, small_model
from noise import noise
from pycocotools import mask as coco_mask
from tiny_networks import tiny_classifier, tiny_detector, tiny_segmentor

from repnext_mm.export import ExportOptions, export_model
from repnext_mm.export.tasks.detection import compare_detections
from repnext_mm.runtime import Detections, open_reader
from repnext_mm.runtime.size_rules import CenterCrop, Resize, ResizeEdge
from repnext_mm.web import pack, read_package

ONNXRUNTIME_WEB = os.environ.get('ONNXRUNTIME_WEB')

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason='Chromium is not installed'),
    pytest.mark.skipif(not ONNXRUNTIME_WEB, reason='ONNXRUNTIME_WEB names no package'),
]

OPEN = """
Promise.all([import('./network.js'), import('./masks.js')]).then(async ([network, masks]) => {
  window.masks = masks;
  window.network = await network.openNetwork();
})
"""
PREDICT = """
(async () => {{
  const bytes = Uint8Array.from(atob('{content}'), (letter) => letter.charCodeAt(0));
  const found = await window.network.predict(new Blob([bytes]));
  const runs = (mask) => mask && window.masks.encodeRuns(mask, found.width, found.height);
  const objects = found.objects?.map((object) => ({{ ...object, mask: runs(object.mask) }}));
  return {{ ...found, objects, labels: found.labels && [...found.labels] }};
}})()
"""


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder as ``python -m http.server`` does, and says nothing."""

    def log_message(self, *arguments):
        """Nothing."""


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp('chromium')) as browser:
        yield browser


@pytest.fixture
def in_browser(browser, tmp_path):
    """Opens a file in the browser; gives a function from a picture's content to what is found."""
    servers = []

    def open_there(model):
        folder = tmp_path / 'web'
        pack(model, read_package(Path(ONNXRUNTIME_WEB)), folder)
        handler = functools.partial(Handler, directory=str(folder))
        servers.append(http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler))
        threading.Thread(target=servers[0].serve_forever).start()
        url = f'http://127.0.0.1:{servers[0].server_port}/'
        browser.open(url)
        browser.wait_for("document.body?.dataset.state === 'empty'")
        browser.evaluate(OPEN)
        assert browser.errors == []
        assert all(request.startswith((url, 'blob:', 'data:')) for request in browser.requests)

        def predict(content):
            return browser.evaluate(PREDICT.format(content=base64.b64encode(content).decode()))

        return predict

    yield open_there
    for server in servers:
        server.shutdown()
        server.server_close()
    browser.requests.clear()


def pictures(count, folder):
    """PNG and JPEG files in turn, of several sizes; some are larger than the network's images."""
    for number in range(count):
        path = folder / (f'{number}.png' if number % 2 else f'{number}.jpg')
        image = noise(60 + 17 * number, 131 - 9 * number, seed=number)
        cv2.imwrite(str(path), cv2.GaussianBlur(image, (5, 5), 0))
        yield path


def as_detections(found):
    objects = found['objects']
    boxes = np.array([entry['bbox'] for entry in objects], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    masks = [
        coco_mask.decode(dict(size=runs['size'], counts=runs['counts'].encode()))
        for runs in (entry['mask'] for entry in objects)
    ]
    return Detections(
        boxes,
        np.array([entry['score'] for entry in objects], np.float32),
        np.array([entry['label'] for entry in objects], np.int64),
        np.array(masks, bool),
    )


def test_detections_are_those_of_python_on_ten_images(in_browser, tmp_path):
    """Boxes within 0.02 pixels, scores within 1e-4, masks within half a percent of their pixels."""
    cfg = small_config(DETECTORS[0])
    for step in cfg.test_dataloader.dataset.pipeline:
        if step.type == 'Resize':
            step.scale = (120, 80)
    options = ExportOptions(shape=(64, 96))
    model = export_model(small_model(cfg), tmp_path / 'model.onnx', cfg, options).path
    reader, predict = open_reader(model), in_browser(model)
    count = 0
    for path in pictures(10, tmp_path):
        expected, found = reader(path), as_detections(predict(path.read_bytes()))
        differences = compare_detections(expected, found)
        assert len(found.scores) == len(expected.scores) > 0, path.name
        assert differences['unmatched'] == 0 and differences['box'] < 0.02, path.name
        assert differences['score'] < 1e-4 and differences['mask'] < 0.005, path.name
        count += len(found.scores)
    assert count > 20


def test_a_fixed_size_is_filled_as_in_python(in_browser, tmp_path):
    """Its boxes reach into what was added, and the last one lies there as a whole."""
    model = tiny_detector(tmp_path / 'tiny.onnx', static_shape=(40, 50))
    reader, predict = open_reader(model), in_browser(model)
    for width, height in [(25, 20), (9, 12), (131, 90)]:
        cv2.imwrite(str(tmp_path / 'image.png'), noise(height, width))
        expected = reader(tmp_path / 'image.png')
        found = as_detections(predict((tmp_path / 'image.png').read_bytes()))
        assert len(found.scores) == len(expected.scores) > 0
        np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-4)
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
        assert np.array_equal(found.masks, expected.masks)


SEGMENTORS = {
    'whole': dict(resize=(Resize('bilinear', 'cv2', True, scale=(50, 40)),)),
    'enlarged with aligned corners': dict(
        resize=(Resize('bilinear', 'cv2', True, scale=(150, 70)),), align_corners=True
    ),
    'in windows': dict(window=dict(crop_size=[32, 48], stride=[20, 30])),
    'of a fixed size': dict(static_shape=(48, 64)),
}


@pytest.mark.parametrize('case', SEGMENTORS)
def test_classes_of_pixels_are_those_of_python(in_browser, tmp_path, case):
    model = tiny_segmentor(tmp_path / 'tiny.onnx', **SEGMENTORS[case])
    reader, predict = open_reader(model), in_browser(model)
    for path in pictures(3, tmp_path):
        expected = reader(path)
        found = np.array(predict(path.read_bytes())['labels']).reshape(expected.shape)
        assert len(np.unique(expected)) == 3 and (found != expected).mean() < 1e-3


def test_probabilities_are_those_of_python(in_browser, tmp_path):
    rules = (ResizeEdge('bicubic', 'pillow', 64, 'short'), CenterCrop((56, 56)))
    model = tiny_classifier(tmp_path / 'tiny.onnx', resize=rules)
    reader, predict = open_reader(model), in_browser(model)
    for path in pictures(3, tmp_path):
        scores = {entry['label']: entry['score'] for entry in predict(path.read_bytes())['scores']}
        expected = reader(path)
        np.testing.assert_allclose([scores[i] for i in range(len(expected))], expected, atol=1e-6)


def test_a_file_that_is_no_picture_is_told(in_browser, tmp_path):
    predict = in_browser(tiny_detector(tmp_path / 'tiny.onnx'))
    with pytest.raises(AssertionError, match='no picture that the browser can read'):
        predict(b'none')
