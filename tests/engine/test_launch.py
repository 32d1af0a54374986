"""What the tools do with a config: clear errors first, CPU instead of GPU where there is none."""

import pytest
import torch
from mmengine.config import Config

from repnext_mm.engine.launch import adapt_to_device, build_parser, check_data, load_config


def read(*arguments: object) -> Config:
    return load_config(build_parser('A tool.').parse_args([str(part) for part in arguments]))


def coco(root: str) -> Config:
    dataset = dict(
        type='CocoDataset',
        data_root=root,
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='images/'),
    )
    nested = dict(type='RepeatDataset', times=2, dataset=dataset)
    return Config(dict(train_dataloader=dict(dataset=nested), val_dataloader=None))


def test_missing_data_is_reported_with_the_path_and_the_way_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError) as info:
        check_data(coco(f'{tmp_path}/coco/'), 'train', 'val')
    message = str(info.value)
    assert f'{tmp_path}/coco/annotations/instances_train2017.json' in message
    assert 'cocodataset.org' in message and 'COCO_ROOT' in message


def test_missing_images_are_reported_and_complete_data_passes(tmp_path):
    (tmp_path / 'annotations').mkdir()
    (tmp_path / 'annotations' / 'instances_train2017.json').write_text('{}')
    with pytest.raises(FileNotFoundError, match=f'{tmp_path}/images.*train_dataloader'):
        check_data(coco(f'{tmp_path}/'), 'train')
    (tmp_path / 'images').mkdir()
    check_data(coco(f'{tmp_path}/'), 'train', 'val', 'test')


def test_data_that_is_not_on_disk_is_left_to_mmengine():
    check_data(coco('s3://bucket/coco/'), 'train')


def test_missing_config_is_reported():
    with pytest.raises(FileNotFoundError, match=r"'nowhere\.py'.*configs"):
        read('nowhere.py')


def test_options_and_work_dir_take_precedence(tmp_path):
    path = tmp_path / 'name.py'
    path.write_text("model = dict(type='A', depth=1)")
    cfg = read(path, '--cfg-options', 'model.depth=2')
    assert (cfg.model.depth, cfg.work_dir) == (2, './work_dirs/name')
    assert read(path, '--work-dir', 'elsewhere').work_dir == 'elsewhere'


def amp_config() -> Config:
    wrapper = dict(type='AmpOptimWrapper', loss_scale='dynamic', dtype='float16', optimizer=dict())
    return Config(dict(optim_wrapper=wrapper, launcher='none', env_cfg=dict()))


def test_without_gpu_mixed_precision_becomes_full_precision(monkeypatch):
    monkeypatch.setattr('repnext_mm.engine.launch.get_device', lambda: 'cpu')
    cfg = amp_config()
    adapt_to_device(cfg)
    assert cfg.optim_wrapper == dict(type='OptimWrapper', optimizer=dict())


def test_with_gpu_nothing_changes(monkeypatch):
    monkeypatch.setattr('repnext_mm.engine.launch.get_device', lambda: 'cuda')
    cfg = amp_config()
    adapt_to_device(cfg)
    assert cfg.to_dict() == amp_config().to_dict()


def test_without_gpu_processes_talk_over_gloo(monkeypatch):
    monkeypatch.setattr('repnext_mm.engine.launch.get_device', lambda: 'cpu')
    opened = []
    monkeypatch.setattr(torch.distributed, 'init_process_group', opened.append)
    cfg = amp_config()
    cfg.launcher = 'pytorch'
    adapt_to_device(cfg)
    assert opened == ['gloo'] and cfg.env_cfg.dist_cfg.backend == 'gloo'
    assert cfg.model_wrapper_cfg == dict(
        type='MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=False,
        device_ids=None,
    )
