"""The contract of an exported file, as it stands in the file and as it is read again."""

import json
from dataclasses import FrozenInstanceError, replace

import onnx
import pytest

from repnext_mm.export import open_session
from repnext_mm.runtime.sessions import read_spec
from repnext_mm.runtime.size_rules import CenterCrop, Resize
from repnext_mm.runtime.spec import KEY, VERSION, FileSpec, InputSpec

IMAGES = InputSpec((1.5, 2.0, 3.0), (4.0, 5.0, 6.0), 'BGR', 32, (64, 96), 1)
SPEC = FileSpec(
    task='segmentation',
    part='model',
    form='plain',
    precision='int8',
    outputs=('logits',),
    input=IMAGES,
    arch=dict(channels=[8, 16], depths=[1, 1]),
    classes=('a', 'b'),
    palette=((1, 2, 3), (4, 5, 6)),
    resize=(Resize('bilinear', 'cv2', True, scale=(20, 10)), CenterCrop((5, 6))),
    opset=17,
    quantization=dict(images=3),
    details=dict(argmax=False, window=None, source_sha256='abc'),
)
OLD = """{"task": "classification", "part": "model", "arch": "m0", "form": null,
"precision": "float32", "outputs": ["scores"], "input": {"layout": "NHWC", "dtype": "uint8",
"channel_order": "RGB", "normalization": "in the graph", "mean": [123.675, 116.28, 103.53],
"std": [58.395, 57.12, 57.375], "network_channel_order": "RGB", "size_divisor": 1,
"padding": "in the graph", "static_shape": null, "batch": null}, "opset": 17,
"repnext_mm": "0.4.0", "torch": "2.11.0", "resize": [{"type": "resize_edge", "scale": 256,
"edge": "short", "interpolation": "bicubic", "backend": "pillow"},
{"type": "center_crop", "size": [224, 224]}], "classes": ["a"], "palette": null}"""
"""As version 0.4 wrote it."""


@pytest.mark.parametrize(
    'spec', [SPEC, replace(SPEC, classes=None, palette=None, resize=None, quantization=None)]
)
def test_what_is_written_is_read_again(spec):
    entries = json.loads(spec.to_text())
    assert FileSpec.from_text(spec.to_text()) == spec
    assert entries['version'] == VERSION and entries['form'] == 'plain'
    assert entries['source_sha256'] == 'abc' and 'details' not in entries
    assert ('quantization' in entries) == (spec.quantization is not None)
    with pytest.raises(FrozenInstanceError):
        spec.task = 'other'


def test_files_of_earlier_versions_are_read():
    spec = FileSpec.from_text(OLD)
    assert spec.form == 'training' and spec.classes == ('a',) and spec.input.batch is None
    assert [rule.type for rule in spec.resize] == ['resize_edge', 'center_crop']
    assert spec.details == dict(repnext_mm='0.4.0', torch='2.11.0')
    assert FileSpec.from_text(spec.to_text()) == spec


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (json.dumps(SPEC.to_json() | dict(version=VERSION + 1)), f'version {VERSION + 1}.*newer'),
        (json.dumps(SPEC.to_json() | dict(version='new')), "version 'new'"),
        (json.dumps({k: v for k, v in SPEC.to_json().items() if k != 'part'}), "'part'.*again"),
        (json.dumps(SPEC.to_json() | dict(input=None)), "None as 'input', not an object"),
        (json.dumps(SPEC.to_json() | dict(input={})), "lack an entry .*'mean'"),
        (json.dumps(SPEC.to_json() | dict(task=5)), "5 as 'task', not a text"),
        (json.dumps(SPEC.to_json() | dict(classes='cat')), "'cat' as 'classes', not a list"),
        (json.dumps(SPEC.to_json() | dict(resize=[dict(type='warp')])), "unknown rule 'warp'"),
        ('[1, 2]', 'are a list'),
        ('{', 'no JSON'),
    ],
)
def test_other_metadata_are_named_with_the_file(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_spec({KEY: text}, 'some.onnx')
    assert 'some.onnx' in str(caught.value)


def test_padding_is_the_colour_that_normalization_turns_into_zero():
    assert IMAGES.padding_colour == (3.0, 2.0, 1.5)
    assert replace(IMAGES, network_channel_order='RGB').padding_colour == (1.5, 2.0, 3.0)
    assert replace(IMAGES, mean=(0.0,)).padding_colour == (0.0, 0.0, 0.0)


@pytest.mark.parametrize('runtime', ['onnxruntime', 'openvino'])
def test_a_newer_file_does_not_open(runtime, tmp_path):
    entry = json.dumps(SPEC.to_json() | dict(version=99))
    same = onnx.helper.make_node('Identity', ['x'], ['y'])
    ends = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1]) for n in 'xy']
    graph = onnx.helper.make_graph([same], 'one', ends[:1], ends[1:])
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid('', 17)], ir_version=8
    )
    onnx.helper.set_model_props(model, {KEY: entry})
    onnx.save(model, tmp_path / 'new.onnx')
    with pytest.raises(ValueError, match=r'new\.onnx cannot be read: .*version 99'):
        open_session(tmp_path / 'new.onnx', runtime)
