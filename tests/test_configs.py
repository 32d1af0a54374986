"""Every config parses anywhere, builds, and does one training and one test step."""

import importlib.util
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from batches import classification_batch, detection_batch, segmentation_batch
from helpers import M_ARCHS, randomize, slim
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope

from repnext_mm import reparameterize_model
from repnext_mm.engine.deploy import build_model, compare_forms
from repnext_mm.engine.device import adapt_to_device
from repnext_mm.engine.types import type_name
from repnext_mm.models import RepNeXt

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(p for p in (ROOT / 'configs').rglob('*.py') if '_base_' not in p.parts)
REAL = Path(os.environ.get('REPNEXT_TEST_DATA', ROOT.parent / 'shared' / 'data'))

pytestmark = pytest.mark.distribution


def read(path: Path) -> Config:
    return Config.fromfile(path)


TEACHER = dict(
    type='ImageClassifier',
    backbone=dict(type='MobileNetV2', widen_factor=0.1),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=1000, in_channels=1280),
)
BATCHES = dict(mmdet=detection_batch, mmseg=segmentation_batch, mmpretrain=classification_batch)
LOSSES = dict(
    MaskRCNN={'loss_cls', 'loss_bbox', 'loss_mask', 'loss_rpn_cls'},
    CascadeRCNN={f's{i}.loss_{kind}' for i in range(3) for kind in ('cls', 'bbox', 'mask')},
    EncoderDecoder={'decode.loss_ce'},
    ImageClassifier={'loss'},
    DistilledClassifier={'loss', 'loss_distill'},
)


SHORT = dict(
    ConvNeXt=dict(arch=dict(depths=[1, 1, 1, 1], channels=[96, 192, 384, 768])),
    SwinTransformer=dict(arch=dict(embed_dims=96, depths=[1, 1, 1, 1], num_heads=[3, 6, 12, 24])),
    VisionTransformer=dict(
        arch=dict(embed_dims=768, num_layers=12, num_heads=12, feedforward_channels=64)
    ),
    RepVGG=dict(
        arch=dict(
            num_blocks=[1, 1, 1, 1],
            width_factor=[1.5, 1.5, 1.5, 2.75],
            group_layer_map=None,
            se_cfg=None,
        )
    ),
)
"""Fewer layers with the channels of the real ones."""


def shrink(cfg: Config) -> Config:
    """The same model with thin stages and without weights, so that a step takes a second."""
    model = cfg.model
    model.backbone.pop('init_cfg', None)
    model.backbone.update(SHORT.get(type_name(model.backbone), {}))
    if type_name(model.backbone) == 'RepNeXt':
        set_channels(model, thin_stages(model.backbone))
    if cfg.default_scope == 'mmdet':
        for extractor in ('bbox_roi_extractor', 'mask_roi_extractor'):
            model.roi_head[extractor].roi_layer.sampling_ratio = 2
        for head in as_list(model.roi_head.bbox_head):
            head.fc_out_channels = 64
        for stage in as_list(model.train_cfg.rcnn):
            stage.sampler.num = 32
        model.test_cfg.rpn.max_per_img = 50
        model.test_cfg.rcnn.max_per_img = 10
    elif cfg.default_scope == 'mmseg':
        model.data_preprocessor.size = (64, 64)
    elif 'teacher' in model:
        model.teacher = TEACHER
    return cfg


def as_list(value: object) -> list:
    return value if isinstance(value, list) else [value]


def thin_stages(backbone: dict) -> list[int]:
    """Makes a RepNeXt thin and short, and returns its channels."""
    arch = backbone.arch
    variant = arch if isinstance(arch, str) else arch.get('variant', 'tiny')
    backbone.arch = slim(variant, depths=(1, 1, 1, 1))
    return backbone.arch['channels']


def set_channels(model: dict, channels: list[int]) -> None:
    """Tells what reads the features of the backbone."""
    if 'in_channels' in model.get('neck', {}):
        model.neck.in_channels = channels
    elif 'auxiliary_head' in model:
        model.decode_head.in_channels = channels
        model.auxiliary_head.in_channels = channels[2]
    else:
        model.head.in_channels = channels[-1]


def test_configs_parse_from_another_folder(tmp_path):
    code = """
import sys
from mmengine.config import Config
for path in sys.argv[1:]:
    print(Config.fromfile(path).model.type)
"""
    command = [sys.executable, '-W', 'ignore', '-c', code, *map(str, CONFIGS)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.split()) == len(CONFIGS)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_leaf_configs_are_short(path):
    if path.parent.name != 'demo':
        assert len(path.read_text().splitlines()) <= 18


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config_trains_and_tests_one_step(path):
    from mmengine.optim import build_optim_wrapper

    cfg = shrink(read(path))
    cfg.launcher = 'none'
    adapt_to_device(cfg)  # mixed precision needs a GPU
    init_default_scope(cfg.default_scope)
    model = revert_sync_batchnorm(build_model(cfg))
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    before = next(model.backbone.parameters()).detach().clone()
    unused = {name for name, param in model.named_parameters() if param.requires_grad}
    for name in tuple(unused):
        model.get_parameter(name).register_hook(partial(lambda n, _: unused.discard(n), name))
    batch = BATCHES[cfg.default_scope]
    losses = model.train().train_step(batch(), wrapper)
    assert LOSSES[type_name(cfg.model)] <= set(losses)
    assert ('aux.loss_ce' in losses) == ('auxiliary_head' in cfg.model)
    assert all(torch.isfinite(loss).all() for loss in losses.values())
    assert not torch.equal(before, next(model.backbone.parameters()))
    # DistributedDataParallel needs to know of parameters without gradient.
    assert bool(unused) == cfg.get('find_unused_parameters', False), unused
    model.eval()  # mmpretrain's does not return the model
    merged = reparameterize_model(randomize(model))
    assert compare_forms(model, merged) < 1e-4
    with torch.no_grad():
        results = merged.test_step(batch())
    assert len(results) == 2


def test_recipes_are_the_published_ones():
    one, three = (
        read(ROOT / 'configs' / f'mask_rcnn_repnext_tiny{kind}_coco.py') for kind in ('', '_3x')
    )
    for cfg, epochs, steps in ((one, 12, [8, 11]), (three, 36, [27, 33])):
        optimizer = cfg.optim_wrapper.optimizer
        assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == ('AdamW', 1e-4, 0.05)
        assert tuple(optimizer.betas) == (0.9, 0.999)
        assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
        assert cfg.optim_wrapper.paramwise_cfg == dict(decay_rate=0.95, decay_type='layer_wise')
        assert cfg.model.backbone.drop_path_rate == 0.4
        warmup, decay = cfg.param_scheduler
        assert (warmup.start_factor, warmup.end, warmup.by_epoch) == (0.001, 1000, False)
        assert (cfg.train_cfg.max_epochs, decay.end, decay.milestones) == (epochs, epochs, steps)
        assert cfg.auto_scale_lr.base_batch_size == 16
    kinds = [[step.type for step in cfg.train_pipeline] for cfg in (one, three)]
    assert 'RandomChoice' in kinds[1] and 'RandomChoice' not in kinds[0]
    scales = three.train_pipeline[3].transforms[0][0].scales
    assert scales[0] == (480, 1333) and scales[-1] == (800, 1333) and len(scales) == 11


def differences(ours: object, theirs: object, path: str = '') -> dict[str, tuple]:
    """Where two configs differ: the path, and both values."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        pairs = {key: (ours.get(key), theirs.get(key)) for key in {**ours, **theirs}}
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = dict(enumerate(zip(ours, theirs, strict=True)))
    else:
        return {} if ours == theirs else {path.lstrip('.'): (ours, theirs)}
    return {
        k: v for key, pair in pairs.items() for k, v in differences(*pair, f'{path}.{key}').items()
    }


CONVNEXT = {
    'mask_rcnn_repnext_tiny_3x_coco': 'mmdet/.mim/configs/convnext/'
    'mask-rcnn_convnext-t-p4-w7_fpn_amp-ms-crop-3x_coco.py',
    'cascade_mask_rcnn_repnext_tiny_coco': 'mmdet/.mim/configs/convnext/'
    'cascade-mask-rcnn_convnext-t-p4-w7_fpn_4conv1fc-giou_amp-ms-crop-3x_coco.py',
    'cascade_mask_rcnn_repnext_small_coco': 'mmdet/.mim/configs/convnext/'
    'cascade-mask-rcnn_convnext-s-p4-w7_fpn_4conv1fc-giou_amp-ms-crop-3x_coco.py',
    'upernet_repnext_tiny_ade20k': 'mmseg/.mim/configs/convnext/'
    'convnext-tiny_upernet_8xb2-amp-160k_ade20k-512x512.py',
    'upernet_repnext_small_ade20k': 'mmseg/.mim/configs/convnext/'
    'convnext-small_upernet_8xb2-amp-160k_ade20k-512x512.py',
    'upernet_repnext_base_ade20k': 'mmseg/.mim/configs/convnext/'
    'convnext-base_upernet_8xb2-amp-160k_ade20k-512x512.py',
}


@pytest.mark.parametrize('name', CONVNEXT)
def test_recipes_are_those_of_convnext_but_for_the_backbone(name):
    package, _, path = CONVNEXT[name].partition('/')
    (folder,) = importlib.util.find_spec(package).submodule_search_locations
    ours, theirs = read(ROOT / 'configs' / f'{name}.py'), read(Path(folder, path))
    assert ours.model.backbone.drop_path_rate == theirs.model.backbone.drop_path_rate
    keys = ('model', 'optim_wrapper', 'param_scheduler', 'train_cfg', 'auto_scale_lr')
    found = differences(*({key: cfg.get(key) for key in keys} for cfg in (ours, theirs)))
    assert {path for path in found if not path.startswith('model.backbone.')} <= {
        'model.pretrained',  # None
        'model.test_cfg.mode',  # 'whole' unless asked for
        'optim_wrapper.constructor',
        'optim_wrapper.loss_scale',  # mmengine's default
        'optim_wrapper.paramwise_cfg.num_layers',  # layer-wise, the backbone tells
        'auto_scale_lr',
        'auto_scale_lr.enable',
    }, found


@pytest.mark.parametrize('arch', M_ARCHS)
def test_mobile_recipes_are_the_official_ones(arch):
    detector, segmentor, classifier, student = (
        read(ROOT / 'configs' / f'{name}.py')
        for name in (
            f'mask_rcnn_repnext_{arch}_coco',
            f'fpn_repnext_{arch}_ade20k',
            f'repnext_{arch}_imagenet',
            f'repnext_{arch}_distill_imagenet',
        )
    )
    channels = list(RepNeXt.arch_settings[arch].channels)
    for cfg, rate in ((detector, 2e-4), (segmentor, 1e-4)):
        assert cfg.model.backbone.arch == arch and list(cfg.model.neck.in_channels) == channels
        assert cfg.model.backbone.init_cfg.checkpoint == f'pretrained/repnext_{arch}.pth'
        optimizer = cfg.optim_wrapper.optimizer
        assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == ('AdamW', rate, 0.05)
        assert 'paramwise_cfg' not in cfg.optim_wrapper
        assert cfg.auto_scale_lr.base_batch_size == 16
    warmup, decay = detector.param_scheduler
    assert (warmup.end, decay.milestones, detector.train_cfg.max_epochs) == (500, [8, 11], 12)
    assert detector.model.backbone.norm_eval and not detector.model.backbone.drop_path_rate
    (poly,) = segmentor.param_scheduler
    assert (poly.power, poly.eta_min, poly.end) == (0.9, 1e-6, segmentor.train_cfg.max_iters)
    assert segmentor.train_cfg.max_iters == 80000
    assert [step.type for step in segmentor.test_dataloader.dataset.pipeline][1:3] == [
        'Resize',
        'ResizeToMultiple',
    ]
    for cfg in (classifier, student):
        assert cfg.model.backbone.arch == arch and cfg.model.head.in_channels == channels[-1]
        wrapper = cfg.optim_wrapper
        assert wrapper.optimizer.lr == pytest.approx(1e-3 * cfg.auto_scale_lr.base_batch_size / 512)
        assert (wrapper.optimizer.weight_decay, wrapper.clip_grad.clip_factor) == (0.025, 0.02)
        warmup, cosine = cfg.param_scheduler
        assert warmup.start_factor * wrapper.optimizer.lr == pytest.approx(1e-6)
        assert (warmup.end, cosine.eta_min, cosine.end) == (5, 1e-5, 300)
        assert 1 - cfg.custom_hooks[0].momentum == pytest.approx(0.99996)
        assert cfg.train_dataloader.sampler.type == 'RepeatAugSampler'
        assert cfg.model.head.loss.label_smooth_val == 0.1
        assert [augment.alpha for augment in cfg.model.train_cfg.augments] == [0.8, 1.0]
    assert 'distillation_weight' not in classifier.model.head
    assert student.model.head.distillation_weight == 0.5


@pytest.mark.parametrize('root', ['/elsewhere', '/elsewhere/'])
def test_coco_root_moves_all_paths(root, monkeypatch):
    monkeypatch.setenv('COCO_ROOT', root)
    cfg = read(ROOT / 'configs' / 'mask_rcnn_repnext_tiny_coco.py')
    for split in ('train', 'val', 'test'):
        assert cfg[f'{split}_dataloader'].dataset.data_root == root
    for split in ('val', 'test'):
        truth = Path(cfg[f'{split}_evaluator'].ann_file)
        assert truth == Path('/elsewhere/annotations/instances_val2017.json')


@pytest.mark.skipif(not (REAL / 'tiny_ade20k').is_dir(), reason='no real data')
def test_real_ade20k_images_are_learnt_and_drawn(tmp_path, monkeypatch):
    """The 150-class segmentor overfits two images, and tests alike merged, whole and sliding."""
    from mmengine.runner import Runner

    monkeypatch.setenv('ADE_ROOT', f'{REAL}/tiny_ade20k')
    cfg = shrink(read(ROOT / 'configs' / 'upernet_repnext_tiny_ade20k.py'))
    cfg.launcher = 'none'
    adapt_to_device(cfg)
    cfg.model.decode_head.channels = cfg.model.auxiliary_head.channels = 32
    cfg.model.data_preprocessor.size = cfg.model.test_cfg.crop_size = (96, 128)
    cfg.model.test_cfg.stride = (64, 85)
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        loader.update(num_workers=0, persistent_workers=False)
        prefix = dict(img_path='images/validation', seg_map_path='annotations/validation')
        loader.dataset.data_prefix = prefix
        steps = [s for s in loader.dataset.pipeline if 'Random' not in s.type]
        loader.dataset.pipeline = [
            s for s in steps if s.type not in ('Resize', 'PhotoMetricDistortion')
        ]
        loader.dataset.pipeline.insert(1, dict(type='Resize', scale=(128, 96), keep_ratio=True))
    # The loading of labels comes first in training, so that they are resized too.
    train = cfg.train_dataloader.dataset.pipeline
    train[1], train[2] = train[2], train[1]
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=40, val_interval=100)
    cfg.param_scheduler = None
    cfg.optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=0.005))
    cfg.default_hooks.visualization.draw = True
    cfg.visualizer.update(type='repnext_mm.SegLegendVisualizer', save_dir=str(tmp_path / 'shown'))
    cfg.visualizer.vis_backends = [dict(type='LocalVisBackend')]
    cfg.work_dir, cfg.experiment_name = str(tmp_path), tmp_path.name
    cfg.randomness = dict(seed=0)
    runner = Runner.from_cfg(cfg)
    runner.train()
    training = runner.model
    for mode in ('whole', 'slide'):
        training.test_cfg.mode = mode
        runner.model = training
        metrics = runner.test()
        assert metrics['aAcc'] > 60 and {'mIoU', 'mAcc'} <= set(metrics)
        runner.model = reparameterize_model(training.eval(), 'plain')
        assert runner.test() == pytest.approx(metrics, abs=0.05)
    assert list((tmp_path / 'shown').rglob('*ADE_val_00000001*.png'))


@pytest.mark.skipif(not (REAL / 'tiny_coco').is_dir(), reason='no real data')
def test_real_coco_images_train_and_test(tmp_path):
    from mmengine.runner import Runner

    import repnext_mm  # noqa: F401

    root = f'{REAL}/tiny_coco/'
    cfg = shrink(read(ROOT / 'configs' / 'mask_rcnn_repnext_tiny_coco.py'))
    content = json.loads(Path(root, 'annotations/instances_train2017.json').read_text())
    numbers = [image['id'] for image in content['images'][:4]]
    content['images'] = content['images'][:4]
    content['annotations'] = [a for a in content['annotations'] if a['image_id'] in numbers]
    annotations = tmp_path / 'four.json'
    annotations.write_text(json.dumps(content))
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        loader.num_workers, loader.persistent_workers = 0, False
        loader.dataset.data_root = root
        loader.dataset.ann_file = str(annotations)
        loader.dataset.data_prefix = dict(img='train2017/')
        for step in loader.dataset.pipeline:
            if step.type == 'Resize':
                step.scale = (160, 128)
    cfg.test_evaluator.ann_file = cfg.val_evaluator.ann_file = str(annotations)
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=2, val_interval=2)
    cfg.param_scheduler = None
    cfg.optim_wrapper.type = 'OptimWrapper'
    cfg.custom_hooks = [dict(type='repnext_mm.ReparameterizeHook', mode='plain', val=True)]
    cfg.default_hooks.checkpoint.by_epoch = False
    cfg.work_dir, cfg.experiment_name = str(tmp_path), tmp_path.name
    cfg.model.test_cfg.rcnn.score_thr = 0.0
    runner = Runner.from_cfg(cfg)
    runner.train()
    merged = runner.test()
    runner._hooks = [h for h in runner._hooks if type(h).__name__ != 'ReparameterizeHook']
    plain = runner.test()
    assert len(merged) == 12
    assert merged == pytest.approx(plain, abs=1e-3)
