"""Every config parses anywhere, builds, and does one training and one test step."""

import re
from pathlib import Path

import pytest
import torch
from helpers import randomize
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope
from small_configs import read, shrink
from steps import BATCHES, LOSSES, check_groups, train_one_step
from torch import nn

from repnext_mm import reparameterize_model
from repnext_mm.checkpoints.loading import build_model
from repnext_mm.config_dicts import type_name
from repnext_mm.distillation import FeatureLoss
from repnext_mm.launch.device import adapt_to_device
from repnext_mm.reparam.difference import feature_differences

ROOT = Path(__file__).parents[1]
NO_MODELS = ('_base_', 'experiments', 'own')
"""Templates of own are built by the tests of own_data."""
SMALL = sorted((ROOT / 'configs' / 'small').glob('*.py'))
"""Slim networks on small data."""

CONFIGS = sorted(
    p for p in (ROOT / 'configs').rglob('*.py') if not set(NO_MODELS) & set(p.parent.parts)
)

OWN_NECK = ('upernet_vit_base_ade20k',)

distribution = pytest.mark.distribution


def marks_of(path: Path) -> list[pytest.MarkDecorator]:
    """Runs a config on the classic packages if no other one there has its parts.

    Configs of one recipe with RepNeXt-T differ in rows of our architectures alone, and so do those
    with RepNeXt-M. The baselines' backbones are in Mask R-CNN, too, and Cascade R-CNN and UperNet
    have ours; only the neck of UperNet with ViT is nowhere else.
    """
    found = re.search(r'(?:^|_)repnext_([a-z]+\d?)_', path.stem)
    if found is None:
        elsewhere = path.stem.startswith(('cascade', 'upernet')) and path.stem not in OWN_NECK
        return [] if elsewhere else [distribution]
    first = path.with_name(path.name.replace(found[1], 'm3' if found[1][0] == 'm' else 'tiny'))
    return [] if first != path and first in CONFIGS else [distribution]


@distribution
def test_configs_parse_from_another_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert all(read(path).model.type for path in CONFIGS)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_leaf_configs_are_short(path):
    if path.parent.name != 'demo':
        assert len(path.read_text().splitlines()) <= 18


# mmdet 3.3's cascade does that with masks, whenever its random weights find something.
@pytest.mark.filterwarnings('ignore:To copy construct from a tensor:UserWarning')
@pytest.mark.parametrize(
    'path',
    [pytest.param(path, marks=marks_of(path)) for path in CONFIGS if path not in SMALL],
    ids=lambda path: path.stem,
)
def test_config_trains_and_tests_one_step(path, tmp_path):
    torch.manual_seed(0)
    cfg = shrink(read(path))
    cfg.launcher = 'none'
    kind, wanted = type_name(cfg.model), set()
    if kind == 'FeatureDistillation':
        kind, wanted = cfg.model.student, {name_of(pair) for pair in cfg.model.features}
        save_small_teacher(cfg, tmp_path)
    adapt_to_device(cfg)  # mixed precision needs a GPU
    init_default_scope(cfg.default_scope)
    model = revert_sync_batchnorm(build_model(cfg))
    step = train_one_step(model, cfg)
    assert LOSSES[kind] | wanted <= set(step.losses)
    if cfg.optim_wrapper.get('constructor', '').startswith('repnext_mm.'):
        check_groups(model, step.wrapper.optimizer)
    assert ('aux.loss_ce' in step.losses) == ('auxiliary_head' in cfg.model)
    assert step.moved
    # DistributedDataParallel needs to know of parameters without gradient.
    assert bool(step.unused) == cfg.get('find_unused_parameters', False), step.unused
    model.eval()  # mmpretrain's does not return the model
    merged = reparameterize_model(randomize(model))
    assert max(differences(model, merged).values()) < 1e-4
    with torch.no_grad():
        results = merged.test_step(BATCHES[cfg.default_scope]())
    assert len(results) == 2


def name_of(pair: dict) -> str:
    return FeatureLoss(**pair).name


def save_small_teacher(cfg: Config, folder: Path) -> None:
    """Gives a student a teacher with weights."""
    init_default_scope(cfg.default_scope)
    teacher = MODELS.build(cfg.model.teacher_config)
    cfg.model.teacher_ckpt = str(folder / 'teacher.pth')
    torch.save(dict(state_dict=teacher.state_dict()), cfg.model.teacher_ckpt)


@pytest.mark.parametrize('path', SMALL, ids=lambda path: path.stem)
def test_small_config_trains_one_step(path):
    from mmengine.optim import build_optim_wrapper

    torch.manual_seed(0)
    cfg = read(path)
    init_default_scope(cfg.default_scope)
    model = build_model(cfg)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    batch = BATCHES[cfg.default_scope]()
    if cfg.default_scope == 'mmdet':  # there is but one class
        for sample in batch['data_samples']:
            sample.gt_instances.labels.zero_()
    losses = model.train().train_step(batch, wrapper)
    assert LOSSES[type_name(cfg.model)] <= set(losses)
    assert all(torch.isfinite(loss).all() for loss in losses.values())


def differences(model: nn.Module, merged: nn.Module) -> dict[str, float]:
    """How far a merged model is from its source, on a small image, and a classifier's head too."""
    image = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    is_classifier = hasattr(model, 'head')
    parts = [name for name in ('backbone', 'neck', 'head') if getattr(model, name, None)]

    def run(form: nn.Module) -> object:
        return form(image, mode='tensor') if is_classifier else form.extract_feat(image)

    return feature_differences(model, merged, parts, run)


@pytest.mark.parametrize('root', ['/elsewhere', '/elsewhere/'])
def test_coco_root_moves_all_paths(root, monkeypatch):
    monkeypatch.setenv('COCO_ROOT', root)
    cfg = read(ROOT / 'configs' / 'mask_rcnn_repnext_tiny_coco.py')
    for split in ('train', 'val', 'test'):
        assert cfg[f'{split}_dataloader'].dataset.data_root == root
    for split in ('val', 'test'):
        truth = Path(cfg[f'{split}_evaluator'].ann_file)
        assert truth == Path('/elsewhere/annotations/instances_val2017.json')
