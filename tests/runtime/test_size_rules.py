"""Rules for the size of images: the same pixels as the transforms of OpenMMLab."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest
from mmdet.registry import TRANSFORMS as MMDET
from mmengine.config import Config
from mmpretrain.registry import TRANSFORMS as MMPRETRAIN
from mmseg.registry import TRANSFORMS as MMSEG
from PIL import Image

from repnext_mm.export.pipeline import UnsupportedStepError, resize_rules
from repnext_mm.runtime import size_rules
from repnext_mm.runtime.images import read_image
from repnext_mm.runtime.size_rules import apply_rules, fit_static, rule_from_json

pytestmark = pytest.mark.distribution

CONFIGS = Path(__file__).parents[2] / 'configs'
FILES = {
    '_base_/datasets/coco_instance.py': MMDET,
    'demo/mask_rcnn_repnext_slim_shapes.py': MMDET,
    '_base_/datasets/ade20k.py': MMSEG,
    '_base_/datasets/ade20k_aligned.py': MMSEG,
    'demo/upernet_repnext_slim_shapes.py': MMSEG,
    '_base_/datasets/imagenet_repeated.py': MMPRETRAIN,
}
STEPS = [
    (MMDET, dict(type='Resize', scale=97)),
    (MMDET, dict(type='Resize', scale=(80, 61), interpolation='area')),
    (MMDET, dict(type='Resize', scale=(80, 61), keep_ratio=True, interpolation='lanczos')),
    (MMSEG, dict(type='Resize', scale_factor=0.37, interpolation='nearest')),
    (MMSEG, dict(type='Resize', scale_factor=(1.5, 0.61), keep_ratio=True)),
    (MMSEG, dict(type='ResizeToMultiple', size_divisor=7, interpolation='bicubic')),
    (MMSEG, dict(type='ResizeToMultiple', size_divisor=(8, 5))),
    (MMPRETRAIN, dict(type='Resize', scale=(50, 71), backend='pillow', interpolation='lanczos')),
    *(
        (MMPRETRAIN, dict(type='ResizeEdge', scale=43, edge=edge, backend=backend))
        for edge in ('short', 'long', 'width', 'height')
        for backend in ('cv2', 'pillow')
    ),
    (MMPRETRAIN, dict(type='ResizeEdge', scale=43, backend='pillow', interpolation='hamming')),
    (MMPRETRAIN, dict(type='CenterCrop', crop_size=40)),
    (MMPRETRAIN, dict(type='CenterCrop', crop_size=(17, 32))),
    (MMDET, dict(type='Pad', size=(90, 60), pad_val=dict(img=(114, 114, 114)))),
    (MMDET, dict(type='Pad', size_divisor=32)),
    (MMDET, dict(type='Pad', pad_to_square=True, size_divisor=7, pad_val=9)),
]
SIZES = [(53, 81), (81, 53), (40, 40), (9, 7), (211, 100)]
IMAGE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)


def picture(height: int, width: int) -> np.ndarray:
    """Random, but smooth enough for interpolations to differ by little."""
    noise = np.random.default_rng([height, width]).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.GaussianBlur(noise, (3, 3), 0)


def expected(registry, steps: list[dict], image: np.ndarray) -> dict:
    """The result of the real transforms, which get BGR."""
    bgr = np.ascontiguousarray(image[..., ::-1])
    results = dict(img=bgr, img_shape=bgr.shape[:2], ori_shape=bgr.shape[:2])
    for step in steps:
        results = registry.build(step)(results)
    return results


def check(registry, steps: list[dict], size: tuple[int, int]) -> None:
    """Compares pixels and scale, with rules that have been through JSON."""
    image = picture(*size)
    before = image.copy()
    rules = resize_rules(steps)
    again = [rule_from_json(json.loads(json.dumps(rule.to_json()))) for rule in rules]
    assert again == rules
    prepared = apply_rules(image, again)
    resizing = [step for step in steps if not step['type'].startswith(('Load', 'Pack'))]
    reference = expected(registry, resizing, image)
    assert np.array_equal(prepared.image, reference['img'][..., ::-1])
    assert prepared.image.dtype == np.uint8 and prepared.image.flags.c_contiguous
    if sum(step['type'].startswith('Resize') for step in resizing) == 1:
        assert prepared.scale == reference.get('scale_factor', prepared.scale)
    assert np.array_equal(image, before)


@pytest.mark.parametrize('file', FILES)
@pytest.mark.parametrize('size', [(427, 640), (641, 333), (31, 500), (5, 3)])
def test_pixels_are_those_of_our_pipelines(file, size):
    pipeline = Config.fromfile(CONFIGS / file).test_pipeline
    assert resize_rules(pipeline)
    check(FILES[file], pipeline, size)


@pytest.mark.parametrize('registry, step', STEPS, ids=lambda value: str(value)[:60])
@pytest.mark.parametrize('size', SIZES)
def test_pixels_are_those_of_each_step(registry, step, size):
    check(registry, [step], size)


def test_steps_follow_one_another():
    crop = dict(type='CenterCrop', crop_size=(31, 20))
    enlarge = dict(type='Resize', scale=(62, 60))
    steps = [dict(type='Resize', scale=(64, 50)), crop, enlarge]
    check(MMDET, steps, (100, 128))
    prepared = apply_rules(picture(100, 128), resize_rules(steps))
    assert prepared.scale == (1.0, 1.5)


def test_types_may_have_scopes_or_be_classes():
    resize = MMDET.get('Resize')
    for kind in ('Resize', 'mmdet.Resize', 'mmdet.datasets.transforms.Resize', resize):
        pipeline = [dict(type='mmdet.LoadImageFromFile'), dict(type=kind, scale=9)]
        assert [rule.scale for rule in resize_rules(pipeline)] == [(9, 9)]


@pytest.mark.parametrize(
    'step, name, reason',
    [
        (dict(type='mmdet.TestTimeAug', transforms=[]), 'TestTimeAug', 'TestTimeAug of'),
        (dict(type='RandomFlip', prob=0.5), 'RandomFlip', 'known are Resize, '),
        (dict(type='Pad', size=(8, 8), padding_mode='edge'), 'Pad', 'edge'),
        (dict(type='Pad', size=(8, 8), pad_val=dict(img=(1, 2, 3))), 'Pad', 'no grey'),
        (dict(type='torchvision/Resize', size=3), 'torchvision/Resize', 'torchvision/Resize'),
        (dict(type='Resize', size=3), 'Resize', "'size'"),
        (dict(type='Resize'), 'Resize', 'None'),
        (dict(type='Resize', scale=(1333, float('inf'))), 'Resize', 'inf'),
        (dict(type='Resize', scale=9, interpolation='box'), 'Resize', 'box'),
        (dict(type='Resize', scale=9, backend='tifffile'), 'Resize', 'tifffile'),
        (dict(type='ResizeEdge'), 'ResizeEdge', "'scale'"),
        (dict(type='ResizeEdge', scale=(3, 4)), 'ResizeEdge', r'\(3, 4\)'),
        (dict(type='ResizeEdge', scale=3, edge='left'), 'ResizeEdge', 'left'),
        (dict(type='CenterCrop', crop_size=3, auto_pad=True), 'CenterCrop', 'auto_pad'),
        (dict(type='LoadImageFromFile', to_float32=True), 'LoadImageFromFile', 'to_float32'),
        (dict(type='LoadImageFromFile', imdecode_backend='pillow'), 'LoadImageFromFile', 'pillow'),
        (dict(scale=3), '', 'known are'),
        (object(), 'object', 'object'),
    ],
)
def test_other_steps_are_named(step, name, reason):
    with pytest.raises(UnsupportedStepError, match=reason) as caught:
        resize_rules([dict(type='LoadAnnotations', imdecode_backend='pillow'), step])
    assert caught.value.step == name


def test_images_that_would_vanish_and_rules_of_the_future_are_reported():
    rules = resize_rules([dict(type='Resize', scale=(100, 50), keep_ratio=True)])
    with pytest.raises(ValueError, match=r'900 x 2 pixels would be resized to 100 x 0'):
        apply_rules(picture(2, 900), rules)
    with pytest.raises(ValueError, match=r"'warp'.*resize_edge.*newer"):
        rule_from_json(dict(type='warp'))
    with pytest.raises(ValueError, match=r"'center_crop' .*does not take .*'radius'"):
        rule_from_json(dict(type='center_crop', radius=3))


@pytest.mark.parametrize('extension', ['jpg', 'png', 'bmp'])
@pytest.mark.parametrize('kind', [str, Path])
def test_files_are_read_as_mmcv_does(tmp_path, extension, kind):
    path = tmp_path / f'ä.{extension}'
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture(30, 20)).save(path, exif=exif)
    image = read_image(kind(path))
    assert np.array_equal(image, mmcv.imread(str(path))[..., ::-1])
    assert image.shape == ((20, 30, 3) if extension == 'jpg' else image.shape)
    assert image.flags.c_contiguous


@pytest.mark.parametrize('mode', ['L', 'RGBA', 'P', '1', 'I;16'])
def test_files_of_other_modes_become_rgb(tmp_path, mode):
    path = tmp_path / 'image.png'
    if mode == 'I;16':
        Image.fromarray(picture(9, 8)[..., 0].astype(np.uint16) * 200).save(path)
    else:
        Image.fromarray(picture(9, 8)).convert(mode).save(path)
    assert np.array_equal(read_image(path), mmcv.imread(str(path))[..., ::-1])


def test_arrays_stay_as_they_are():
    assert read_image(IMAGE) is IMAGE
    flipped = IMAGE[:, ::-1]
    prepared = apply_rules(read_image(flipped), [])
    assert np.array_equal(prepared.image, flipped) and prepared.image.flags.c_contiguous


@pytest.mark.parametrize(
    'image, error, message',
    [
        (IMAGE / 255, TypeError, r'float64.*255 \* image'),
        (IMAGE.astype(np.int64) * 9, ValueError, r'0 to 255, got \d+ to \d{4} in int64: scale'),
        (IMAGE.astype(np.int64) - 300, ValueError, r'got -\d+ to -\d+ in int64'),
        (IMAGE.tolist(), TypeError, 'got list'),
        (Image.new('I;16', (6, 8)), ValueError, r"mode 'I;16'.*convert it to 'RGB'"),
        (
            'https://example.org/a.jpg',
            ValueError,
            r"'https://example.org/a.jpg' is a URL, .*urlopen",
        ),
        (None, TypeError, 'got NoneType'),
        (IMAGE[..., 0], ValueError, r'\(6, 8\): numpy.dstack'),
        (IMAGE[..., :1], ValueError, r'\(6, 8, 1\): numpy.dstack'),
        (np.dstack([IMAGE, IMAGE[..., 0]]), ValueError, r'\(6, 8, 4\).*alpha'),
        (IMAGE.transpose(2, 0, 1), ValueError, r'\(3, 6, 8\).*transpose'),
        (IMAGE[None], ValueError, r'\(1, 6, 8, 3\).*one by one'),
        (IMAGE[..., :2], ValueError, r'\(6, 8, 2\): RGB'),
        (IMAGE[:0], ValueError, r'pixels.*\(0, 8, 3\)'),
    ],
)
def test_other_arrays_are_refused_with_advice(image, error, message):
    with pytest.raises(error, match=message):
        read_image(image)


def test_missing_and_other_files_are_reported(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no image .*nothing\.jpg'):
        read_image(tmp_path / 'nothing.jpg')
    for content in (b'', b'text', b'\x89PNG\r\n\x1a\n' + bytes(40)):
        (tmp_path / 'other.png').write_bytes(content)
        with pytest.raises(ValueError, match=r'other\.png is no image'):
            read_image(tmp_path / 'other.png')


def test_small_images_are_padded_to_a_fixed_size():
    prepared = fit_static(IMAGE, (7, 11), [123.675, 116.28, 300])
    assert prepared.scale == (1.0, 1.0)
    assert prepared.image.shape == (7, 11, 3) and np.array_equal(prepared.image[:6, :8], IMAGE)
    for part in (prepared.image[6:], prepared.image[:, 8:]):
        assert (part == [124, 116, 255]).all()
    assert np.array_equal(fit_static(IMAGE, (6, 8), [0, 0, 0]).image, IMAGE)


@pytest.mark.parametrize('size', [(200, 90), (60, 300), (41, 51), (400, 1)])
def test_large_images_are_scaled_down_to_a_fixed_size(size):
    image = picture(*size)
    prepared = fit_static(image, (40, 50), (1, 2, 3))
    width, height = (
        round(factor * side) for factor, side in zip(prepared.scale, size[::-1], strict=True)
    )
    assert prepared.image.shape == (40, 50, 3) and prepared.image.flags.c_contiguous
    assert height == 40 or width == 50
    assert np.array_equal(prepared.image[:height, :width], mmcv.imresize(image, (width, height)))
    assert (prepared.image[height:] == (1, 2, 3)).all()
    assert (prepared.image[:, width:] == (1, 2, 3)).all()
    assert abs(width / height - size[1] / size[0]) <= max(1 / height, 1 / width)


@pytest.mark.parametrize(
    'module, rule, package',
    [
        ('cv2', dict(type='Resize', scale=9), 'opencv-python-headless'),
        ('PIL.Image', dict(type='Resize', scale=9, backend='pillow'), 'pillow'),
    ],
)
def test_missing_packages_are_named(monkeypatch, module, rule, package):
    rules = resize_rules([rule])
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=f'pip install {package}'):
        apply_rules(IMAGE, rules)


def test_nothing_of_openmmlab_is_needed():
    folder = Path(importlib.util.find_spec(size_rules.__name__).origin).parent
    (rule,) = resize_rules([dict(type='Resize', scale=9)])
    script = (
        'import sys, types\n'
        "for name in ('torch', 'mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain', 'PIL'):\n"
        '    sys.modules[name] = None\n'
        "for name in ('repnext_mm', 'repnext_mm.runtime'):\n"  # without what they import
        '    sys.modules[name] = types.ModuleType(name)\n'
        f'    sys.modules[name].__path__ = [{str(folder)!r}]\n'
        'from repnext_mm.runtime.size_rules import apply_rules, rule_from_json\n'
        'import numpy\n'
        f'rules = [rule_from_json({rule.to_json()})]\n'
        'image = apply_rules(numpy.zeros((4, 4, 3), numpy.uint8), rules).image\n'
        'assert image.shape == (9, 9, 3)'
    )
    subprocess.run([sys.executable, '-c', script], check=True)
