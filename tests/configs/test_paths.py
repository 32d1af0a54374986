"""Paths from the environment and of folders reach configs as data, whatever is in them."""

import re
import shutil
from pathlib import Path

import pytest
from commands import ROOT
from mmengine.config import Config

from repnext_mm.config_dicts import pretrained_files

pytestmark = pytest.mark.distribution

CONFIGS = ROOT / 'configs'
ROOTS = {
    'CIFAR10_ROOT': 'small/repnext_slim_cifar10.py',
    'NUCLEI_ROOT': 'small/mask_rcnn_repnext_slim_nuclei.py',
    'CAMVID_ROOT': 'small/fpn_repnext_slim_camvid.py',
    'COCO_ROOT': 'mask_rcnn_repnext_tiny_coco.py',
    'ADE_ROOT': 'upernet_repnext_tiny_ade20k.py',
    'IMAGENET_ROOT': 'repnext_tiny_imagenet.py',
    'CITYSCAPES_ROOT': 'pspnet_repnext_tiny_cityscapes.py',
    'IMAGEWOOF_ROOT': 'repnext_tiny_imagewoof.py',
    'CIFAR100_ROOT': 'repnext_tiny_cifar100.py',
    'SHAPES_ROOT': 'demo/mask_rcnn_repnext_slim_shapes.py',
}
NAMES = ("it's", 'back\\slash\\data', 'a "b" c', '{{ x }}', "'+__import__('os').abort()+'")


def test_no_config_pastes_variables_into_its_source():
    files = sorted(CONFIGS.rglob('*.py'))
    assert len(files) > 100
    assert [p.name for p in files if re.search(r'\{\{\s*[\'"]?\s*(\$|file)', p.read_text())] == []


@pytest.mark.parametrize('variable', ROOTS)
def test_folders_of_data_may_have_any_name(variable, monkeypatch):
    path = CONFIGS / ROOTS[variable]
    monkeypatch.delenv(variable, raising=False)
    usual = Config.fromfile(path).data_root
    assert usual.startswith('data/')
    for name in NAMES:
        monkeypatch.setenv(variable, f'/data/{name}')
        assert Config.fromfile(path).data_root == f'/data/{name}'
    monkeypatch.setenv(variable, '')
    assert Config.fromfile(path).data_root == usual


def test_folder_of_checkpoints_may_have_any_name(monkeypatch):
    for name in NAMES:
        monkeypatch.setenv('REPNEXT_PRETRAINED', f'/weights/{name}')
        cfg = Config.fromfile(CONFIGS / 'fpn_repnext_m0_ade20k.py')
        assert list(pretrained_files(cfg.model)) == [f'/weights/{name}/repnext_m0.pth']
    monkeypatch.delenv('REPNEXT_PRETRAINED')
    cfg = Config.fromfile(CONFIGS / 'fpn_repnext_m0_ade20k.py')
    assert list(pretrained_files(cfg.model)) == ['pretrained/repnext_m0.pth']


def test_configs_find_each_other_in_a_folder_of_any_name(tmp_path):
    folder = tmp_path / 'it\'s "mine"'
    shutil.copytree(CONFIGS, folder)
    for name in ('mask_rcnn_repnext_m0_distill_coco', 'upernet_repnext_m3_distill_ade20k'):
        cfg = Config.fromfile(folder / f'{name}.py')
        teacher = Path(cfg.model.teacher_config)
        assert teacher.parent == folder and teacher.is_file()
        assert Path(cfg.model.teacher_ckpt).parent == Path('pretrained')
        written = tmp_path / f'{name}.py'
        cfg.dump(written)
        assert Config.fromfile(written).model.teacher_config == str(teacher)
