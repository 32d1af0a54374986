"""8 bits for TensorRT and for OpenVINO, and of files whose weights lie beside them."""

import sys

import numpy as np
import onnx
import pytest
from exports import CLASSIFIERS, noise, small_config, small_model
from onnx import numpy_helper

from repnext_mm.commands import quantize
from repnext_mm.export import ExportOptions, export_model, open_session
from repnext_mm.export.targets import check_for
from repnext_mm.quantization import Quantizer
from repnext_mm.quantization.nncf_file import nncf_source, quantize_with_nncf

SHAPE = (64, 96)
IMAGES = [noise(*SHAPE, seed) for seed in range(2)]


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """A classifier in float32."""
    path = tmp_path_factory.mktemp('float') / 'model.onnx'
    model = small_model(small_config(CLASSIFIERS[0]))
    return export_model(model, path, None, ExportOptions(shape=SHAPE, static=True)).path


def difference(ours, theirs, runtime=None) -> float:
    image = noise(*SHAPE, 7)[None]
    runs = (open_session(ours)(image), open_session(theirs, runtime)(image))
    return float(np.abs(runs[0]['scores'] - runs[1]['scores']).max())


def test_symmetric_files_are_what_tensorrt_takes(source, tmp_path):
    plain, symmetric = tmp_path / 'plain.onnx', tmp_path / 'symmetric.onnx'
    quantizer = Quantizer(source, IMAGES, symmetric=True)
    layers = quantizer.write(symmetric)
    assert layers == Quantizer(source, IMAGES).write(plain)
    assert check_for('tensorrt', symmetric) == []
    reasons = {row.reason for row in check_for('tensorrt', plain)}
    assert 'its zero point is not 0' in reasons or 'it rounds to uint8' in reasons
    assert 'DequantizeLinear does not take INT32' in reasons
    model = onnx.load(symmetric)
    constants = {row.name: row for row in model.graph.initializer}
    rounded = [row for row in model.graph.node if row.op_type == 'QuantizeLinear']
    zeros = [numpy_helper.to_array(constants[row.input[2]]) for row in rounded]
    assert len(rounded) > len(layers) and all(
        zero.dtype == np.int8 and not zero.any() for zero in zeros
    )
    details = open_session(symmetric).spec.quantization
    assert details['activations'] == 'int8, symmetric' and not details['reduce_range']
    assert difference(source, symmetric) < 0.05


def test_ranges_are_even_around_zero(source):
    quantizer = Quantizer(source, IMAGES, symmetric=True)
    assert all(low == -high for low, high in quantizer.calibration.ranges.values())


def test_weights_beside_the_file_are_read(source, tmp_path):
    outside = tmp_path / 'outside.onnx'
    onnx.save(
        onnx.load(source),
        outside,
        save_as_external_data=True,
        location='outside.data',
        size_threshold=0,
    )
    assert outside.stat().st_size < source.stat().st_size / 2
    Quantizer(source, IMAGES).write(tmp_path / 'a.onnx')
    Quantizer(outside, IMAGES).write(tmp_path / 'b.onnx')
    assert difference(tmp_path / 'a.onnx', tmp_path / 'b.onnx') == 0


def test_nncf_writes_a_file_for_openvino(source, tmp_path):
    pytest.importorskip('nncf')
    target = tmp_path / 'model.xml'
    spec = quantize_with_nncf(source, target, IMAGES)
    assert spec.precision == 'int8' and spec.quantization['method'] == 'nncf'
    assert open_session(target).spec == spec
    assert target.with_suffix('.bin').stat().st_size < source.stat().st_size / 2
    assert difference(source, target) < 0.05


def test_nncf_says_what_it_takes(source, tmp_path):
    with pytest.raises(ValueError, match=r'quantizes .onnx and .xml files'):
        nncf_source(tmp_path / 'model.pt2', tmp_path / 'a.xml')
    with pytest.raises(ValueError, match=r'writes another .xml file'):
        nncf_source(source, tmp_path / 'a.onnx')


def test_nncf_decides_by_itself(monkeypatch, capsys):
    usual = ['quantize', 'c.py', 'm.onnx', '--output', 'm.xml', '--method', 'nncf']
    monkeypatch.setattr(sys, 'argv', usual)
    args = quantize.parse_args()
    assert args.runtimes == ['openvino'] and args.no_search
    monkeypatch.setattr(sys, 'argv', [*usual, '--symmetric', '--keep-float', 'head'])
    with pytest.raises(SystemExit):
        quantize.parse_args()
    assert 'leave --keep-float, --symmetric out' in capsys.readouterr().err
