"""Files of mmdet 2.x and mmseg 0.x in the real detectors and segmentors of the configs."""

from pathlib import Path

import pytest
import torch
from helpers import without_values
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from official_files import detector, imagenet, save, segmentor

from repnext_mm.checkpoints.loading import build_model
from repnext_mm.checkpoints.merging import compare_forms, deployed_config, merge_checkpoint
from repnext_mm.reparam import compare_keys

CONFIGS = Path(__file__).parents[2] / 'configs'
LAYOUTS = {'mask_rcnn_repnext_{}_coco.py': detector, 'fpn_repnext_{}_ade20k.py': segmentor}

distribution = pytest.mark.distribution


def config(name: str, arch: str) -> Config:
    cfg = Config.fromfile(CONFIGS / name.format(arch))
    init_default_scope(cfg.default_scope)
    return cfg


# The others differ from the first in our backbone alone.
@pytest.mark.parametrize('arch', [pytest.param('m0', marks=distribution), 'm1', 'm3'])
@pytest.mark.parametrize('name', LAYOUTS)
def test_old_files_have_exactly_the_entries_of_todays_models(name, arch, tmp_path):
    content = LAYOUTS[name](arch)
    with without_values():
        model = build_model(config(name, arch))
    model.to_empty(device='cpu')  # the file has a value for every entry
    report = compare_keys(content['state_dict'], model)
    assert not (report.missing or report.unexpected or report.mismatched)
    load_checkpoint(model, save(content, tmp_path / 'old.pth'), strict=True)
    state = model.state_dict()
    assert all(torch.equal(value, state[n]) for n, value in content['state_dict'].items())


@distribution
@pytest.mark.parametrize('name', LAYOUTS)
def test_old_files_become_merged_checkpoints(name, tmp_path):
    cfg = config(name, 'm0')
    path = save(LAYOUTS[name]('m0'), tmp_path / 'old.pth')
    state, meta = merge_checkpoint(cfg, path)
    assert (meta['arch'], meta['form']) == ('m0', 'fused') and meta['difference'] < 1e-5
    assert meta['dataset_meta']['classes'] == LAYOUTS[name]('m0')['meta']['CLASSES']
    model, merged = build_model(cfg).eval(), build_model(deployed_config(cfg, 'fused')).eval()
    load_checkpoint(model, path, strict=True)
    merged.load_state_dict(state, strict=True)
    assert compare_forms(model, merged) < 1e-5
    assert not [n for n in state if n.startswith('backbone.') and 'running' in n]


@distribution
def test_imagenet_file_as_load_from_of_a_detector_leaves_the_heads_only(tmp_path):
    model = build_model(config('mask_rcnn_repnext_{}_coco.py', 'm0'))
    content = imagenet('m0')
    checkpoint = load_checkpoint(model, save(content, tmp_path / 'official.pth'))
    report = compare_keys(checkpoint['state_dict'], model)
    assert not report.mismatched
    assert not [name for name in report.missing if name.startswith('backbone.')]
    assert all(name.startswith('head.') for name in report.unexpected)
