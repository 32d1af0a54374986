"""tools/export.py, and tools/test.py on what it writes."""

import json
from pathlib import Path

import pytest
import torch
from commands import CONFIG, SLIM, run_inside

MODEL = [option for option in SLIM if option.startswith(('model', 'test_dataloader'))]
OPTIONS = ['--cfg-options', *MODEL]


@pytest.fixture(scope='module')
def onnx(checkpoint, data, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp('exported') / 'model.onnx'
    result = run_inside('export.py', CONFIG, checkpoint, '--output', path, *OPTIONS, data=data)
    assert result.returncode == 0, result.stderr[-3000:]
    assert '96x128: ' in result.stdout and f'Written to {path}' in result.stdout
    return path


def metrics(inside, work_dir, data, *arguments):
    options = [*OPTIONS, f'visualizer.name={work_dir}']  # one of its own in this process
    arguments = [CONFIG, *arguments, '--work-dir', work_dir, *options]
    result = inside('test.py', *arguments, SHAPES_ROOT=data)
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads((work_dir / 'metrics.json').read_text())


@pytest.mark.distribution
@pytest.mark.filterwarnings('ignore:__array_wrap__')  # mmdet's visualizer, NumPy 2
def test_exported_file_has_the_metrics_of_the_checkpoint(onnx, checkpoint, data, tmp_path, inside):
    expected = metrics(inside, tmp_path / 'torch', data, checkpoint)
    for runtime in ('onnxruntime', 'openvino'):
        folder = tmp_path / runtime
        found = metrics(inside, folder, data, onnx, '--runtime', runtime, '--show-dir', folder)
        assert found['metrics'] == pytest.approx(expected['metrics'], abs=0.002)
        assert found['form'] == 'fused' and found['runtime'] == runtime
        assert len(list(folder.rglob('*.png'))) == 6


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--form', 'plain'], 'leave --form'),
        (['--tta'], '--tta out'),
        (['--launcher', 'pytorch'], 'leave --launcher out'),
        (['--runtime', 'tensorrt'], "unknown runtime 'tensorrt'"),
    ],
)
def test_what_an_exported_file_cannot_do_is_named(arguments, message, onnx, data, inside):
    result = inside('test.py', CONFIG, onnx, *arguments, *OPTIONS, SHAPES_ROOT=data)
    assert result.returncode != 0 and message in result.stderr


def test_config_must_be_one_for_the_exported_file(onnx, data, tmp_path, inside):
    def run(config, *arguments):
        options = ['--work-dir', tmp_path, '--cfg-options', *arguments]
        return inside('test.py', config, onnx, *options, SHAPES_ROOT=data)

    result = run(CONFIG.with_name('upernet_repnext_slim_shapes.py'), 'seed=0')
    assert result.returncode != 0 and 'is for detection, the config is for' in result.stderr
    names = 'test_dataloader.dataset.metainfo.classes'
    result = run(CONFIG, f'{names}=(a,b)', *MODEL)
    assert result.returncode != 0 and '5 classes (' in result.stderr
    assert 'has 2 (a, b)' in result.stderr


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--output', 'model.pth'], 'the ending of model.pth says no format'),
        (['--output', 'model.onnx', '--opset', '14'], 'opset 14 does not work'),
        (['--output', 'model.onnx', '--part', 'neck'], "unknown part 'neck'"),
        (['--output', 'model.onnx', '--format', 'tensorrt'], "unknown format 'tensorrt'"),
        (['--output', 'model.onnx', '--form', 'small'], "invalid choice: 'small'"),
        (['--output', 'model.onnx', '--argmax'], 'argmax is for segmentors'),
        (['--output', 'model.onnx', '--launcher', 'pytorch'], 'leave --launcher out'),
        (['--output', '/dev/null/model.onnx'], '/dev/null is a file, no folder'),
    ],
)
def test_wrong_arguments_are_named(
    arguments, message, checkpoint, data, tmp_path, inside, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    result = inside('export.py', CONFIG, checkpoint, *arguments, *OPTIONS, SHAPES_ROOT=data)
    assert result.returncode != 0 and message in result.stderr
    assert not list(tmp_path.iterdir())


def test_checkpoint_must_have_the_parts_that_are_exported(checkpoint, data, tmp_path, inside):
    target, backbone = tmp_path / 'model.onnx', tmp_path / 'backbone.pth'
    state = torch.load(checkpoint, weights_only=True)['state_dict']
    torch.save({k: v for k, v in state.items() if k.startswith('backbone.')}, backbone)
    cases = [
        ('no.pth', [], "there is no checkpoint 'no.pth'"),
        (backbone, [], 'entries of backbone, neck, rpn_head, roi_head, such as'),
        (backbone, ['--part', 'backbone-neck'], "'neck.lateral_convs.0.conv.weight'"),
        (backbone, ['--part', 'backbone'], ''),
    ]
    for source, options, message in cases:
        arguments = [CONFIG, source, '--output', target, *options, *OPTIONS]
        result = inside('export.py', *arguments, SHAPES_ROOT=data)
        assert (result.returncode == 0) == target.exists() == (not message)
        assert message in result.stderr
