"""The recipes: the published ones, compared with the packages' own configs where they have them."""

import importlib.util
from pathlib import Path

import pytest
from helpers import M_ARCHS
from small_configs import CONFIGS, read

from repnext_mm.models import RepNeXt

pytestmark = pytest.mark.distribution


def test_recipes_are_the_published_ones():
    one, three = (read(CONFIGS / f'mask_rcnn_repnext_tiny{kind}_coco.py') for kind in ('', '_3x'))
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
    ours, theirs = read(CONFIGS / f'{name}.py'), read(Path(folder, path))
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
        read(CONFIGS / f'{name}.py')
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
    assert detector.model.backbone.merge_frozen_norms
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


def test_recipe_for_imagenet_is_that_of_convnext():
    """arXiv 2201.03545, Table 5."""
    cfg = read(CONFIGS / 'repnext_tiny_imagenet.py')
    wrapper, (warmup, cosine), (average,) = cfg.optim_wrapper, cfg.param_scheduler, cfg.custom_hooks
    images = cfg.auto_scale_lr.base_batch_size * wrapper.accumulative_counts
    assert (images, wrapper.optimizer.lr, wrapper.optimizer.weight_decay) == (4096, 4e-3, 0.05)
    assert cfg.auto_scale_lr.base_batch_size == 8 * cfg.train_dataloader.batch_size
    assert (wrapper.optimizer.type, tuple(wrapper.optimizer.betas)) == ('AdamW', (0.9, 0.999))
    assert (warmup.end, cosine.begin, cosine.end, cfg.train_cfg.max_epochs) == (20, 20, 300, 300)
    assert (average.momentum, average.interval) == (1e-4, wrapper.accumulative_counts)
    augment, erase = cfg.train_pipeline[3:5]
    assert (augment.num_policies, augment.magnitude_level, augment.magnitude_std) == (2, 9, 0.5)
    assert (erase.type, erase.erase_prob) == ('RandomErasing', 0.25)
    assert [part.alpha for part in cfg.model.train_cfg.augments] == [0.8, 1.0]
    assert cfg.model.head.loss.label_smooth_val == 0.1
    assert cfg.train_dataloader.sampler.type == 'DefaultSampler'


@pytest.mark.parametrize(('data', 'classes'), [('imagewoof', 10), ('cifar100', 100)])
def test_recipes_for_small_data_keep_the_rule_of_the_learning_rate(data, classes):
    scratch, fine = (read(CONFIGS / f'repnext_tiny_{data}{kind}.py') for kind in ('', '_finetune'))
    for cfg in (scratch, fine):
        assert cfg.model.head.num_classes == cfg.data_preprocessor.num_classes == classes
        assert cfg.val_evaluator.topk == (1, 5) and not cfg.custom_hooks
    assert scratch.optim_wrapper.optimizer.lr == pytest.approx(4e-3 * 256 / 4096)
    assert scratch.auto_scale_lr.base_batch_size == scratch.train_dataloader.batch_size == 256
    assert (scratch.train_cfg.max_epochs, fine.train_cfg.max_epochs) == (300, 50)
    assert fine.from_imagenet and not fine.model.train_cfg and scratch.model.train_cfg.augments
