"""Hooks of mmengine's Runner: merged evaluation, safe checkpoints, finite losses, curves, what a resume needs."""

from repnext_mm import registry  # noqa: F401 (says so if mmengine or mmcv is missing)
from repnext_mm.hooks.checkpoint_hook import SafeCheckpointHook
from repnext_mm.hooks.config_schedule_hook import ConfigScheduleHook
from repnext_mm.hooks.connector_hook import ConnectorHook
from repnext_mm.hooks.curves_hook import CurvesHook
from repnext_mm.hooks.finite_loss_hook import FiniteLossHook
from repnext_mm.hooks.reparameterize_hook import ReparameterizeHook
from repnext_mm.hooks.reseed_hook import ReseedHook

__all__ = [
    'ConfigScheduleHook',
    'ConnectorHook',
    'CurvesHook',
    'FiniteLossHook',
    'ReparameterizeHook',
    'ReseedHook',
    'SafeCheckpointHook',
]
