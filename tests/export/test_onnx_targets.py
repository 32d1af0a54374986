"""Files for TensorRT and OpenCV: written, looked into, run and compared, or refused."""

import functools

import numpy as np
import onnx
import pytest
import torch
from commands import run_inside
from exports import CLASSIFIERS, DETECTORS, SEGMENTORS, noise, small_config, small_model
from onnx import numpy_helper

from repnext_mm.export import ExportOptions, export_model, open_session
from repnext_mm.export.overflow import LARGEST
from repnext_mm.export.targets import check_for

SHAPE = (64, 96)


@functools.cache
def model_of(name):
    return small_model(small_config(name))


def export(name, path, **options):
    return export_model(model_of(name), path, None, ExportOptions(**(dict(shape=SHAPE) | options)))


@pytest.mark.parametrize(
    ('name', 'part'),
    [(CLASSIFIERS[0], 'model'), (SEGMENTORS[0], 'model'), (DETECTORS[0], 'backbone-neck')],
)
def test_opencv_computes_what_torch_does(name, part, tmp_path):
    report = export(name, tmp_path / 'model.onnx', part=part, target='opencv')
    places = [row.place for row in report.comparisons]
    assert '64x96, opencv' in places and '64x96, flat, opencv' in places
    image = noise(*SHAPE)[None]
    session = open_session(report.path, 'opencv')
    for key, value in open_session(report.path)(image).items():
        found = session(image)[key]
        assert found.shape == value.shape
        np.testing.assert_allclose(found, value, atol=1e-4 * np.abs(value).max())


def test_opencv_refuses_detectors_and_open_sizes(tmp_path):
    path = tmp_path / 'model.onnx'
    with pytest.raises(
        ValueError, match=r'opencv does not take this graph: .*OpenCV cannot run it'
    ):
        export(DETECTORS[0], path, target='opencv')
    assert not path.exists()
    export(CLASSIFIERS[0], path)
    assert 'static=True' in check_for('opencv', path)[0].remedy
    with pytest.raises(ValueError, match='static=True'):
        open_session(path, 'opencv')


def test_tensorrt_gets_a_detector_with_constant_numbers(tmp_path):
    path = export(DETECTORS[0], tmp_path / 'model.onnx', target='tensorrt').path
    model = onnx.load(path)
    constants = {row.name: row for row in model.graph.initializer}
    constants |= {
        row.output[0]: row.attribute[0].t for row in model.graph.node if row.op_type == 'Constant'
    }
    tops = [row for row in model.graph.node if row.op_type == 'TopK']
    limit = model_of(DETECTORS[0]).rpn_head.test_cfg.nms_pre
    assert tops and all(numpy_helper.to_array(constants[r.input[1]]) <= limit for r in tops)
    assert open_session(path).spec.input.static_shape == SHAPE
    checked = run_inside('check_target.py', path, '--target', 'tensorrt')
    assert checked.returncode == 0 and f'tensorrt should take {path}' in checked.stdout
    for row in tops:
        constants[row.input[1]].CopyFrom(numpy_helper.from_array(np.array([4000]), row.input[1]))
    onnx.save(model, path)
    checked = run_inside('check_target.py', path, '--target', 'tensorrt')
    assert checked.returncode == 1 and 'its K is 4000' in checked.stdout


def test_targets_are_for_onnx(tmp_path):
    for options, message in (
        (dict(target='npu'), "unknown target 'npu'"),
        (dict(target='tensorrt'), 'end the output in .onnx'),
    ):
        with pytest.raises(ValueError, match=message):
            export(CLASSIFIERS[0], tmp_path / 'model.pt2', **options)


@pytest.mark.parametrize(('name', 'part'), [(CLASSIFIERS[0], 'model'), (SEGMENTORS[0], 'backbone')])
def test_float16_is_refused_where_activations_overflow(name, part, tmp_path):
    model = small_model(small_config(name))
    layers = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d) and m.groups == 1]
    with torch.no_grad():
        for layer in layers[:2]:  # each within the range of float16, not one after the other
            layer.weight *= 1000
    path = tmp_path / 'model.onnx'
    options = dict(shape=SHAPE, part=part, static=True)
    with pytest.raises(ValueError, match=rf'puts out .* float16 holds {LARGEST:.0f} at most'):
        export_model(model, path, None, ExportOptions(half=True, **options))
    assert not path.exists()


@pytest.mark.gpu
def test_tensorrts_parser_takes_a_detector(tmp_path):
    pytest.importorskip('tensorrt')
    from repnext_mm.export.targets.tensorrt_parser import parse_with_tensorrt

    path = export(DETECTORS[0], tmp_path / 'model.onnx', target='tensorrt').path
    assert parse_with_tensorrt(path) == []
