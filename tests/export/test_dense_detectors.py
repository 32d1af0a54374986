"""One-stage detectors: exported, proved, evaluated and quantized like all others."""

import numpy as np
import pytest
import torch
from exports import CLASSES, noise, predict, small_config
from helpers import randomize
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope

from repnext_mm.checkpoints.loading import build_model
from repnext_mm.evaluation.exported_model import ExportedModel
from repnext_mm.export import Detector, ExportOptions, export_model, open_session
from repnext_mm.export.tasks import task_named
from repnext_mm.export.tasks.detection import compare_detections
from repnext_mm.quantization import quantize_file

# mmdet's ATSS and GFL ask its generator of anchors for a number by an old name.
pytestmark = pytest.mark.filterwarnings('ignore:DeprecationWarning. `num_anchors`:UserWarning')

SHAPE = (64, 96)
TEST_CFG = dict(
    nms_pre=60,
    min_bbox_size=0,
    score_thr=0.3,
    nms=dict(type='nms', iou_threshold=0.6),
    max_per_img=20,
)
POINTS = dict(type='DistancePointBBoxCoder')
BN = dict(type='BN')
ANCHORS = dict(
    type='AnchorGenerator',
    ratios=[1.0],
    octave_base_scale=8,
    scales_per_octave=1,
    strides=[8, 16, 32, 64, 128],
)
HEADS = {
    'RetinaNet': dict(type='RetinaHead', stacked_convs=1),
    'FCOS': dict(type='FCOSHead', stacked_convs=1, norm_on_bbox=True, norm_cfg=BN),
    'ATSS': dict(
        type='ATSSHead',
        stacked_convs=1,
        norm_cfg=BN,
        anchor_generator=ANCHORS,
    ),
    'RTMDet': dict(
        type='RTMDetSepBNHead',
        stacked_convs=1,
        share_conv=True,
        pred_kernel_size=1,
        with_objectness=False,
        exp_on_reg=True,
        norm_cfg=BN,
        anchor_generator=dict(type='MlvlPointGenerator', offset=0, strides=[8, 16, 32]),
        bbox_coder=POINTS,
    ),
    'GFL': dict(
        type='GFLHead',
        stacked_convs=1,
        norm_cfg=BN,
        anchor_generator=ANCHORS,
    ),
}


def detector(kind: str, **test_cfg) -> torch.nn.Module:
    """A small one-stage detector of mmdet whose random weights find something."""
    base = small_config('mask_rcnn_repnext_tiny_coco').model
    levels = 3 if kind == 'RTMDet' else 5
    neck = dict(base.neck, in_channels=base.neck.in_channels[1:], num_outs=levels, start_level=0)
    head = dict(HEADS[kind], num_classes=CLASSES, in_channels=16, feat_channels=16)
    model = dict(
        type=kind,
        data_preprocessor=base.data_preprocessor,
        backbone=dict(base.backbone, out_indices=(1, 2, 3)),
        neck=neck | (dict(add_extra_convs='on_output') if levels == 5 else {}),
        bbox_head=head,
        test_cfg=TEST_CFG | test_cfg,
    )
    init_default_scope('mmdet')
    torch.manual_seed(0)
    built = randomize(revert_sync_batchnorm(build_model(Config(dict(model=model)))))
    with torch.no_grad():
        for layer in built.bbox_head.modules():
            if isinstance(layer, torch.nn.Conv2d) and layer.out_channels % CLASSES == 0:
                layer.weight.normal_(std=0.3)
                layer.bias.zero_()
    built.eval()
    return built


def check_sizes(model: torch.nn.Module, path) -> None:
    """The file finds what the unmerged model finds, at sizes that the exporter did not try."""
    for number, size in enumerate([(77, 51), (35, 133), (145, 181)]):
        image = noise(*size, seed=number)
        expected = predict(model, 'detection', image)
        found = Detector(path).detect(image, (1.0, 1.0), size)
        differences = compare_detections(expected, found)
        assert len(expected.scores) > 0 and differences['unmatched'] <= 0.1
        assert differences['score'] < 1e-4 and differences['box'] < 1e-2
        assert found.masks is None and found.labels.dtype == np.int64


@pytest.mark.distribution
@pytest.mark.parametrize('kind', ['RetinaNet', 'FCOS', 'ATSS', 'RTMDet'])
def test_detectors_of_one_stage_become_the_same_in_onnx(kind, tmp_path):
    model = detector(kind)
    report = export_model(model, tmp_path / 'model.onnx', options=ExportOptions(shape=SHAPE))
    assert report.spec.task == 'detection' and report.spec.details['mask_threshold'] is None
    assert any(row.count for row in report.comparisons)
    check_sizes(model, report.path)


@pytest.mark.parametrize('suffix', ['.xml', '.pt2'])
def test_detectors_of_one_stage_become_the_same_in_other_formats(suffix, tmp_path):
    """Of RTMDet, whose three levels are the fewest: torch.export takes its time for each."""
    model = detector('RTMDet')
    options = ExportOptions(shape=(160, 192))  # two pixels of the coarsest level, at least
    report = export_model(model, tmp_path / f'model{suffix}', options=options)
    image = noise(145, 181)
    found = Detector(report.path, trust=True).detect(image, (1.0, 1.0), (145, 181))
    assert len(found.scores) > 0
    differences = compare_detections(predict(model, 'detection', image), found)
    assert differences['unmatched'] <= 0.1 and differences['score'] < 1e-4


def test_nothing_is_found_where_nothing_is(tmp_path):
    model = detector('FCOS', score_thr=1.0)
    report = export_model(model, tmp_path / 'model.onnx', options=ExportOptions(shape=SHAPE))
    found = Detector(report.path)(noise(100, 170))
    assert found.boxes.shape == (0, 4) and found.masks is None


def test_files_are_evaluated_and_quantized(tmp_path):
    model = detector('RetinaNet')
    path, target = tmp_path / 'model.onnx', tmp_path / 'int8.onnx'
    export_model(model, path, options=ExportOptions(shape=SHAPE))
    image = noise(64, 80)
    inputs = torch.from_numpy(np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1)))
    (sample,) = ExportedModel(str(path))(
        [inputs], [task_named('detection').new_sample(image.shape[:2])]
    )
    expected = predict(model, 'detection', image)
    assert len(sample.pred_instances.scores) == len(expected.scores)
    assert 'masks' not in sample.pred_instances
    layers = quantize_file(path, target, [noise(64, 96, seed) for seed in range(3)])
    assert 'head.retina_cls' in layers and open_session(target).spec.precision == 'int8'
    assert Detector(target)(image).boxes.shape[1] == 4


@pytest.mark.parametrize(
    ('kind', 'test_cfg', 'words'),
    [
        ('GFL', {}, '_predict_by_feat_single of a GFLHead'),
        ('RetinaNet', dict(nms=dict(type='soft_nms', iou_threshold=0.5)), 'soft_nms'),
        ('RetinaNet', dict(nms_pre=-1), 'nms_pre=-1'),
    ],
)
def test_heads_that_predict_in_a_way_of_their_own_are_named(kind, test_cfg, words, tmp_path):
    model = detector(kind, **test_cfg)
    with pytest.raises(ValueError, match=rf'with .*{words}.* cannot be exported whole.*neck'):
        export_model(model, tmp_path / 'model.onnx', options=ExportOptions(shape=SHAPE))
    assert not list(tmp_path.iterdir())
    part = ExportOptions(shape=SHAPE, part='backbone-neck')
    assert len(export_model(model, tmp_path / 'model.onnx', options=part).comparisons) == 5


def test_models_of_no_task_are_named(tmp_path):
    model = detector('RetinaNet')
    del model.bbox_head
    with pytest.raises(ValueError, match=r'a RetinaNet cannot be exported whole: detectors, segm'):
        export_model(model, tmp_path / 'model.onnx')
