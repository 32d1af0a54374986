"""The tools with segmentors and classifiers, on configs of other projects."""

import json

import cv2
import pytest
from commands import run_inside
from images import write_images

CLASSIFIER = """
custom_imports = dict(imports=['repnext_mm'])
default_scope = 'mmpretrain'
model = dict(
    type='ImageClassifier',
    backbone=dict(type='repnext_mm.RepNeXt', arch=dict(channels=[8, 8, 16, 16], depths=[1] * 4),
                  out_indices=-1),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=2, in_channels=16))
data_preprocessor = dict(num_classes=2, mean=[128] * 3, std=[64] * 3, to_rgb=True)
dataset = dict(type='CustomDataset', data_root=ROOT, pipeline=[
    dict(type='LoadImageFromFile'), dict(type='Resize', scale=64), dict(type='PackInputs')])
train_dataloader = dict(batch_size=2, num_workers=0, dataset=dataset,
                        sampler=dict(type='DefaultSampler', shuffle=True))
test_dataloader = dict(batch_size=2, num_workers=0, dataset=dataset,
                       sampler=dict(type='DefaultSampler', shuffle=False))
test_evaluator = dict(type='Accuracy', topk=1)
visualizer = dict(type='UniversalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
default_hooks = dict(visualization=dict(type='VisualizationHook'))
"""

SEGMENTOR = """
custom_imports = dict(imports=['repnext_mm'])
default_scope = 'mmseg'
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', size=(64, 64), mean=[128] * 3, std=[64] * 3),
    backbone=dict(type='repnext_mm.RepNeXt', arch=dict(channels=[8, 8, 16, 16], depths=[1] * 4)),
    decode_head=dict(type='FCNHead', in_channels=16, in_index=3, channels=8, num_classes=2,
                     num_convs=1, norm_cfg=dict(type='BN')),
    test_cfg=dict(mode='whole'))
dataset = dict(type='BaseSegDataset', data_root=ROOT, reduce_zero_label=False,
    metainfo=dict(classes=('a', 'b'), palette=[[0, 0, 0], [255, 0, 0]]),
    img_suffix='.png', data_prefix=dict(img_path='images', seg_map_path='labels'), pipeline=[
    dict(type='LoadImageFromFile'), dict(type='Resize', scale=(64, 64)),
    dict(type='LoadAnnotations'), dict(type='PackSegInputs')])
train_dataloader = dict(batch_size=2, num_workers=0, dataset=dataset,
                        sampler=dict(type='DefaultSampler', shuffle=True))
test_dataloader = dict(batch_size=1, num_workers=0, dataset=dataset,
                       sampler=dict(type='DefaultSampler', shuffle=False))
test_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
visualizer = dict(type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
default_hooks = dict(visualization=dict(type='SegVisualizationHook'))
"""

LOOPS = """
train_cfg = dict(by_epoch=True, max_epochs=1)
test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.01))
"""


@pytest.mark.filterwarnings('ignore:For binary segmentation')  # mmseg prefers one channel to two
@pytest.mark.filterwarnings('ignore:The draw is False')  # as mmseg's own default is
@pytest.mark.filterwarnings('ignore:The shape of value')  # mmseg's TTA drops a dimension
@pytest.mark.parametrize(
    ('text', 'metric'),
    [
        pytest.param(CLASSIFIER, 'accuracy/top1', id='cls'),
        pytest.param(SEGMENTOR, 'mIoU', id='seg', marks=pytest.mark.distribution),
    ],
)
def test_the_same_tools_train_and_test_segmentors_and_classifiers(text, metric, tmp_path):
    write_images(tmp_path / 'data')
    root = tmp_path / 'data' / ('classes' if text is CLASSIFIER else '')
    config = tmp_path / 'config.py'
    config.write_text(text.replace('ROOT', f"'{root}'") + LOOPS)
    result = run_inside('train.py', config, '--work-dir', tmp_path / 'run')
    assert result.returncode == 0, result.stderr[-3000:]
    reports = {}
    for arguments in (('--form', 'training'), ('--show-dir', tmp_path / 'pictures'), ('--tta',)):
        command = [
            'test.py',
            config,
            tmp_path / 'run' / 'epoch_1.pth',
            '--work-dir',
            tmp_path / 't',
        ]
        result = run_inside(*command, *arguments)
        assert result.returncode == 0, result.stderr[-3000:]
        reports[arguments[0]] = json.loads((tmp_path / 't' / 'metrics.json').read_text())['metrics']
    assert reports['--show-dir'] == pytest.approx(reports['--form'], abs=0.05)
    assert metric in reports['--tta']
    pictures = list((tmp_path / 'pictures').glob('*.png'))
    assert len(pictures) == 4
    analyzed = run_inside(
        'analyze.py', config, tmp_path / 'run' / 'epoch_1.pth', '--output', tmp_path / 'a'
    )
    assert analyzed.returncode == 0, analyzed.stderr[-3000:]
    numbers = json.loads((tmp_path / 'a' / 'analysis.json').read_text())
    own = numbers['mIoU'] if text is SEGMENTOR else numbers['top1']
    assert 100 * own == pytest.approx(numbers['metrics'][metric], abs=0.01)
    assert (numbers['form'], numbers['calibration'] is None) == ('fused', False)
    if text is SEGMENTOR:
        below = cv2.imread(str(pictures[0]))[90:].reshape(-1, 3).tolist()
        assert [0, 0, 0] in below and [0, 0, 255] in below  # the legend's two colours, in BGR
    model, int8 = tmp_path / 'model.onnx', tmp_path / 'int8.onnx'
    result = run_inside('export.py', config, tmp_path / 'run' / 'epoch_1.pth', '--output', model)
    assert result.returncode == 0, result.stderr[-3000:]
    arguments = ['--output', int8, '--work-dir', tmp_path / 'q', '--images', 2, '--rounds', 1]
    result = run_inside('quantize.py', config, model, *arguments, '--max-loss', 1)
    assert result.returncode == 0, result.stderr[-3000:]
    report = json.loads((tmp_path / 'q' / 'quantization.json').read_text())
    assert (report['decided_on'], len(report['trials'])) == ('test', 1)
    for name in ('float', 'int8'):
        (values,) = report[name]['metrics'].values()
        assert list(values) == [metric] and 0 <= values[metric] <= 1
    reached = report['float']['metrics']['onnxruntime'][metric]
    assert 100 * reached == pytest.approx(reports['--form'][metric], abs=0.05)
    assert report['loss'] is None or -1 <= report['loss'] <= 1
