"""Every config parses anywhere, builds, and does one training and one test step."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(p for p in (ROOT / 'configs').rglob('*.py') if '_base_' not in p.parts)
REAL = Path(os.environ.get('REPNEXT_TEST_DATA', ROOT.parent / 'shared' / 'data'))

pytestmark = pytest.mark.distribution


def read(path: Path) -> Config:
    return Config.fromfile(path)


def shrink(cfg: Config) -> Config:
    """The same model with thin stages, so that a step takes a second."""
    arch = cfg.model.backbone.arch
    depths = [1, 1, 1, 1]
    thin = [16, 16, 24, 32]
    variant = arch if isinstance(arch, str) else arch.get('variant', 'tiny')
    cfg.model.backbone.arch = dict(channels=thin, depths=depths, variant=variant)
    cfg.model.neck.in_channels = thin
    for extractor in ('bbox_roi_extractor', 'mask_roi_extractor'):
        cfg.model.roi_head[extractor].roi_layer.sampling_ratio = 2
    cfg.model.train_cfg.rcnn.sampler.num = 32
    cfg.model.test_cfg.rpn.max_per_img = 50
    cfg.model.test_cfg.rcnn.max_per_img = 10
    return cfg


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config_parses_from_another_folder(path, tmp_path):
    code = f'from mmengine.config import Config; print(Config.fromfile({str(path)!r}).model.type)'
    command = [sys.executable, '-W', 'ignore', '-c', code]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == 'MaskRCNN'


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_leaf_configs_are_short(path):
    if path.parent.name != 'demo':
        assert len(path.read_text().splitlines()) <= 15


def fake_batch(size: int = 96) -> dict:
    """Two images with two boxes and masks each, as a dataloader gives them."""
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks
    from mmengine.structures import InstanceData

    samples = []
    for number in range(2):
        boxes = torch.tensor([[8.0, 8, 40, 48], [30, 20, 90, 80]])
        masks = np.zeros((2, size, size), np.uint8)
        for mask, (x1, y1, x2, y2) in zip(masks, boxes.int().tolist(), strict=True):
            mask[y1:y2, x1:x2] = 1
        instances = InstanceData(
            bboxes=boxes, labels=torch.tensor([0, 3]), masks=BitmapMasks(masks, size, size)
        )
        shape = dict(img_shape=(size, size), ori_shape=(size, size), scale_factor=(1.0, 1.0))
        sample = DetDataSample(
            metainfo=dict(img_id=number, batch_input_shape=(size, size), **shape)
        )
        sample.gt_instances = instances
        samples.append(sample)
    images = [torch.randint(0, 256, (3, size, size), dtype=torch.uint8) for _ in samples]
    return dict(inputs=images, data_samples=samples)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config_trains_and_tests_one_step(path):
    from mmengine.optim import build_optim_wrapper

    cfg = shrink(read(path))
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    cfg.optim_wrapper.type = 'OptimWrapper'  # mixed precision needs a GPU
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    before = model.backbone.stem.conv.weight.detach().clone()
    losses = model.train().train_step(fake_batch(), wrapper)
    assert {'loss_cls', 'loss_bbox', 'loss_mask', 'loss_rpn_cls'} <= set(losses)
    assert all(torch.isfinite(loss).all() for loss in losses.values())
    assert not torch.equal(before, model.backbone.stem.conv.weight)
    with torch.no_grad():
        results = model.eval().test_step(fake_batch())
    assert len(results) == 2 and 'masks' in results[0].pred_instances


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


@pytest.mark.parametrize('root', ['/elsewhere', '/elsewhere/'])
def test_coco_root_moves_all_paths(root, monkeypatch):
    monkeypatch.setenv('COCO_ROOT', root)
    cfg = read(ROOT / 'configs' / 'mask_rcnn_repnext_tiny_coco.py')
    for split in ('train', 'val', 'test'):
        assert cfg[f'{split}_dataloader'].dataset.data_root == root
    for split in ('val', 'test'):
        truth = Path(cfg[f'{split}_evaluator'].ann_file)
        assert truth == Path('/elsewhere/annotations/instances_val2017.json')


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
