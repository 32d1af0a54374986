"""Exported files in use: from a picture to what is in it, as the config's test pipeline has it."""

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
import torch
from copies import Run, copies_of
from exports import CLASSIFIERS, DETECTORS, SEGMENTORS, noise, small_config, small_model
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope

from repnext_mm.export import Classifier, Detector, ExportOptions, Segmentor, export_model
from repnext_mm.export.tasks.detection import compare_detections, match
from repnext_mm.runtime import (
    Detections,
    open_reader,
    open_session,
    paste_masks,
)

distribution = pytest.mark.distribution  # where the mm packages say what is right

SIZE = (90, 131)


@pytest.fixture(scope='module')
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp('picture') / 'image.png'
    cv2.imwrite(str(path), noise(*SIZE)[:, :, ::-1])
    return path


def exported(name, folder, scale):
    """A config with small test images, its model, and the model as ONNX."""
    cfg = small_config(name)
    pipeline = cfg.test_dataloader.dataset.pipeline
    for step in pipeline:
        if step.type == 'Resize':
            step.scale = scale
    model = small_model(cfg)
    options = ExportOptions(shape=(64, 96))
    path = export_model(model, folder / f'{name}.onnx', cfg, options).path
    steps = [step for step in pipeline if step.type != 'LoadAnnotations']
    if cfg.default_scope == 'mmdet':
        steps[-1].meta_keys = ('ori_shape', 'img_shape', 'scale_factor')
    return cfg, model, path, steps


@pytest.fixture(scope='module')
def detector(tmp_path_factory):
    return exported(DETECTORS[0], tmp_path_factory.mktemp('detector'), (120, 80))


@pytest.fixture(scope='module')
def classifier(tmp_path_factory):
    return exported(CLASSIFIERS[0], tmp_path_factory.mktemp('classifier'), None)


@pytest.fixture(scope='module')
def segmentor(tmp_path_factory):
    return exported(SEGMENTORS[2], tmp_path_factory.mktemp('segmentor'), (150, 70))


@pytest.fixture(scope='module')
def run() -> Iterator[Run]:
    """Runs code in a process that can import no mm package."""
    blocked = """
import sys
for name in ('mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain'):
    sys.modules[name] = None
import torch, torchvision
"""
    with copies_of(blocked) as run:
        yield run


def predict(exported_model, picture):
    """What the model in torch says of a picture through the config's pipeline."""
    cfg, model, _, steps = exported_model
    init_default_scope(cfg.default_scope)
    data = Compose(steps)(dict(img_path=str(picture)))
    batch = {name: [value] for name, value in data.items()}
    if cfg.default_scope == 'mmpretrain':
        batch['inputs'] = batch['inputs'][0][None]
    with torch.no_grad():
        return model.test_step(batch)[0]


@distribution
def test_detector_takes_a_picture_as_the_pipeline_does(detector, picture):
    expected = predict(detector, picture).pred_instances.numpy()
    found = Detector(detector[2])(picture)
    reference = Detections(expected.bboxes, expected.scores, expected.labels, expected.masks)
    differences = compare_detections(reference, found)
    assert len(found) > 0 and found.masks.shape[1:] == SIZE
    assert differences['unmatched'] <= 0.1 and differences['box'] < 1e-2
    assert differences['score'] < 1e-4 and differences['mask'] < 0.02


@distribution
def test_segmentor_takes_a_picture_as_the_pipeline_does(segmentor, picture):
    expected = predict(segmentor, picture).pred_sem_seg.data[0].numpy()
    found = Segmentor(segmentor[2])(picture)
    assert found.shape == SIZE and (found != expected).mean() < 1e-3


@distribution
def test_classifier_takes_a_picture_as_the_pipeline_does(classifier, picture):
    expected = predict(classifier, picture).pred_score.numpy()
    np.testing.assert_allclose(Classifier(classifier[2])(picture), expected, atol=1e-5)


def test_threshold_leaves_less_certain_detections_out(detector, picture):
    reader = Detector(detector[2])
    found = reader(picture)
    threshold = float(np.median(found.scores))
    kept = reader(picture, score_threshold=threshold)
    assert 0 < len(kept.scores) < len(found.scores) and kept.scores.min() >= threshold
    assert len(kept.masks) == len(kept.boxes) == len(kept.labels) == len(kept.scores)


def test_pictures_show_what_was_found(detector, segmentor, picture, tmp_path):
    Detector(detector[2])(picture, picture=tmp_path / 'found.png')
    Segmentor(segmentor[2])(picture, picture=tmp_path / 'classes.png')
    before = cv2.imread(str(picture))
    found = cv2.imread(str(tmp_path / 'found.png'))
    assert found.shape == before.shape and (found != before).any()
    classes = cv2.imread(str(tmp_path / 'classes.png'))
    assert classes.shape[0] > SIZE[0] and classes.shape[1] >= SIZE[1]


def test_readers_need_no_mm_package(detector, segmentor, picture, run):
    code = """
from repnext_mm.export import Detector, Segmentor
print(len(Detector(sys.argv[1])(sys.argv[3]).scores), Segmentor(sys.argv[2])(sys.argv[3]).shape)
"""
    count = len(Detector(detector[2])(picture).scores)
    assert run(code, detector[2], segmentor[2], picture) == f'{count} {SIZE}'


def test_onnx_runs_in_openvino_too(detector, picture):
    found, other = (Detector(detector[2], name)(picture) for name in ('onnxruntime', 'openvino'))
    assert len(match(found, other)) >= 0.9 * len(found.scores)


def test_signals_are_handled_after_sessions_of_openvino_have_ended(classifier, run):
    """As a data loader does that waits for its workers."""
    code = """
import signal
from repnext_mm.export import open_session
signal.signal(signal.SIGUSR1, lambda *_: print('handled'))
sessions = [open_session(sys.argv[1], 'openvino') for _ in range(2)]
sessions.pop(0)
sessions.pop(0)
signal.raise_signal(signal.SIGUSR1)
"""
    assert run(code, classifier[2]) == 'handled'


def test_wrong_files_are_named(detector, tmp_path):
    with pytest.raises(ValueError, match='is for detection, not segmentation: open it with'):
        Segmentor(detector[2])
    with pytest.raises(ValueError, match=r"unknown runtime 'tensorrt' for .onnx"):
        Detector(detector[2], 'tensorrt')
    with pytest.raises(ValueError, match='is no exported file: those end in'):
        open_session(tmp_path / 'model.pth')
    with pytest.raises(FileNotFoundError, match='there is no exported file'):
        open_session(tmp_path / 'model.onnx')
    import onnx

    foreign = onnx.load(detector[2])
    del foreign.metadata_props[:]
    onnx.save(foreign, tmp_path / 'foreign.onnx')
    with pytest.raises(ValueError, match="has no metadata 'repnext_mm'"):
        open_session(tmp_path / 'foreign.onnx')
    half = detector[2].read_bytes()[: detector[2].stat().st_size // 2]
    (tmp_path / 'half.onnx').write_bytes(half)
    for runtime in ('onnxruntime', 'openvino'):
        with pytest.raises(ValueError, match=r'half\.onnx cannot be opened: '):
            open_session(tmp_path / 'half.onnx', runtime)


def test_readers_are_chosen_by_task_and_take_options_of_the_runtime(detector, segmentor, picture):
    assert isinstance(open_reader(detector[2]), Detector)
    assert isinstance(open_reader(segmentor[2], 'openvino'), Segmentor)
    session = open_session(detector[2], providers=['CPUExecutionProvider'])
    assert len(Detector(session)(picture).scores) == len(Detector(detector[2])(picture).scores)
    other = open_session(detector[2], 'openvino', config=dict(INFERENCE_NUM_THREADS=1))
    assert other.compiled.get_property('INFERENCE_NUM_THREADS') == 1
    assert str(other.compiled.get_property('INFERENCE_PRECISION_HINT')).endswith("'float32'>")
    with pytest.raises(ValueError, match=r'cannot be opened: .*Nonsense'):
        open_session(detector[2], providers=['NonsenseExecutionProvider'])


@pytest.mark.parametrize(
    'images',
    [
        np.zeros((64, 64, 3), np.uint8),
        np.zeros((1, 64, 64, 3), np.float32),
        np.zeros((1, 3, 64, 64), np.uint8),
        np.zeros((2, 64, 64, 3), np.uint8),
        np.zeros((1, 0, 64, 3), np.uint8),
    ],
    ids=lambda images: f'{images.dtype}-{images.shape}',
)
def test_wrong_input_is_named(detector, images):
    with pytest.raises(ValueError, match=r'takes uint8 RGB images of shape \(1, H, W, 3\), got'):
        open_session(detector[2])(images)


@distribution
def test_masks_are_pasted_as_in_mmdet():
    from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask

    generator = torch.Generator().manual_seed(0)
    masks = torch.rand((6, 28, 28), generator=generator)
    corners = torch.rand((6, 2), generator=generator) * 60 - 10
    boxes = torch.cat([corners, corners + torch.rand((6, 2), generator=generator) * 50], 1)
    expected, _ = _do_paste_mask(masks[:, None], boxes, 47, 61, skip_empty=False)
    pasted = paste_masks(masks.numpy(), boxes.numpy(), (47, 61), 0.5)
    assert np.array_equal(pasted, expected >= 0.5) and pasted.any()
    nothing = np.array([[5.0, 5.0, 5.0, 5.0], [-9.0, -9.0, -5.0, -5.0]], np.float32)
    assert paste_masks(masks[:2].numpy(), nothing, (47, 61), 0.5).shape == (2, 47, 61)
