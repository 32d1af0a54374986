"""Models with fewer channels: their graphs are the same, and computing them takes less time."""

import copy
from dataclasses import replace
from typing import Any

import torch
from mmengine.config import Config
from torch import nn

from repnext_mm.checkpoints.loading import build_model
from sweep.batches import batch_for
from sweep.methods import Method

WIDTHS = ('channel', 'embed_dims', 'num_feats', 'feedforward', 'dims')
"""Keys that have one of these in their names hold numbers of channels."""

KEPT = ('data_preprocessor', 'num_classes')
WIDE = 64
"""Fewer channels than these stay as they are."""

LEAST_SIZE = {'mmdet': 160, 'mmseg': 128}
"""Height of the images in pixels, so that the deepest maps have more than one."""

LEAST = 32
"""Channels that are left, since group norms have as many groups."""


def narrow_model(method: Method, cfg: Config) -> nn.Module | None:
    """The model with an eighth of the channels; None if it does not fit together so.

    Args:
        method: Of the model.
        cfg: With the published widths.
    """
    model_cfg = Config(dict(model=narrow(copy.deepcopy(cfg.model).to_dict())))
    larger = replace(method, size=max(method.size, LEAST_SIZE[method.package]))
    batch = {key: values[:1] for key, values in batch_for(larger).items()}
    try:
        model = build_model(model_cfg)
        model.init_weights()
        untouched = copy.deepcopy(model)
        model.eval()
        with torch.no_grad():
            model.test_step(batch)
    except Exception:  # any error of any package: sums of channels that a config has as one number
        return None
    return untouched


def narrow(cfg: Any, key: str = '') -> Any:
    """A config with fewer channels.

    Args:
        cfg: Nested dicts, lists and values.
        key: That it stands under.
    """
    if isinstance(cfg, dict):
        return {k: v if k in KEPT else narrow(v, k) for k, v in cfg.items()}
    if isinstance(cfg, list | tuple):
        return type(cfg)(narrow(part, key) for part in cfg)
    number = isinstance(cfg, int) and not isinstance(cfg, bool)
    if number and cfg >= WIDE and any(word in key for word in WIDTHS):
        return max(cfg // 8, LEAST)
    return cfg
