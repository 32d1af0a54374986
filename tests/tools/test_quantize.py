"""The tool that quantizes, as a user runs it."""

import json
from collections import Counter

import numpy as np
import pytest
from commands import CONFIG, SLIM

from repnext_mm.evaluation.file_metrics import FileEvaluator
from repnext_mm.export import Detector, open_session


@pytest.fixture(scope='module')
def model(checkpoint, data, tmp_path_factory):
    """An exported detector."""
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmengine.runner import load_checkpoint

    from repnext_mm.checkpoints.loading import build_model
    from repnext_mm.export import ExportOptions, export_model

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('SHAPES_ROOT', str(data))
        cfg = Config.fromfile(CONFIG)
    cfg.model.backbone.arch.channels = cfg.model.neck.in_channels = [8, 8, 16, 16]
    init_default_scope('mmdet')
    detector = build_model(cfg)
    load_checkpoint(detector, str(checkpoint), map_location='cpu')
    path = tmp_path_factory.mktemp('exported') / 'model.onnx'
    return export_model(detector, path, cfg, ExportOptions(shape=(96, 128))).path


@pytest.fixture
def evaluated(monkeypatch) -> Counter:
    """Counts the evaluations of each file on each split in each runtime."""
    found: Counter = Counter()
    measure = FileEvaluator._all_metrics

    def counted(self, path, split, runtime):
        found[str(path), split, runtime] += 1
        return measure(self, path, split, runtime)

    monkeypatch.setattr(FileEvaluator, '_all_metrics', counted)
    return found


def test_detector_is_quantized_measured_and_reported(inside, data, model, evaluated, tmp_path):
    target = tmp_path / 'int8.onnx'
    arguments = ['--output', target, '--work-dir', tmp_path, '--images', 3, '--rounds', 1]
    # Six iterations give no AP that could be lost.
    options = ['--max-loss', 1, '--keep-float', 'proposals.head.rpn_cls', '--cfg-options', *SLIM]
    result = inside('quantize.py', CONFIG, model, *arguments, *options, SHAPES_ROOT=data)
    assert result.returncode == 0, result.stderr[-3000:]
    assert 'int8  onnxruntime' in result.stdout and 'openvino' not in result.stdout
    assert result.stdout.count('NOTE') == 1 and 'cannot be measured' in result.stdout
    report = json.loads((tmp_path / 'quantization.json').read_text())
    assert report['quantization']['images'] == 3 and report['calibrated_on'] == 'train'
    assert (report['decided_on'], report['measured_on'], report['loss']) == ('test', 'test', None)
    assert report['trials'][0]['keep_float'] == ['proposals.head.rpn_cls']
    assert not report['within_max_loss'] and len(report['trials']) == 1
    for name in ('float', 'int8'):
        metrics = report[name]['metrics']
        assert set(metrics) == set(report['images_per_second']) == {'onnxruntime'}
        assert set(metrics['onnxruntime']) <= {'coco/bbox_mAP', 'coco/segm_mAP'}
    assert set(evaluated.values()) == {1} and len(evaluated) == 2
    assert {(split, runtime) for _, split, runtime in evaluated} == {('test', 'onnxruntime')}
    assert open_session(target).metadata['precision'] == 'int8'
    assert Detector(target)(np.zeros((60, 80, 3), np.uint8)).boxes.shape[1] == 4


def test_validation_decides_and_the_test_reports(inside, data, model, evaluated, tmp_path):
    arguments = ['--output', tmp_path / 'int8.onnx', '--work-dir', tmp_path, '--images', 2]
    arguments += ['--rounds', 1, '--runtimes', 'onnxruntime', 'openvino']
    found = data / 'annotations' / 'instances_train.json'
    options = ['--split', 'val', '--cfg-options', *SLIM]
    options += [f'test_evaluator.ann_file={found}', f'test_dataloader.dataset.ann_file={found}']
    options += ['test_dataloader.dataset.data_prefix.img=train/']
    result = inside('quantize.py', CONFIG, model, *arguments, *options, SHAPES_ROOT=data)
    assert result.returncode == 0, result.stderr[-3000:]
    assert 'on the val data' in result.stdout and 'int8     openvino' in result.stdout
    report = json.loads((tmp_path / 'quantization.json').read_text())
    assert (report['decided_on'], report['measured_on']) == ('val', 'test')
    assert set(report['int8']['metrics']) == {'onnxruntime', 'openvino'}
    assert set(evaluated.values()) == {1}
    runs = Counter((split, runtime) for _, split, runtime in evaluated)
    assert runs == dict.fromkeys(
        [('val', 'onnxruntime'), ('test', 'onnxruntime'), ('test', 'openvino')], 2
    )

    evaluated.clear()
    result = inside(
        'quantize.py', CONFIG, model, *arguments[:-3], '--no-search', *options, SHAPES_ROOT=data
    )
    assert result.returncode == 0, result.stderr[-3000:]
    report = json.loads((tmp_path / 'quantization.json').read_text())
    assert report['decided_on'] is None and report['trials'] == []
    assert {split for _, split, _ in evaluated} == {'test'} and sum(evaluated.values()) == 2


def test_what_cannot_be_quantized_is_refused(inside, data, model, tmp_path):
    target = tmp_path / 'int8.onnx'
    base = ['--output', target, '--work-dir', tmp_path, '--images', 2]
    cases = [
        ([model, *base, '--keep-float', 'nose'], data, "no layer 'nose'"),
        ([model, *base, '--method', 'kl'], data, "method 'kl'"),
        ([tmp_path / 'none.onnx', *base], data, 'there is no exported file'),
        ([tmp_path / 'model.pth', *base], data, 'only ONNX files'),
        ([model, *base], tmp_path / 'nowhere', 'data of this config is not there'),
        ([model, *base, '--images', 0], data, 'must be positive'),
        ([model, *base, '--max-loss', -0.1], data, 'must be 0 or more'),
        ([model, *base, '--max-loss', 'nan'], data, 'must be 0 or more'),
        ([model, '--output', tmp_path], data, f'{tmp_path} is a folder'),
        ([model, *base, '--launcher', 'pytorch'], data, 'one process'),
    ]
    for arguments, root, message in cases:
        options = ['--cfg-options', *SLIM]
        result = inside('quantize.py', CONFIG, *arguments, *options, SHAPES_ROOT=root)
        assert result.returncode != 0 and message in result.stderr, result.stderr[-500:]
    assert not target.exists()
