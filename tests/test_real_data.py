"""A few real images of ADE20K and COCO, where they are at hand."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import quick_runners
from small_configs import CONFIGS, read, shrink

from repnext_mm import reparameterize_model
from repnext_mm.evaluation.exported_model import ExportedModel
from repnext_mm.export import ExportOptions, export_model
from repnext_mm.launch.device import adapt_to_device
from repnext_mm.launch.pictures import enable_pictures

ROOT = Path(__file__).parents[1]
REAL = Path(os.environ.get('REPNEXT_TEST_DATA', ROOT.parent / 'shared' / 'data'))

pytestmark = pytest.mark.distribution


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    with quick_runners():
        yield


@pytest.mark.skipif(not (REAL / 'tiny_ade20k').is_dir(), reason='no real data')
def test_real_ade20k_images_are_learnt_and_drawn(tmp_path, monkeypatch):
    """The 150-class segmentor overfits two images, and tests alike merged, exported and sliding."""
    from mmengine.runner import Runner

    monkeypatch.setenv('ADE_ROOT', f'{REAL}/tiny_ade20k')
    cfg = shrink(read(CONFIGS / 'upernet_repnext_tiny_ade20k.py'))
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
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=25, val_interval=100)
    cfg.param_scheduler = None
    cfg.optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=0.005))
    cfg.visualizer.name = tmp_path.name
    enable_pictures(cfg, str(tmp_path / 'shown'))
    cfg.work_dir, cfg.experiment_name = str(tmp_path), tmp_path.name
    cfg.randomness = dict(seed=0)
    runner = Runner.from_cfg(cfg)
    runner.train()
    training = runner.model
    onnx = export_model(runner, tmp_path / 'model.onnx', cfg, ExportOptions(form='plain')).path
    for mode in ('whole', 'slide'):
        training.test_cfg.mode = mode
        runner.model = training
        metrics = runner.test()
        assert metrics['aAcc'] > 60 and {'mIoU', 'mAcc'} <= set(metrics)
        runner.model = reparameterize_model(training.eval(), 'plain')
        assert runner.test() == pytest.approx(metrics, abs=0.05)
        runner.model = ExportedModel(str(onnx), test_cfg=training.test_cfg)
        assert runner.test() == pytest.approx(metrics, abs=0.05)
    assert len(list((tmp_path / 'shown').glob('test_ADE_val_0000000*.png'))) == 12


@pytest.mark.skipif(not (REAL / 'tiny_coco').is_dir(), reason='no real data')
def test_real_coco_images_train_and_test(tmp_path):
    from mmengine.runner import Runner

    import repnext_mm  # noqa: F401

    root = f'{REAL}/tiny_coco/'
    cfg = shrink(read(CONFIGS / 'mask_rcnn_repnext_tiny_coco.py'))
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
    cfg.custom_hooks = [dict(type='repnext_mm.ReparameterizeHook', form='plain', val=True)]
    cfg.default_hooks.checkpoint.by_epoch = False
    cfg.work_dir, cfg.experiment_name = str(tmp_path), tmp_path.name
    cfg.visualizer.name = tmp_path.name
    cfg.model.test_cfg.rcnn.score_thr = 0.0
    runner = Runner.from_cfg(cfg)
    runner.train()
    merged = runner.test()
    runner._hooks = [h for h in runner._hooks if type(h).__name__ != 'ReparameterizeHook']
    plain = runner.test()
    assert len(merged) == 12
    assert merged == pytest.approx(plain, abs=1e-3)
