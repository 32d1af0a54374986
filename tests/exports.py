"""Small models of every kind to export, with random weights that find something."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from helpers import randomize
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from noise import noise  # noqa: F401 (what tests look at with these models)
from small_configs import CONFIGS, as_list, narrow_detector, read, shrink

from repnext_mm.checkpoints.loading import build_model
from repnext_mm.export.tasks import task_named
from repnext_mm.launch.device import adapt_to_device

CLASSES = 5
THRESHOLD = 0.25
DETECTORS = ('mask_rcnn_repnext_tiny_coco', 'mask_rcnn_repnext_m0_coco')
CASCADES = ('cascade_mask_rcnn_repnext_tiny_coco', 'cascade_mask_rcnn_repnext_m3_coco')
SEGMENTORS = (
    'upernet_repnext_tiny_ade20k',
    'upernet_repnext_m3_ade20k',
    'fpn_repnext_m0_ade20k',
)
CLASSIFIERS = ('repnext_m0_imagenet',)
BASELINES = tuple(sorted(p.stem for p in (CONFIGS / 'baselines').glob('mask_rcnn_*.py')))


def small_config(name: str) -> Config:
    """A config of ours by name, thin, with five classes and small images."""
    path: Path = CONFIGS / f'{name}.py'
    if name in BASELINES:
        path = CONFIGS / 'baselines' / f'{name}.py'
    cfg = shrink(read(path))
    cfg.launcher = 'none'
    adapt_to_device(cfg)
    model = cfg.model
    if cfg.default_scope == 'mmdet':
        narrow_detector(model)
        for head in as_list(model.roi_head.bbox_head) + as_list(model.roi_head.mask_head):
            head.num_classes = CLASSES
        model.test_cfg.rcnn.score_thr = THRESHOLD
    elif cfg.default_scope == 'mmseg':
        model.decode_head.update(num_classes=CLASSES, channels=16)
    else:
        model.head.num_classes = CLASSES
    return cfg


def small_model(cfg: Config, seed: int = 0) -> Any:
    """The config's model with random statistics, in evaluation mode."""
    init_default_scope(cfg.default_scope)
    torch.manual_seed(seed)
    model = randomize(revert_sync_batchnorm(build_model(cfg)), seed)
    if cfg.default_scope == 'mmdet':
        stretch(model)
    model.eval()
    return model


@torch.no_grad()
def stretch(model: Any) -> None:
    """Makes a detector sure of what it sees: with its initial weights all scores are alike."""
    heads = model.roi_head.bbox_head
    for head in heads if isinstance(heads, torch.nn.ModuleList) else [heads]:
        head.fc_cls.weight.normal_(std=0.5)
        head.fc_reg.weight.normal_(std=0.05)


def predict(model: Any, task: str, image: np.ndarray) -> Any:
    """What a model in torch predicts, by its own package's code."""
    return task_named(task).predict(model, image)
