"""A config for GPUs where there is none: full precision, gloo, and plain batch norms."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import OPTIM_WRAPPERS

from repnext_mm.launch.device import adapt_to_device, use_mixed_precision


def amp_config() -> Config:
    wrapper = dict(type='AmpOptimWrapper', loss_scale='dynamic', dtype='float16', optimizer=dict())
    return Config(dict(optim_wrapper=wrapper, launcher='none', env_cfg=dict()))


def test_without_gpu_mixed_precision_becomes_full_precision(monkeypatch):
    monkeypatch.setattr('repnext_mm.launch.device.get_device', lambda: 'cpu')
    cfg = amp_config()
    adapt_to_device(cfg)
    assert cfg.optim_wrapper == dict(type='OptimWrapper', optimizer=dict())


def test_with_gpu_nothing_changes(monkeypatch):
    monkeypatch.setattr('repnext_mm.launch.device.get_device', lambda: 'cuda')
    cfg = amp_config()
    adapt_to_device(cfg)
    assert cfg.to_dict() == amp_config().to_dict()


def test_without_gpu_adaptive_clipping_stays(monkeypatch):
    monkeypatch.setattr('repnext_mm.launch.device.get_device', lambda: 'cpu')
    cfg = amp_config()
    cfg.optim_wrapper.type = 'repnext_mm.AdaptiveClipAmpOptimWrapper'
    adapt_to_device(cfg)
    assert OPTIM_WRAPPERS.get(cfg.optim_wrapper.type).__name__ == 'AdaptiveClipOptimWrapper'


def test_unknown_wrappers_have_no_mixed_precision():
    with pytest.raises(ValueError, match=r"OptimWrapper.*'DeepSpeedOptimWrapper'"):
        use_mixed_precision(Config(dict(optim_wrapper=dict(type='DeepSpeedOptimWrapper'))))


def test_without_gpu_processes_talk_over_gloo(monkeypatch):
    monkeypatch.setattr('repnext_mm.launch.device.get_device', lambda: 'cpu')
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


def test_without_gpu_batch_norms_are_not_synchronized(monkeypatch):
    monkeypatch.setattr('repnext_mm.launch.device.get_device', lambda: 'cpu')
    sync = dict(type='SyncBN', requires_grad=True)
    cfg = amp_config()
    cfg.model = dict(
        backbone=dict(norm_cfg=sync),
        heads=[
            dict(norm_cfg=dict(type=torch.nn.SyncBatchNorm)),
            dict(norm_cfg=dict(type='mmcv.SyncBN')),
            dict(norm_cfg=dict(type='GN')),
        ],
    )
    cfg.sync_bn = 'torch'
    adapt_to_device(cfg)
    assert cfg.model.backbone.norm_cfg == dict(type='BN', requires_grad=True)
    assert [head.norm_cfg.type for head in cfg.model.heads] == ['BN', 'BN', 'GN']
    assert cfg.sync_bn is None
