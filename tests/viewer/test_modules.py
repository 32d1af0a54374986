"""The page's modules that compute: they do bit by bit what Python does. Needs Node.js."""

import base64
import json
import shutil
import subprocess

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from repnext_mm.runtime import paste_masks
from repnext_mm.runtime.size_rules import (
    CenterCrop,
    Resize,
    ResizeEdge,
    ResizeToMultiple,
    apply_rules,
    fit_static,
)
from repnext_mm.viewer import IN_BROWSER, page_files

NODE = shutil.which('node')
pytestmark = pytest.mark.skipif(NODE is None, reason='Node.js is not installed')

RUNNER = """
import { readFileSync } from 'node:fs';
const { module, name, calls } = JSON.parse(readFileSync(0));
const imported = await import(`./${module}`);
const revive = (key, value) =>
  value?.bytes !== undefined ? new Uint8Array(Buffer.from(value.bytes, 'base64'))
  : value?.floats !== undefined ? Float32Array.from(value.floats) : value;
const flatten = (key, value) =>
  value instanceof Uint8Array ? { bytes: Buffer.from(value).toString('base64') } : value;
const results = calls.map((call) => imported[name](...JSON.parse(JSON.stringify(call), revive)));
console.log(JSON.stringify(results, flatten));
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """The modules as the browser gets them, where Node.js takes them for modules too."""
    folder = tmp_path_factory.mktemp('modules')
    for name, content in page_files(IN_BROWSER).items():
        (folder / name).write_bytes(content)
    (folder / 'package.json').write_text('{"type": "module"}')
    (folder / 'runner.js').write_text(RUNNER)
    return folder


@pytest.fixture
def compute(folder):
    """Calls a function of a module, once for each list of arguments."""

    def call(module, name, *calls):
        result = subprocess.run(
            [NODE, 'runner.js'],
            input=json.dumps(dict(module=module, name=name, calls=calls)),
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    return call


def packed(array):
    return dict(bytes=base64.b64encode(np.ascontiguousarray(array).tobytes()).decode())


def given(image):
    return dict(data=packed(image), width=image.shape[1], height=image.shape[0])


def unpacked(image):
    data = np.frombuffer(base64.b64decode(image['data']['bytes']), np.uint8)
    return data.reshape(image['height'], image['width'], 3)


def random_image(width, height):
    return (
        np.random.default_rng(width * height).integers(0, 256, (height, width, 3)).astype(np.uint8)
    )


SIZES = [(131, 90), (64, 48), (5, 7), (1, 1), (200, 100), (3, 211)]
PILLOW = ('box', 'bilinear', 'hamming', 'bicubic', 'lanczos')
RULES = [
    (Resize('bilinear', 'cv2', True, scale=(120, 80)),),
    (Resize('bilinear', 'cv2', True, scale=(333, 200)),),
    (Resize('bilinear', 'cv2', False, factor=(0.5, 0.5)),),
    (Resize('bilinear', 'cv2', False, factor=(1.7, 0.4)),),
    (Resize('bilinear', 'cv2', False, scale=(17, 92)),),
    *((ResizeEdge(name, 'pillow', 37, edge),) for name in PILLOW for edge in ('short', 'width')),
    (ResizeEdge('bicubic', 'pillow', 150, 'long'), CenterCrop((113, 80))),
    (ResizeToMultiple('bilinear', 'cv2', (32, 16)),),
    (CenterCrop((64, 31)),),
]


def test_images_get_their_size_as_in_python(compute):
    """Bit by bit with OpenCV, and with Pillow where that resizes across first; else nearly."""
    cases = []
    for size in SIZES:
        for rules in RULES:
            image = random_image(*size)
            try:
                cases.append((rules, image, apply_rules(image, rules)))
            except ValueError:
                continue  # nothing would remain
    calls = [[given(image), [rule.to_json() for rule in rules]] for rules, image, _ in cases]
    found = compute('preparing.js', 'applyRules', *calls)
    assert len(cases) > 80
    for (rules, original, expected), prepared in zip(cases, found, strict=True):
        image = unpacked(prepared['image'])
        assert image.shape == expected.image.shape
        difference = np.abs(image.astype(int) - expected.image)
        of_pillow = any(getattr(rule, 'backend', '') == 'pillow' for rule in rules)
        is_tall = original.shape[0] > original.shape[1]
        if of_pillow and is_tall:
            assert difference.max() <= 4 and difference.mean() < 0.5, (rules, original.shape)
        else:
            assert not difference.any(), (rules, original.shape)
        assert tuple(prepared['scale']) == expected.scale


def test_an_image_without_remains_is_an_error(compute):
    rule = Resize('bilinear', 'cv2', True, scale=(120, 80)).to_json()
    with pytest.raises(AssertionError, match='1 x 2000 pixels is too narrow'):
        compute('preparing.js', 'applyRules', [given(random_image(1, 2000)), [rule]])


@pytest.mark.parametrize('order', ['RGB', 'BGR'])
def test_images_are_fitted_into_a_fixed_size(compute, order):
    mean = [123.675, 116.28, 103.53]
    fill = mean[::-1] if order == 'BGR' else mean
    spec = dict(static_shape=[60, 100], mean=mean, network_channel_order=order)
    images = [random_image(*size) for size in [(100, 60), (131, 90), (40, 30), (20, 211)]]
    found = compute('preparing.js', 'fitStatic', *([given(image), spec] for image in images))
    for image, prepared in zip(images, found, strict=True):
        expected = fit_static(image, (60, 100), fill)
        assert np.array_equal(unpacked(prepared['image']), expected.image)
        np.testing.assert_allclose(prepared['scale'], expected.scale, rtol=1e-12)


def random_masks():
    random = np.random.default_rng(7)
    yield from (random.random((13, 9)) < share for share in (0, 0.02, 0.5, 1))
    yield np.arange(40 * 300).reshape(40, 300) % 7000 < 3500  # long runs


def test_runs_are_those_of_coco(compute):
    masks = list(random_masks())
    runs = [coco_mask.encode(np.asfortranarray(mask, np.uint8)) for mask in masks]
    plain = [dict(size=entry['size'], counts=entry['counts'].decode()) for entry in runs]
    found = compute('masks.js', 'decodeRuns', *([entry] for entry in plain))
    for mask, entry in zip(masks, found, strict=True):
        data = np.frombuffer(base64.b64decode(entry['data']['bytes']), np.uint8)
        assert np.array_equal(data.reshape(mask.shape), mask)
    calls = []
    for mask in masks:
        height, width = mask.shape
        whole = dict(left=0, top=0, width=width, height=height, data=packed(mask.astype(np.uint8)))
        calls.append([whole, width, height])
    assert compute('masks.js', 'encodeRuns', *calls) == plain


def test_masks_are_pasted_as_in_python(compute):
    random = np.random.default_rng(0)
    boxes = random.uniform(-5, 100, (40, 4)).astype(np.float32)
    boxes = np.concatenate(
        [np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])], 1
    )
    boxes[0] = [10, 10, 10, 40]  # without an area
    values = random.random((len(boxes), 28, 28)).astype(np.float32)
    calls = [
        [dict(floats=value.ravel().tolist()), 28, box.tolist(), 97, 71, 0.5]
        for value, box in zip(values, boxes, strict=True)
    ]
    expected = paste_masks(values, boxes, (71, 97), 0.5)
    found = np.zeros_like(expected)
    for target, mask in zip(found, compute('masks.js', 'pasteMask', *calls), strict=True):
        data = np.frombuffer(base64.b64decode(mask['data']['bytes']), np.uint8)
        rows = slice(mask['top'], mask['top'] + mask['height'])
        columns = slice(mask['left'], mask['left'] + mask['width'])
        target[rows, columns] = data.reshape(mask['height'], mask['width'])
    assert expected.any() and (found != expected).sum() <= 2e-5 * expected.size
