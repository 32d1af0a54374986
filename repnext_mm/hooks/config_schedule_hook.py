"""A resumed training that follows the schedule of its config, not that of its checkpoint."""

import warnings
from typing import Any

from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import IterBasedTrainLoop, Runner

from repnext_mm.registry import HOOKS, register


@register(HOOKS)
class ConfigScheduleHook(Hook):
    """Takes learning rate, weight decay and schedules from the config when a training is resumed.

    mmengine takes them from the checkpoint, so that a training that is resumed with more iterations
    has the old schedule, which has ended. With this hook the learning rates are those of a training
    that has had the config's schedule from the beginning. Weights, and what the optimizer has
    gathered, come from the checkpoint as ever.

    Config::

        custom_hooks = [dict(type='repnext_mm.ConfigScheduleHook')]

    Raises:
        ValueError: In the run, if it is resumed and has several optimizers.
    """

    def __init__(self) -> None:
        self._groups: list[dict[str, Any]] | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keeps what the config has made, and takes the schedules out of what is loaded."""
        if not runner._resume:
            return
        if not isinstance(runner.optim_wrapper, OptimWrapper):
            raise ValueError(
                'ConfigScheduleHook is for one optimizer, and this config has several: leave it out'
            )
        groups = runner.optim_wrapper.param_groups
        self._groups = [{k: v for k, v in group.items() if k != 'params'} for group in groups]
        checkpoint.pop('param_schedulers', None)

    def before_train(self, runner: Runner) -> None:
        """Brings the config's schedules to where the training is."""
        if self._groups is None:
            return
        for group, options in zip(runner.optim_wrapper.param_groups, self._groups, strict=True):
            group.update(options)
        self._groups = None
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', message='Detected call of `scheduler.step')
            _advance(runner)
        rates = runner.optim_wrapper.get_lr()['lr']
        runner.logger.info(
            f"The schedule is the config's: the learning rate goes on at {max(rates):.3g}"
        )


def _advance(runner: Runner) -> None:
    """Takes the steps of the schedules that an uninterrupted training would have taken."""
    schedulers: Any = runner.param_schedulers or []
    by_epoch = [scheduler for scheduler in schedulers if scheduler.by_epoch]
    by_iteration = [scheduler for scheduler in schedulers if not scheduler.by_epoch]
    loop = runner.train_loop
    length = runner.iter + 1 if isinstance(loop, IterBasedTrainLoop) else len(loop.dataloader)
    for iteration in range(1, runner.iter + 1):
        for scheduler in by_iteration:
            scheduler.step()
        if iteration % length == 0:
            for scheduler in by_epoch:
                scheduler.step()
