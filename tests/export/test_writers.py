"""Formats with converters of their own: a file that computes the same, or none and a reason."""

import copy
import functools
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from commands import CONFIG, SLIM, run_inside
from exports import CLASSIFIERS, DETECTORS, SEGMENTORS, noise, predict, small_config, small_model

from repnext_mm.export import ExportOptions, export_model, exporter, open_reader, open_session
from repnext_mm.export.formats import FORMATS, Format, casts_itself, format_of
from repnext_mm.export.writers import ncnn as ncnn_writer
from repnext_mm.quantization import quantize_file
from repnext_mm.runtime import pairs
from repnext_mm.runtime.sessions import SESSIONS

SHAPE = (64, 96)
PACKAGES = {
    'coreml': 'coremltools',
    'executorch': 'executorch',
    'litert': 'litert_torch',
    'ncnn': 'pnnx',
}
TARGETS = tuple(PACKAGES)
REPRESENTATIVES = [
    ('coreml', CLASSIFIERS[0], 'model', True),
    pytest.param('coreml', SEGMENTORS[0], 'model', False, marks=pytest.mark.slow),
    ('executorch', CLASSIFIERS[0], 'model', False),
    ('litert', DETECTORS[0], 'backbone', False),
    ('ncnn', SEGMENTORS[2], 'model', False),
    ('ncnn', DETECTORS[0], 'backbone', True),
]
"""Format, config, part, float16."""


@functools.cache
def model_of(name):
    return small_model(small_config(name))


def export(name, path, cfg=None, **options):
    return export_model(model_of(name), path, cfg, ExportOptions(**(dict(shape=SHAPE) | options)))


def needs(target):
    pytest.importorskip(PACKAGES[target])


@pytest.mark.parametrize(('target', 'name', 'part', 'half'), REPRESENTATIVES)
def test_a_target_computes_what_torch_does(target, name, part, half, tmp_path):
    needs(target)
    path = tmp_path / f'model{FORMATS[target].suffix}'
    cfg = small_config(name)
    report = export_model(
        model_of(name), path, cfg, ExportOptions(shape=SHAPE, part=part, half=half)
    )
    spec = open_session(path).spec
    assert spec == report.spec and spec.input.static_shape == SHAPE and spec.input.batch == 1
    assert spec.precision == ('float16' if half else 'float32')
    assert spec.input.float_input == (target in ('coreml', 'ncnn'))
    others = [file for file in tmp_path.iterdir() if file not in (path, pairs.weights_of(path))]
    assert others == [] and report.size > path.stat().st_size / 2
    if part == 'model':  # another image than the exporter's
        image, reader = noise(*SHAPE, seed=5), open_reader(path)
        expected = torch.as_tensor(predict(model_of(name), spec.task, image))
        ask = reader.classify if spec.task == 'classification' else reader.segment
        found = torch.as_tensor(ask(image))
        error = (expected - found).abs().max() / expected.abs().max()
        assert error < (0.02 if half else 1e-4)
        assert reader(image) is not None


@pytest.mark.parametrize('target', TARGETS)
def test_a_detector_is_refused_before_anything_is_computed(target, tmp_path, monkeypatch):
    monkeypatch.setattr(exporter, 'prepare', None)  # calling it would raise a TypeError
    path = tmp_path / f'model{FORMATS[target].suffix}'
    with pytest.raises(ValueError, match=r'whole detector.*non-maximum suppression.*backbone-neck'):
        export(DETECTORS[0], path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ('target', 'options', 'message'),
    [
        ('ncnn', dict(argmax=True), 'argmax cannot be exported to ncnn.*the largest of the logits'),
        ('litert', dict(half=True), 'float16 cannot be exported to litert.*Leave half out'),
    ],
)
def test_what_a_format_cannot_hold_is_refused(target, options, message, tmp_path, monkeypatch):
    monkeypatch.setattr(exporter, 'prepare', None)
    with pytest.raises(ValueError, match=message):
        export(SEGMENTORS[2], tmp_path / f'model{FORMATS[target].suffix}', **options)


@pytest.mark.parametrize('target', TARGETS)
def test_a_missing_package_is_named_with_its_extra(target, tmp_path, monkeypatch):
    for module in {*PACKAGES.values(), 'ai_edge_litert', 'ncnn'} - {PACKAGES[target]}:
        monkeypatch.setitem(sys.modules, module, ModuleType(module))
    monkeypatch.setitem(sys.modules, PACKAGES[target], None)
    monkeypatch.setattr(exporter, 'prepare', None)
    path = tmp_path / f'model{FORMATS[target].suffix}'
    with pytest.raises(
        ImportError, match=rf'{PACKAGES[target]}.*({target}\.txt|repnext-mm\[{target}\])'
    ):
        export(DETECTORS[0], path, part='backbone')
    assert list(tmp_path.iterdir()) == []


def test_a_package_in_the_way_is_told_before_anything_is_computed(tmp_path, monkeypatch):
    monkeypatch.setattr(exporter, 'prepare', None)
    (tmp_path / 'model.mlpackage').mkdir()
    with pytest.raises(FileExistsError, match=r'model\.mlpackage is there already'):
        export(CLASSIFIERS[0], tmp_path / 'model.mlpackage')


def test_weights_of_another_file_are_not_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(exporter, 'prepare', None)
    (tmp_path / 'model.xml').touch()
    with pytest.raises(FileExistsError, match=r'those of model\.xml, in model\.bin'):
        export(CLASSIFIERS[0], tmp_path / 'model.param')


def test_a_file_that_computes_something_else_is_not_kept(tmp_path, monkeypatch):
    needs('ncnn')

    def write_wrongly(job, path):
        graph = copy.deepcopy(job.graph)
        first = next(iter(graph.parameters()))
        with torch.no_grad():
            first += 0.05 * first.abs().max()
        ncnn_writer.write_ncnn(job._replace(graph=graph), path)

    row = FORMATS['ncnn']._replace(write=write_wrongly)
    monkeypatch.setitem(FORMATS, 'ncnn', row)
    with pytest.raises(ValueError, match='the ncnn file computes something else'):
        export(DETECTORS[0], tmp_path / 'model.param', part='backbone')
    assert list(tmp_path.iterdir()) == []


def test_ncnn_opens_no_weights_of_another_file(tmp_path):
    needs('ncnn')
    path = tmp_path / 'model.ncnn.param'
    export(DETECTORS[0], path, part='backbone')
    assert {file.name for file in tmp_path.iterdir()} == {'model.ncnn.param', 'model.ncnn.bin'}
    with pairs.weights_of(path).open('r+b') as weights:
        weights.seek(100)
        weights.write(b'another')
    with pytest.raises(ValueError, match=r'model\.ncnn\.bin beside it is missing, damaged'):
        open_session(path)


def test_ncnn_layers_get_the_names_of_the_contract():
    text = '7767517\n2 2\nInput in0 0 1 in0\nConvolution conv_0 1 1 in0 out0 0=24 1=4\n'
    assert ncnn_writer.renamed(text, ['logits']).splitlines()[2:] == [
        'Input images 0 1 images',
        'Convolution conv_0 1 1 images logits 0=24 1=4',
    ]
    ncnn_writer.check_ncnn_layers(text)
    with pytest.raises(ValueError, match=r"no layers for \['torch\.argmax'\]"):
        ncnn_writer.check_ncnn_layers(text + 'torch.argmax argmax_0 1 1 out0 1\n')


@pytest.mark.parametrize('suffix', ['.onnx', '.xml'])
def test_float_input_gives_the_same(suffix, tmp_path):
    images = noise(*SHAPE)[None]
    paths = [tmp_path / f'{kind}{suffix}' for kind in ('bytes', 'floats')]
    for path in paths:
        floats = path.stem == 'floats'
        report = export(
            DETECTORS[0], path, part='backbone', float_input=floats, static=suffix == '.xml'
        )
        entries = report.metadata['input']
        expected = ('NCHW', 'float32') if floats else ('NHWC', 'uint8')
        assert (entries['layout'], entries['dtype']) == expected
    found = [open_session(path)(images) for path in paths]
    for name, expected in found[0].items():
        np.testing.assert_allclose(found[1][name], expected, rtol=1e-4, atol=1e-4)
    if suffix == '.onnx':
        with pytest.raises(ValueError, match='takes float images'):
            quantize_file(paths[1], tmp_path / 'int8.onnx', images)


def test_a_whole_detector_takes_floats(tmp_path):
    report = export(DETECTORS[0], tmp_path / 'model.onnx', float_input=True)
    assert report.comparisons[0].count > 0


def test_every_format_has_a_runtime_and_an_ending_of_its_own():
    endings = [row.suffix for row in FORMATS.values()]
    assert len(set(endings)) == len(endings) and set(endings) == set(SESSIONS)
    for name, row in FORMATS.items():
        assert isinstance(row, Format)
        assert format_of(Path(f'model{row.suffix}'), None) == name
        ExportOptions(**row.fixed)
    assert casts_itself('coreml') and not casts_itself(None) and not casts_itself('onnx')


@pytest.mark.parametrize(('floats', 'sides'), [(False, (1, 2)), (True, (2, 3))])
def test_programs_of_torch_leave_the_sides_open(floats, sides, tmp_path, monkeypatch):
    class AskedError(Exception):
        pass

    def ask(module, args, dynamic_shapes, **options):
        raise AskedError(sorted(dynamic_shapes[0]), tuple(args[0].shape))

    monkeypatch.setattr(torch.export, 'export', ask)
    with pytest.raises(AskedError) as asked:
        export(DETECTORS[0], tmp_path / 'model.pt2', part='backbone', float_input=floats)
    shape = (2, 3, *SHAPE) if floats else (2, *SHAPE, 3)
    assert asked.value.args == ([0, *sides], shape)


def test_the_tool_compares_formats(tmp_path):
    options = [option for option in SLIM if option.startswith('model')]
    result = run_inside(
        'compare_formats.py', CONFIG, '--part', 'backbone', '--formats', 'onnx', 'litert',
        '--precisions', 'float32', 'float16', '--shape', *SHAPE, '--rounds', 1,
        '--work-dir', tmp_path, '--cfg-options', *options,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    rows = json.loads((tmp_path / 'formats' / 'formats.json').read_text())['results']
    assert [row['format'] for row in rows] == ['onnx'] * 2 + ['litert'] * 2
    for row in rows[:2]:
        assert row['bytes'] > 1000 and row['speed'] > 0
        assert 0 < row['spread'][0] <= row['seconds'] <= row['spread'][1]
        assert row['differences'][0]['features'] < (1e-4 if row['precision'] == 'float32' else 0.05)
    assert 'float16 cannot be exported to litert' in rows[3]['failure']
    text = (tmp_path / 'formats' / 'formats.md').read_text()
    assert '|   onnx |   float16 |' in text and 'command: ' in text


@pytest.mark.skipif(sys.platform != 'darwin', reason='only macOS has Core ML')
@pytest.mark.parametrize('half', [False, True])
def test_core_ml_computes_what_its_program_says(half, tmp_path):
    needs('coreml')
    path = tmp_path / 'model.mlpackage'
    export(SEGMENTORS[0], path, half=half)
    images = noise(*SHAPE, seed=3)[None]
    found, expected = (open_session(path, runtime)(images) for runtime in ('coreml', 'ml-program'))
    scale = np.abs(expected['logits']).max()
    assert np.abs(found['logits'] - expected['logits']).max() < (0.05 if half else 1e-3) * scale
