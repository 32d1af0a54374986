"""Backbones and channels for configs of other projects, in both of mmengine's styles."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from batches import detection_batch
from examples import ROOT
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from repnext_mm.configs import BACKBONES, backbones
from repnext_mm.models import RepNeXt

pytestmark = pytest.mark.distribution

NAMES = {f'repnext_{arch}': row for arch, row in RepNeXt.arch_settings.items()}

NEW_STYLE = """
from mmdet.models import MaskRCNN
from mmengine.config import read_base

with read_base():
    from .inherits_new_style import *

model.update(type=MaskRCNN)
"""

PROBE = """
import sys
from mmengine.config import Config

cfg = Config.fromfile('new_style.py')
assert cfg.model.backbone == dict(type='repnext_mm.RepNeXt', arch='m3', drop_path_rate=0.1)
assert cfg.custom_imports == dict(imports=['repnext_mm'])
assert 'repnext_mm' in sys.modules and 'repnext_mm.configs' not in sys.modules
from test_imported_backbones import train_one_step
train_one_step(cfg)
cfg.dump('dumped.py')
assert Config.fromfile('dumped.py').custom_imports == cfg.custom_imports
print('trained with', cfg.model.type.__name__)
"""


def train_one_step(cfg: Config) -> None:
    """Builds the detector and lets it learn from one small batch."""
    cfg.model.train_cfg.rcnn.sampler.num = 16
    init_default_scope('mmdet')
    model = MODELS.build(cfg.model).train()
    assert type(model.backbone) is RepNeXt and model.backbone.arch == 'm3'
    batch = model.data_preprocessor(detection_batch(), training=True)
    losses, _ = model.parse_losses(model(**batch, mode='loss'))
    losses.backward()
    first = next(model.backbone.parameters())
    assert first.grad.abs().max() > 0


def test_every_architecture_is_there_with_its_channels():
    public = {name for name in vars(backbones) if not name.startswith('__')}
    assert public == {*NAMES, *(f'{name}_channels' for name in NAMES)}
    for name, row in NAMES.items():
        arch = name.removeprefix('repnext_')
        assert getattr(backbones, name) == dict(type='repnext_mm.RepNeXt', arch=arch)
        assert getattr(backbones, f'{name}_channels') == list(row.channels)


@pytest.mark.parametrize('name', NAMES)
def test_every_backbone_is_built_from_the_file(name):
    cfg = Config.fromfile(BACKBONES)
    with torch.device('meta'):
        backbone = MODELS.build(cfg[name])
        features = backbone(torch.zeros(1, 3, 64, 64))
    assert backbone.arch == name.removeprefix('repnext_')
    assert [feature.shape[1] for feature in features] == cfg[f'{name}_channels']


def test_text_style_config_inherits_a_backbone(project, monkeypatch):
    monkeypatch.chdir(project)
    train_one_step(Config.fromfile('inherits_text.py'))


def installed(folder: Path) -> Path:
    """A folder for PYTHONPATH that has the package as pip leaves it.

    mmengine 0.10.7 looks for a package beside its metadata, which an editable
    installation has elsewhere.
    """
    metadata = folder / 'repnext_mm-0.0.dist-info'
    metadata.mkdir(parents=True)
    (metadata / 'METADATA').write_text('Metadata-Version: 2.1\nName: repnext-mm\nVersion: 0.0\n')
    (metadata / 'top_level.txt').write_text('repnext_mm\n')
    (folder / 'repnext_mm').symlink_to(ROOT / 'repnext_mm')
    return folder


def test_new_style_config_inherits_a_backbone(project, inside, tmp_path):
    inside(project / 'flatten.py')
    (project / 'new_style.py').write_text(NEW_STYLE)
    folders = [installed(tmp_path / 'site'), ROOT / 'tests', Path(__file__).parent]
    environment = dict(PYTHONPATH=os.pathsep.join(map(str, folders)), OMP_NUM_THREADS='1')
    result = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', PROBE],
        cwd=project,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.splitlines()[-1] == 'trained with MaskRCNN'
