"""Exported files in 8 bits: near the float file, in float where 8 bits hurt, or no file at all."""

import hashlib
import json
import sys

import numpy as np
import onnx
import pytest
from exports import noise, small_config, small_model
from onnx import numpy_helper

from repnext_mm.export import ExportOptions, export_model, open_session
from repnext_mm.quantization import Quantizer, calibration, quantize_file
from repnext_mm.quantization.calibration import METHODS, calibrate, channel_ranges
from repnext_mm.quantization.equalization import equalize
from repnext_mm.quantization.onnx_network import OnnxNetwork
from repnext_mm.quantization.placement import nodes_to_quantize
from repnext_mm.quantization.sensitivity import search
from repnext_mm.quantization.simplification import simplify
from repnext_mm.quantization.source_file import SourceFile

SHAPE = (64, 96)
SEGMENTOR, CLASSIFIER = 'upernet_repnext_tiny_ade20k', 'repnext_m0_imagenet'
DETECTOR = 'mask_rcnn_repnext_tiny_coco'
FILES = [(SEGMENTOR, 'plain'), (CLASSIFIER, 'fused'), (DETECTOR, 'fused')]
IMAGES = [noise(*SHAPE, seed) for seed in range(2)]
TOLERANCE = 0.02
"""Of the squared error relative to the variance. A rounding step of 1/255 of the range, in each
of some 30 layers, gives about 0.005 with random weights; a wrong scale gives 1 or more."""


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    """A function that gives float files, each exported once."""
    files = {}

    def get(name: str, mode: str = 'fused', **options):
        key = (name, mode, *options)
        if key not in files:
            cfg = small_config(name)
            path = tmp_path_factory.mktemp('float') / 'model.onnx'
            chosen = ExportOptions(mode, shape=SHAPE, **options)
            files[key] = export_model(small_model(cfg), path, cfg, chosen).path
        return files[key]

    return get


@pytest.fixture(scope='module')
def quantizer(exported):
    """A function that gives calibrated files, each calibrated once."""
    known = {}

    def get(name: str, mode: str = 'fused') -> Quantizer:
        if (name, mode) not in known:
            known[name, mode] = Quantizer(exported(name, mode), iter(IMAGES))
        return known[name, mode]

    return get


def digest(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def error(reference, candidate) -> float:
    """The squared error of outputs of fixed size, relative to their variance over positions."""
    found = []
    for name, expected in reference.items():
        axes = tuple(range(2, expected.ndim)) or None
        spread = ((expected - expected.mean(axes, keepdims=True)) ** 2).mean()
        found.append(((candidate[name] - expected) ** 2).mean() / spread)
    return max(found)


def consumers(model, layer) -> list:
    return [n for n in model.graph.node if len(n.input) > 1 and n.input[1].startswith(layer)]


@pytest.mark.parametrize(('name', 'mode'), FILES)
def test_quantized_file_is_near_the_float_one(name, mode, exported, quantizer, tmp_path):
    source = exported(name, mode)
    before, target = digest(source), tmp_path / 'int8.onnx'
    layers = quantizer(name, mode).write(target)
    assert digest(source) == before and [p.name for p in tmp_path.iterdir()] == ['int8.onnx']
    assert target.stat().st_size < source.stat().st_size
    plain = open_session(source)
    for runtime in ('onnxruntime', 'openvino'):
        session = open_session(target, runtime)
        for image in (noise(64, 96, 9), noise(77, 51, 9)):
            expected, actual = (side(image[None]) for side in (plain, session))
            if name == DETECTOR:  # random weights score all boxes alike, so which are found is open
                assert all(np.isfinite(value).all() for value in actual.values())
            elif name == CLASSIFIER:
                assert np.abs(expected['scores'] - actual['scores']).max() < 0.1
            else:
                assert error(expected, actual) < TOLERANCE
    metadata = open_session(target).metadata
    original = plain.metadata
    details = metadata.pop('quantization')
    always_float = quantizer(name, mode).always_float
    assert all(mode == 'plain' and layer.endswith('.mixer') for layer in always_float)
    assert metadata == original | dict(precision='int8')
    assert (details['method'], details['images'], details['keep_float']) == (
        'minmax',
        2,
        always_float,
    )
    assert len(layers) > 20 and {*layers, *always_float} == set(quantizer(name, mode).layers)


@pytest.mark.parametrize(('name', 'mode'), FILES)
def test_weights_have_a_scale_for_each_channel_and_no_arithmetic_is_quantized(
    name, mode, quantizer, tmp_path
):
    layers = quantizer(name, mode).write(tmp_path / 'int8.onnx')
    model = onnx.load(str(tmp_path / 'int8.onnx'))
    constants = {row.name: numpy_helper.to_array(row) for row in model.graph.initializer}
    for layer in layers:
        weight, scale = (constants[f'{layer}.weight_{part}'] for part in ('quantized', 'scale'))
        assert weight.dtype == np.int8 and np.abs(weight.astype(int)).max() == 64
        assert scale.shape == (weight.shape[0],) or layer.endswith('upsample')
    written = {output: node for node in model.graph.node for output in node.output}
    rounded = {n.input[0] for n in model.graph.node if n.op_type == 'QuantizeLinear'}
    writers = {written[tensor].op_type for tensor in rounded if tensor in written}
    assert not writers & {'Gather', 'Slice', 'Exp', 'Softmax', 'Sigmoid', 'Where', 'Shape'}
    for node in model.graph.node:  # pooling with matrices made from the shape
        if node.op_type == 'MatMul':
            assert not any(written[i].op_type == 'DequantizeLinear' for i in node.input[:1])


@pytest.mark.parametrize('method', METHODS)
def test_methods_choose_other_ranges(method, exported):
    state = calibrate(OnnxNetwork(simplify(exported(CLASSIFIER))), IMAGES, method)
    for tensor, (low, high) in state.ranges.items():
        widest = state.channels[tensor].whole
        assert low <= 0 <= high and high - low <= 1.01 * (widest[1] - widest[0])
    assert len(state.ranges) == len(state.channels) > 50


def test_layers_kept_in_float_read_and_multiply_floats(exported, quantizer, tmp_path):
    source, target = exported(SEGMENTOR, 'plain'), tmp_path / 'int8.onnx'
    part, name = 'backbone.stages.1', 'head.conv_seg'
    layers = quantizer(SEGMENTOR, 'plain').write(target, [part, name])
    model = onnx.load(str(target))
    constants = {row.name: numpy_helper.to_array(row) for row in model.graph.initializer}
    written = {output: node for node in model.graph.node for output in node.output}
    kept = [n for n in model.graph.node if len(n.input) > 1 and n.input[1] in constants]
    kept = [n for n in kept if n.op_type == 'Conv']
    assert not [row for row in layers if row.startswith(part) or row == name]
    for node in kept:
        assert constants[node.input[1]].dtype == np.float32
        assert written[node.input[0]].op_type != 'DequantizeLinear'
    kept_names = open_session(target).metadata['quantization']['keep_float']
    assert sorted(n.input[1].removesuffix('.weight') for n in kept) == kept_names
    assert error(*(open_session(p)(IMAGES[0][None]) for p in (source, target))) < TOLERANCE


def test_equalization_changes_weights_and_no_output(exported, tmp_path):
    for name, mode in FILES:
        source, target = exported(name, mode), tmp_path / 'equal.onnx'
        network = OnnxNetwork(simplify(source))
        before = network.model.SerializeToString()
        equalized = equalize(network, calibrate(network, IMAGES, 'minmax').magnitudes)
        assert network.model.SerializeToString() == before
        onnx.save(network.model, str(tmp_path / 'simple.onnx'))
        onnx.save(equalized.network.model, str(target))
        weights = [node.input[1] for node in network.layer_nodes]
        changed = [
            name
            for name in weights
            if not np.array_equal(network.array(name), equalized.network.array(name))
        ]
        assert equalized.streams > 1 and len(changed) > equalized.streams
        for image in IMAGES[:2]:
            sides = [open_session(p)(image[None]) for p in (tmp_path / 'simple.onnx', target)]
            for key, expected in sides[0].items():
                np.testing.assert_allclose(sides[1][key], expected, rtol=1e-4, atol=1e-5)


def spoil(source, target, layer: str, following: str) -> None:
    """Makes one channel between two layers 1000 times larger, which changes nothing in float."""
    model = onnx.load(str(source))
    for row in model.graph.initializer:
        values = numpy_helper.to_array(row).copy()
        if row.name in (f'{layer}.weight', f'{layer}.bias'):
            values[0] *= 1000
        elif row.name == f'{following}.weight':
            values[:, 0] /= 1000
        else:
            continue
        row.CopyFrom(numpy_helper.from_array(values, row.name))
    onnx.save(model, str(target))


BAD, AFTER = 'head.fpn_bottleneck.conv', 'head.conv_seg'


def test_search_finds_a_bad_layer_and_repair_makes_it_good(exported, quantizer, tmp_path):
    source, bad, target = exported(SEGMENTOR), tmp_path / 'bad.onnx', tmp_path / 'int8.onnx'
    spoil(source, bad, BAD, AFTER)
    expected = [open_session(source)(image[None]) for image in IMAGES]

    def evaluate(path) -> float:
        session = open_session(path)
        return -max(error(a, session(i[None])) for a, i in zip(expected, IMAGES, strict=True))

    found = search(Quantizer(bad, IMAGES, repair=False), target, evaluate, 0.0, IMAGES, TOLERANCE)
    assert found.reached and len(found.trials) > 1 and found.trials[0].metric < -TOLERANCE
    assert found.result.keep_float == (AFTER,) == tuple(found.errors)[:1]
    assert open_session(target).metadata['quantization']['keep_float'] == [AFTER]

    repaired = Quantizer(bad, IMAGES)
    found = search(repaired, target, evaluate, 0.0, IMAGES, TOLERANCE)
    assert repaired.equalized and found.reached and len(found.trials) == 1

    known = quantizer(CLASSIFIER)
    hopeless = search(known, target, lambda path: -1.0, 0.0, IMAGES, TOLERANCE)
    counts = [len(trial.keep_float) for trial in hopeless.trials]
    assert not hopeless.reached and counts[:4] == [0, 1, 2, 4]


def test_weights_do_not_follow_channels_that_are_never_active(exported, tmp_path):
    """As after a batch norm whose channel had no variance."""
    source, bad = exported(SEGMENTOR), tmp_path / 'bad.onnx'
    model = onnx.load(str(source))
    stem, project = 'backbone.stem.conv', 'backbone.stages.0.blocks.0.project'
    layer = 'backbone.stages.1.downsample.conv'
    for row in model.graph.initializer:
        values = numpy_helper.to_array(row).copy()
        if row.name == f'{layer}.weight':
            values[:, 0] *= 1000
        elif row.name in (f'{stem}.weight', f'{project}.weight'):
            values[0] = 0
        elif row.name == f'{stem}.bias':
            values[0] = -1
        row.CopyFrom(numpy_helper.from_array(values, row.name))
    onnx.save(model, str(bad))
    expected = open_session(bad)(IMAGES[0][None])
    found = {}
    for repair in (False, True):
        quantizer = Quantizer(bad, IMAGES, repair=repair)
        assert (f'{layer}.weight' in quantizer.calibration.limited_weights) == repair
        quantizer.write(tmp_path / 'int8.onnx')
        found[repair] = error(expected, open_session(tmp_path / 'int8.onnx')(IMAGES[0][None]))
    assert found[True] < TOLERANCE and found[True] < found[False] / 5


def test_heads_that_no_image_reached_stay_in_float(exported, monkeypatch, tmp_path):
    def without_masks(network, tensors, images):
        found, count = channel_ranges(network, tensors, images)
        return {name: row for name, row in found.items() if 'mask_stages' not in name}, count

    monkeypatch.setattr(calibration, 'channel_ranges', without_masks)
    quantizer = Quantizer(exported(DETECTOR), IMAGES[:1])
    always_float = quantizer.always_float
    assert all('mask_stages' in layer for layer in always_float) and always_float
    layers = quantizer.write(tmp_path / 'int8.onnx')
    assert set(layers) == set(quantizer.layers) - set(always_float)
    assert open_session(tmp_path / 'int8.onnx')(IMAGES[0][None])['masks'].ndim == 3


def test_ranges_leave_out_what_has_no_value(exported):
    """Behind RoIs where nothing was found."""
    network = OnnxNetwork(simplify(exported(DETECTOR)))
    tensors = network.float_tensors(nodes_to_quantize(network))
    empty = {
        f'{name}/Reduce{side}': np.full((1, 4, 1, 1), sign * np.inf)
        for name in tensors
        for side, sign in (('Min', 1), ('Max', -1))
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, 'tensor_values', lambda *arguments: iter([empty]))
        assert channel_ranges(network, tensors, []) == ({}, 1)


def test_errors_say_what_to_do_and_leave_no_file(exported, tmp_path):
    source, target = exported(SEGMENTOR, 'plain'), tmp_path / 'new' / 'int8.onnx'
    done = tmp_path / 'done.onnx'
    quantize_file(source, done, IMAGES[:1])
    stranger = onnx.load(str(source))
    del stranger.metadata_props[:]
    onnx.save(stranger, str(tmp_path / 'stranger.onnx'))
    (tmp_path / 'model.xml').touch()
    (tmp_path / 'broken.onnx').write_text('no model')
    for path, images, options, message in (
        (done, IMAGES, {}, 'quantized already'),
        (tmp_path / 'stranger.onnx', IMAGES, {}, 'not written by tools/export.py'),
        (tmp_path / 'model.xml', IMAGES, {}, 'only ONNX files'),
        (tmp_path / 'broken.onnx', IMAGES, {}, 'cannot be opened'),
        (source, [], {}, 'at least one image'),
        (source, [IMAGES[0].astype(float)], {}, 'float64'),
        (source, [IMAGES[0][..., 0]], {}, r'\(64, 96\)'),
        (source, IMAGES, dict(range_method='kl'), "'percentile'"),
        (source, IMAGES, dict(keep_float=['backbone.stage']), 'backbone.stem.conv'),
    ):
        with pytest.raises(ValueError, match=message):
            quantize_file(path, target, images, **options)
    with pytest.raises(FileNotFoundError, match='tools/export'):
        quantize_file(tmp_path / 'none.onnx', target, IMAGES)
    with pytest.raises(ValueError, match='another'):
        quantize_file(source, source, IMAGES)
    assert not target.exists() and digest(source) == digest(exported(SEGMENTOR, 'plain'))


def test_other_precisions_and_static_files(exported, tmp_path):
    half = onnx.load(str(exported(SEGMENTOR, 'plain')))
    entry = next(row for row in half.metadata_props if row.key == 'repnext_mm')
    entry.value = json.dumps(json.loads(entry.value) | dict(precision='float16'))
    onnx.save(half, str(tmp_path / 'half.onnx'))
    with pytest.raises(ValueError, match='half=False'):
        quantize_file(tmp_path / 'half.onnx', tmp_path / 'int8.onnx', IMAGES)
    static = exported(CLASSIFIER, static=True)
    with pytest.raises(ValueError, match='only images of 64 x 96'):
        quantize_file(static, tmp_path / 'int8.onnx', [noise(64, 64)])
    quantize_file(static, tmp_path / 'int8.onnx', IMAGES)
    assert open_session(tmp_path / 'int8.onnx')(IMAGES[0][None])['scores'].shape[0] == 1


def test_metadata_is_read_without_a_runtime(exported, monkeypatch):
    path = exported(CLASSIFIER, static=True)
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    source = SourceFile(path)
    assert source.spec.task == 'classification' and source.spec.input.static_shape == SHAPE


def test_old_names_warn(exported, quantizer, tmp_path):
    known, target = quantizer(CLASSIFIER), tmp_path / 'int8.onnx'
    with pytest.warns(DeprecationWarning, match="'method'.*'range_method'"):
        quantize_file(exported(CLASSIFIER), target, IMAGES, method='minmax')
    with pytest.warns(DeprecationWarning, match='layer_errors'):
        assert known.errors(IMAGES) == known.layer_errors(IMAGES)
    with pytest.warns(DeprecationWarning, match='find_layers'):
        assert known.named(['backbone.stem']) == known.find_layers(['backbone.stem'])
    with pytest.warns(DeprecationWarning, match='always_float'):
        assert known.spared == known.always_float
    with pytest.warns(DeprecationWarning) as warned:
        found = search(known, target, lambda path: 0.0, reference=0.0, images=IMAGES)
    assert {'float_metric', 'ranking_images'} == {
        name for row in warned for name in str(row.message).split("'") if '_' in name
    }
    with pytest.warns(DeprecationWarning, match=r'Search\.result'):
        assert found.chosen == found.result
