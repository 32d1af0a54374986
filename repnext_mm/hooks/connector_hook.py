"""Connectors of a distilled student, kept beside its weights."""

from mmengine.hooks import Hook
from mmengine.runner import Runner

from repnext_mm.distillation import FeatureStudent
from repnext_mm.registry import HOOKS, register
from repnext_mm.trained import unwrapped

CONNECTORS = 'connectors'
"""The entry of a checkpoint, beside ``'state_dict'``."""


@register(HOOKS)
class ConnectorHook(Hook):
    """Saves and resumes the connectors of a student of features.

    They are no part of the student's state dict (:class:`repnext_mm.distillation.Connector`), and
    a run that is resumed without them would begin with new ones. Needed where ``features``
    give ``channels`` that differ.

    Config::

        custom_hooks = [dict(type='repnext_mm.ConnectorHook')]
    """

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Adds the connectors to a checkpoint."""
        model = unwrapped(runner.model)
        if isinstance(model, FeatureStudent):
            checkpoint[CONNECTORS] = {n: v.cpu() for n, v in model.connector_state().items()}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Takes the connectors of a checkpoint.

        Raises:
            ValueError: If a run is resumed from a checkpoint without connectors, or with others.
        """
        model = unwrapped(runner.model)
        if not isinstance(model, FeatureStudent):
            return
        if CONNECTORS in checkpoint:
            model.load_connector_state(checkpoint[CONNECTORS])
        elif runner._resume and model.connector_state():
            raise ValueError(
                'the checkpoint holds no connectors, so it was saved without ConnectorHook: '
                'begin the distillation anew from its weights, load_from instead of resume'
            )
