"""Whole models become files that compute the same, or no file at all."""

import json
import sys
from typing import NamedTuple

import numpy as np
import onnx
import pytest
import torch
from exports import (
    BASELINES,
    CASCADES,
    CLASSES,
    CLASSIFIERS,
    DETECTORS,
    SEGMENTORS,
    noise,
    predict,
    small_config,
    small_model,
)
from torch import Tensor, nn

from repnext_mm.evaluation.exported_model import ExportedModel
from repnext_mm.export import (
    ExportOptions,
    export_model,
    exporter,
    open_session,
    preparation,
)
from repnext_mm.export.formats import FORMATS
from repnext_mm.export.tasks import task_named
from repnext_mm.export.tasks.detection import compare_detections
from repnext_mm.models import RepNeXt
from repnext_mm.reparam import fastest
from repnext_mm.runtime import Classifier, Detector, ExportedNetwork, Segmentor, open_reader

SHAPE = (64, 96)
LARGE = (160, 192)
"""For ``torch.export``, whose programs keep feature maps of one pixel apart from others."""

CASES = [
    *((name, 'fused') for name in (*DETECTORS, CASCADES[0], *SEGMENTORS[::2], *CLASSIFIERS)),
    (DETECTORS[0], 'plain'),
    (SEGMENTORS[0], 'training'),
]
ONE_OF_EACH = (DETECTORS[0], CASCADES[0], SEGMENTORS[0], SEGMENTORS[2], CLASSIFIERS[0])
"""One model of each kind, for the classic packages: the other case differs in our backbone alone."""

OTHERS = [(DETECTORS[0], 'openvino'), (SEGMENTORS[2], 'openvino')]
OTHERS += [(DETECTORS[0], 'torch-export'), (SEGMENTORS[2], 'torch-export')]
SURE = 0.62
"""A score that the first detector reaches on noise, and not on a black image."""

ODD = [(77, 51), (35, 33), (145, 181)]
"""None of them a multiple of 32."""


differences_of_logits = task_named('segmentation').compare


def export(model, path, cfg=None, **options):
    shape = LARGE if path.suffix == '.pt2' else SHAPE
    return export_model(model, path, cfg, ExportOptions(**(dict(shape=shape) | options)))


class Exported(NamedTuple):
    """A model, its state before it was exported, the report, and the open file."""

    model: nn.Module
    before: dict[str, Tensor]
    report: exporter.Report
    reader: ExportedNetwork


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    """A function that exports each model once in each way."""
    known = {}

    def get(name, suffix='.onnx', **options) -> Exported:
        key = (name, suffix, *options.items())
        if key not in known:
            cfg = small_config(name)
            if name == DETECTORS[0]:
                cfg.model.test_cfg.rcnn.score_thr = SURE
            model = small_model(cfg)
            before = {key: value.clone() for key, value in model.state_dict().items()}
            path = tmp_path_factory.mktemp('exported') / f'model{suffix}'
            report = export(model, path, cfg, **options)
            known[key] = Exported(model, before, report, open_reader(path, trust=True))
        return known[key]

    return get


@pytest.mark.parametrize(
    ('name', 'form'),
    [
        pytest.param(
            *case,
            marks=[pytest.mark.distribution] * (case[0] in ONE_OF_EACH and case[1] == 'fused'),
        )
        for case in CASES
    ],
)
def test_model_becomes_the_same_in_onnx(name, form, exported):
    model, before, report, _ = exported(name, form=form)
    assert [row.place for row in report.comparisons][:3] == ['64x96', '49x109', '73x49']
    check_other_sizes(exported(name, form=form))
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert list(report.path.parent.iterdir()) == [report.path]


@pytest.mark.parametrize(('name', 'kind'), OTHERS)
def test_model_becomes_the_same_in_other_formats(name, kind, exported):
    check_other_sizes(exported(name, FORMATS[kind].suffix))


def check_other_sizes(exported):
    """Independent of what the exporter tried: the unmerged model, at sizes of this test."""
    model, _, report, reader = exported
    task = report.metadata['task']
    for number, size in enumerate(ODD[2:] if report.path.suffix == '.pt2' else ODD):
        image = noise(*size, seed=number)
        expected = predict(model, task, image)
        if task == 'detection':
            found = reader.detect(image, (1.0, 1.0), size)
            assert len(found.scores) > 0
            differences = compare_detections(expected, found)
            assert differences['unmatched'] <= 0.1
            assert differences['score'] < 1e-4 and differences['box'] < 1e-2
            assert found.masks.shape == (len(found.scores), *size) and differences['mask'] < 0.02
        elif task == 'segmentation':
            differences = differences_of_logits(expected, torch.from_numpy(reader.segment(image)))
            assert differences['logits'] < 1e-4 and differences['pixels'] < 1e-2
        else:
            probabilities = reader.classify(image)
            np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    if task != 'detection':
        batch = np.stack([noise(*ODD[2], seed) for seed in range(3)])
        assert all(len(output) == 3 for output in reader.session(batch).values())


@pytest.mark.parametrize('suffix', ['.onnx', '.xml', '.pt2'])
def test_nothing_is_found_where_nothing_is(suffix, exported):
    options = dict(form='fused') if suffix == '.onnx' else {}
    found = exported(DETECTORS[0], suffix, **options).reader(np.zeros((100, 170, 3), np.uint8))
    assert found.boxes.shape == (0, 4) and found.masks.shape == (0, 100, 170)
    assert len(found.scores) == len(found.labels) == 0


def test_detector_without_masks(tmp_path):
    cfg = small_config(DETECTORS[0])
    for name in ('mask_head', 'mask_roi_extractor'):
        del cfg.model.roi_head[name]
    cfg.model.type = 'FasterRCNN'
    model = small_model(cfg)
    report = export(model, tmp_path / 'model.onnx', cfg)
    found = Detector(report.path)(noise(50, 70))
    assert found.masks is None and len(found.scores) > 0


@pytest.mark.parametrize('name', BASELINES)
def test_backbones_of_baselines(name, tmp_path):
    model = small_model(small_config(name))
    # timm resamples the position embeddings for other sizes in a way that ONNX lacks.
    own_size = dict(static=True, shape=(224, 224)) if 'vit' in name else {}
    report = export(model, tmp_path / 'model.onnx', part='backbone', **own_size)
    onnx_model = onnx.load(report.path)
    assert 'BatchNormalization' not in {node.op_type for node in onnx_model.graph.node}
    if own_size:
        with pytest.raises(ValueError, match=r'upsample_bicubic2d_aa.*static=True'):
            export(model, tmp_path / 'dynamic.onnx', part='backbone')


@pytest.mark.parametrize('part', ['backbone', 'backbone-neck'])
@pytest.mark.parametrize('name', [DETECTORS[0], SEGMENTORS[2]])
def test_parts(name, part, tmp_path):
    model = small_model(small_config(name))
    report = export(model, tmp_path / 'model.onnx', part=part)
    image = noise(45, 77)
    outputs = list(open_session(report.path)(image[None]).values())
    data = model.data_preprocessor(
        dict(inputs=[torch.from_numpy(image[:, :, ::-1].copy()).permute(2, 0, 1)])
    )
    with torch.no_grad():
        expected = model.backbone(data['inputs'])
        expected = model.neck(expected) if part == 'backbone-neck' else expected
    assert len(outputs) == len(expected)
    for output, feature in zip(outputs, expected, strict=True):
        scale = feature.abs().max()
        assert (torch.from_numpy(output) - feature).abs().max() < 1e-4 * scale


def test_bare_backbone_with_a_preprocessor(tmp_path):
    from mmengine.model import ImgDataPreprocessor

    backbone = RepNeXt(dict(channels=[8, 8, 8, 8], depths=[1, 1, 1, 1])).train()
    with pytest.raises(ValueError, match=r'data_preprocessor=dict\(type='):
        export(backbone, tmp_path / 'model.onnx')
    mean, std = [120.0, 110.0, 100.0], [50.0, 60.0, 70.0]
    backbone.data_preprocessor = ImgDataPreprocessor(mean, std, bgr_to_rgb=True)
    report = export(backbone, tmp_path / 'model.onnx', form='plain')
    assert report.metadata['outputs'] == [f'features_{i}' for i in range(4)]
    assert backbone.training and report.metadata['form'] == 'plain'


@pytest.mark.distribution
def test_network_trained_on_bgr(tmp_path):
    cfg = small_config(CLASSIFIERS[0])
    cfg.data_preprocessor = dict(mean=[100.0, 110.0, 120.0], std=[50.0, 60.0, 70.0], to_rgb=False)
    model = small_model(cfg)
    report = export(model, tmp_path / 'model.onnx')
    image = noise(64, 64)
    expected = predict(model, 'classification', image)
    found = Classifier(report.path).classify(image)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert report.metadata['input']['network_channel_order'] == 'BGR'


@pytest.mark.parametrize('name', [DETECTORS[0], SEGMENTORS[0]])
def test_half_precision_is_near(name, exported, tmp_path):
    full = exported(name, form='fused').report
    cfg = small_config(name)
    half = export(small_model(cfg), tmp_path / 'half.onnx', cfg, half=True)
    assert half.metadata['precision'] == 'float16'
    assert half.path.stat().st_size < 0.75 * full.path.stat().st_size


def test_argmax_puts_out_the_class_of_every_pixel(tmp_path):
    cfg = small_config(SEGMENTORS[0])
    model = small_model(cfg)
    report = export(model, tmp_path / 'model.onnx', cfg, argmax=True)
    image = noise(50, 70)
    (labels,) = open_session(report.path)(image[None]).values()
    assert labels.dtype == np.int64
    expected = predict(model, 'segmentation', image).argmax(0).numpy()
    assert (labels[0] != expected).mean() < 1e-2
    with pytest.raises(ValueError, match='argmax is for segmentors, this model is for detection'):
        export(small_model(small_config(DETECTORS[0])), tmp_path / 'x.onnx', argmax=True)


@pytest.mark.distribution
def test_windows_are_those_of_mmseg(tmp_path):
    cfg = small_config(SEGMENTORS[0])
    cfg.model.test_cfg = dict(mode='slide', crop_size=(40, 48), stride=(24, 32))
    model = small_model(cfg)
    report = export(model, tmp_path / 'model.onnx', cfg)
    image = noise(101, 67)
    expected = predict(model, 'segmentation', image)
    found = torch.from_numpy(Segmentor(report.path).segment(image))
    assert differences_of_logits(expected, found)['logits'] < 1e-4


def test_static_file_takes_one_shape(exported):
    _, _, report, reader = exported(DETECTORS[0], static=True)
    assert [row.place for row in report.comparisons] == ['64x96', '64x96, flat']
    with pytest.raises(ValueError, match=r'\(1, 64, 96, 3\), got uint8 of shape \(1, 64, 64, 3\)'):
        reader.session(noise(64, 64)[None])
    found = reader(noise(200, 500))  # is brought to that shape
    assert found.masks.shape[1:] == (200, 500) and found.boxes[:, 3].max() <= 200


def test_static_segmentor_gives_every_pixel_of_any_image_a_class(tmp_path):
    cfg = small_config(SEGMENTORS[0])
    cfg.test_dataloader.dataset.pipeline[1].scale = (96, 64)
    model = small_model(cfg)
    static = Segmentor(export(model, tmp_path / 'static.onnx', cfg, static=True).path)
    dynamic = Segmentor(export(model, tmp_path / 'dynamic.onnx', cfg).path)
    image = noise(128, 192)  # is resized to the whole of that shape
    assert (static(image) != dynamic(image)).mean() < 1e-3
    assert static(noise(40, 200)).shape == (40, 200)


@pytest.mark.distribution
@pytest.mark.parametrize('name', [DETECTORS[0], SEGMENTORS[0], CLASSIFIERS[0]])
def test_static_files_are_evaluated_on_images_of_any_size(name, exported):
    model, _, report, reader = exported(name, static=True)
    task = report.metadata['task']
    tested = ExportedModel(str(report.path))
    for size in ((64, 96), (64, 80), (50, 130)):
        image = noise(*size)
        inputs = torch.from_numpy(np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1)))
        (sample,) = tested([inputs], [task_named(task).new_sample(size)])
        if task == 'detection':
            expected = reader.detect(image, (1.0, 1.0), size)
            assert sample.pred_instances.masks.shape[1:] == size
            np.testing.assert_array_equal(sample.pred_instances.bboxes.numpy(), expected.boxes)
            assert (expected.boxes <= [*size[::-1], *size[::-1]]).all() and len(expected.boxes)
        elif task == 'segmentation':
            assert sample.pred_sem_seg.data.shape == (1, *size)
            if size == (64, 96):
                reference = predict(model, task, image)
                assert differences_of_logits(reference, sample.seg_logits.data)['logits'] < 1e-3
        else:
            assert sample.pred_score.shape == (CLASSES,)


def test_static_file_takes_the_windows_of_a_sliding_segmentor(tmp_path):
    cfg = small_config(SEGMENTORS[0])
    cfg.model.test_cfg = dict(mode='slide', crop_size=(64, 64), stride=(40, 40))
    model = small_model(cfg)
    options = dict(static=True, shape=None)
    static = Segmentor(export(model, tmp_path / 'static.onnx', cfg, **options).path)
    assert static.metadata['input']['static_shape'] == [64, 64]
    image = noise(101, 97)
    expected = predict(model, 'segmentation', image)
    assert differences_of_logits(expected, torch.from_numpy(static.segment(image)))['logits'] < 1e-4
    with pytest.raises(ValueError, match=r'windows of 64 x 64 .*leave shape=\(64, 96\) out'):
        export(model, tmp_path / 'other.onnx', cfg, static=True)
    assert not (tmp_path / 'other.onnx').exists()


def test_metadata_say_what_the_file_is(tmp_path):
    cfg = small_config(SEGMENTORS[2])
    report = export_model(
        small_model(cfg),
        tmp_path / 'model.onnx',
        cfg,
        ExportOptions(shape=SHAPE, opset=18),
        source_sha256='abc',
    )
    (entry,) = onnx.load(report.path).metadata_props
    metadata = json.loads(entry.value)
    assert metadata == report.metadata == open_session(report.path).metadata
    assert metadata['version'] == 2 and report.spec == open_session(report.path).spec
    assert metadata['task'] == 'segmentation' and metadata['form'] == 'fused'
    assert len(metadata['classes']) == len(metadata['palette']) == 150
    assert metadata['source_sha256'] == 'abc' and metadata['opset'] == 18
    assert metadata['input']['channel_order'] == 'RGB'
    assert [rule['type'] for rule in metadata['resize']] == ['resize', 'resize_to_multiple']


def test_the_form_of_the_fastest_file_is_chosen(tmp_path, monkeypatch):
    monkeypatch.setattr(fastest, 'fastest', lambda timings: list(timings)[-1])
    cfg = small_config(DETECTORS[0])
    path = tmp_path / 'model.onnx'
    report = export(small_model(cfg), path, cfg, form='auto', part='backbone')
    choice = open_session(report.path).metadata['choice']
    assert report.spec.form == choice['form'] == 'plain'
    assert set(choice['milliseconds']) == {'fused', 'plain'}
    assert choice['target']['runtime'] == 'onnxruntime' and choice['target']['shape'] == [*SHAPE, 3]


def test_file_that_computes_something_else_is_not_kept(tmp_path, monkeypatch):
    """mmseg's Upsample fixes sizes when it is traced: right at that size, wrong at others."""
    monkeypatch.setattr(preparation, 'make_size_free', lambda model, static: None)
    cfg = small_config(SEGMENTORS[2])
    with pytest.raises(ValueError, match='something else') as caught:
        export(small_model(cfg), tmp_path / 'model.onnx', cfg)
    assert 'at 49x109' in str(caught.value) and 'at 64x96' not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_old_file_stays_if_the_new_one_fails(tmp_path, monkeypatch):
    path = tmp_path / 'model.xml'
    path.write_text('old')
    monkeypatch.setattr(exporter, 'prove', lambda *args: 1 / 0)
    cfg = small_config(CLASSIFIERS[0])
    with pytest.raises(ZeroDivisionError):
        export(small_model(cfg), path, cfg)
    assert path.read_text() == 'old' and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(opset=15), 'opset 15 does not work: choose one from 16'),
        (dict(opset=99), 'opset 99 does not work'),
        (dict(form='merged'), "unknown form 'merged'"),
        (dict(part='head'), "unknown part 'head': choose from"),
        (dict(format='tflite'), "unknown format 'tflite': choose from"),
        (dict(format='openvino'), "end in '.xml', got 'model.onnx'"),
        (dict(shape=(0, 64)), 'positive height and width'),
    ],
)
def test_wrong_options_are_named(options, message, tmp_path):
    model = torch.nn.Identity()
    with pytest.raises(ValueError, match=message):
        export_model(model, tmp_path / 'model.onnx', options=ExportOptions(**options))
    with pytest.raises(ValueError, match='says no format'):
        export_model(model, tmp_path / 'model.pth')


@pytest.mark.parametrize(
    ('suffix', 'package', 'extra'),
    [
        ('.onnx', 'onnx', 'onnx'),
        ('.onnx', 'onnxruntime', 'onnx'),
        ('.xml', 'openvino', 'openvino'),
    ],
)
def test_missing_packages_are_named(suffix, package, extra, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    cfg = small_config(CLASSIFIERS[0])
    with pytest.raises(ImportError, match=rf'{package}.*repnext-mm\[{extra}\]'):
        export(small_model(cfg), tmp_path / f'model{suffix}', cfg)
    assert not list(tmp_path.iterdir())


def change_nms(model):
    model.test_cfg.rcnn.nms = dict(type='soft_nms', iou_threshold=0.5)


def change_masks(model):
    model.test_cfg.rcnn.mask_thr_binary = -1


def change_head(model):
    model.head = dict(type='MultiLabelLinearClsHead', num_classes=CLASSES, in_channels=16)


@pytest.mark.parametrize(
    ('name', 'change', 'words'),
    [
        (DETECTORS[0], change_nms, 'soft_nms'),
        (DETECTORS[0], change_masks, 'soft masks'),
        (CLASSIFIERS[0], change_head, 'several labels'),
    ],
)
def test_what_cannot_be_exported_whole_is_named(name, change, words, tmp_path):
    cfg = small_config(name)
    change(cfg.model)
    with pytest.raises(ValueError, match=rf'{words}.*backbone-neck'):
        export(small_model(cfg), tmp_path / 'model.onnx', cfg)
    assert not list(tmp_path.iterdir())


def test_weights_must_be_finite(tmp_path):
    cfg = small_config(DETECTORS[0])
    model = small_model(cfg)
    with torch.no_grad():
        model.neck.fpn_convs[0].conv.weight[0, 0, 0, 0] = float('nan')
    with pytest.raises(ValueError, match=r'neck\.fpn_convs\.0\.conv\.weight .* earlier'):
        export(model, tmp_path / 'model.onnx', cfg)
    assert not list(tmp_path.iterdir())


def test_the_old_name_of_the_form_works_with_a_warning():
    with pytest.warns(DeprecationWarning, match="'mode' is an old name.*use 'form'"):
        assert ExportOptions(mode='plain') == ExportOptions(form='plain')
    with pytest.warns(DeprecationWarning):
        assert ExportOptions(mode='none').form == 'training'
