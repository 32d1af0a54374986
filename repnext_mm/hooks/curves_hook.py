"""Curves of a training, drawn while it runs."""

from pathlib import Path
from types import ModuleType

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from repnext_mm.registry import HOOKS, register

PICTURE = 'curves.png'
"""In the work dir."""


@register(HOOKS)
class CurvesHook(Hook):
    """Keeps ``curves.png`` in the work dir current: losses, learning rate, metrics of validation.

    It is drawn after each validation and at the end of training, from what mmengine's
    ``LocalVisBackend`` has written; without that backend there is none. The curves of a resumed
    training begin where the first one began. An error in drawing is a warning, and training goes on.

    Config, also to leave it out::

        default_hooks = dict(curves=dict(type='repnext_mm.CurvesHook'))
        default_hooks = dict(curves=None)
    """

    priority = 'LOW'
    """After ``LoggerHook``, which writes what is drawn."""

    def __init__(self) -> None:
        self._earlier: list[Path] | None = None

    def before_train(self, runner: Runner) -> None:
        """Notes the files of the starts that a resumed training goes on from."""
        own = _own_file(runner)
        self._earlier = [
            file for file in _curves().scalar_files(runner.work_dir) if runner.iter and file != own
        ]

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Draws the curves, if this validation is part of a training."""
        self._draw(runner)

    def after_train(self, runner: Runner) -> None:
        """Draws the curves once more, with the end of the training."""
        self._draw(runner)
        self._earlier = None

    @master_only
    def _draw(self, runner: Runner) -> None:
        own = _own_file(runner)
        if self._earlier is None or not own.is_file():
            return
        path = Path(runner.work_dir, PICTURE)
        try:
            _curves().write_curves([*self._earlier, own], path)
        except Exception as error:
            runner.logger.warning(f'{path} could not be drawn, and training goes on: {error!r}')


def _own_file(runner: Runner) -> Path:
    """What ``LocalVisBackend`` writes in this start of the training."""
    return Path(runner.log_dir, _curves().SCALARS)


def _curves() -> ModuleType:
    """The module that draws, which takes matplotlib with it: not for those who import hooks alone."""
    from repnext_mm.visualization import curves

    return curves
