"""One-stage detectors: exported, proved, evaluated and quantized like all others."""

import numpy as np
import pytest
import torch
from dense_detectors import detector
from exports import noise, predict

from repnext_mm.evaluation.exported_model import ExportedModel
from repnext_mm.export import Detector, ExportOptions, export_model, open_session
from repnext_mm.export.tasks import task_named
from repnext_mm.export.tasks.detection import compare_detections
from repnext_mm.quantization import quantize_file

# mmdet's ATSS and GFL ask its generator of anchors for a number by an old name.
pytestmark = pytest.mark.filterwarnings('ignore:DeprecationWarning. `num_anchors`:UserWarning')

SHAPE = (64, 96)


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


def test_heads_that_predict_in_a_way_of_their_own_are_traced(tmp_path):
    model = detector('GFL', nms_pre=-1)
    report = export_model(model, tmp_path / 'model.onnx', options=ExportOptions(shape=SHAPE))
    assert any(row.count for row in report.comparisons)
    check_sizes(model, report.path)


SOFT = dict(nms=dict(type='soft_nms', iou_threshold=0.5))


@pytest.mark.parametrize(
    ('kind', 'suffix', 'test_cfg', 'words'),
    [
        ('RetinaNet', '.onnx', SOFT, 'the NMS .*soft_nms'),
        ('GFL', '.pt2', {}, r'code that torch.export cannot follow \(GFL\)'),
    ],
)
def test_what_no_graph_can_hold_is_named(kind, suffix, test_cfg, words, tmp_path):
    model = detector(kind, **test_cfg)
    path = tmp_path / f'model{suffix}'
    with pytest.raises(ValueError, match=rf'with {words}.* cannot be exported whole.*neck'):
        export_model(model, path, options=ExportOptions(shape=SHAPE))
    assert not list(tmp_path.iterdir())


def test_parts_of_refused_detectors(tmp_path):
    part = ExportOptions(shape=SHAPE, part='backbone-neck')
    report = export_model(detector('RetinaNet', **SOFT), tmp_path / 'model.onnx', options=part)
    assert len(report.comparisons) == 5


class NotInATrace(torch.nn.Module):
    """A layer that works, but for a trace."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        if torch.jit.is_tracing():
            raise TypeError('not in a trace')
        return self.layer(x)


def test_code_that_cannot_be_traced_is_named(tmp_path):
    model = detector('GFL')
    model.bbox_head.integral = NotInATrace(model.bbox_head.integral)
    with pytest.raises(ValueError, match=r'the code of a GFL cannot be traced \(TypeError.*neck'):
        export_model(model, tmp_path / 'model.onnx', options=ExportOptions(shape=SHAPE))
    assert not list(tmp_path.iterdir())


def test_models_that_cannot_predict_are_named(tmp_path):
    model = detector('RetinaNet')
    del model.bbox_head.loss_cls
    with pytest.raises(ValueError, match=r'the RetinaNet itself cannot predict.*AttributeError'):
        export_model(model, tmp_path / 'model.onnx', options=ExportOptions(shape=SHAPE))
    assert not list(tmp_path.iterdir())


def test_models_of_no_task_are_named(tmp_path):
    model = torch.nn.Module()
    model.backbone = detector('RetinaNet').backbone
    with pytest.raises(ValueError, match=r'a Module cannot be exported whole: detectors, segment'):
        export_model(model, tmp_path / 'model.onnx')
