"""Training that stops at a loss, or at weights, that are not finite."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from mmengine.dist import get_rank
from mmengine.hooks import CheckpointHook, Hook, RuntimeInfoHook
from mmengine.optim import AmpOptimWrapper
from mmengine.runner import Runner
from torch import Tensor

from repnext_mm.files import write_text
from repnext_mm.hooks.ground_truth import broken_box, image_name, samples_of
from repnext_mm.integrity import listed, not_finite
from repnext_mm.registry import HOOKS, register

REPORT = 'not_finite_loss{rank}.json'
SHOWN_IMAGES = 3

Batch = dict | tuple | list | None


class NotFiniteError(RuntimeError):
    """A loss or weights are NaN or infinite."""


@register(HOOKS)
class FiniteLossHook(Hook):
    """Stops training at the first loss that is NaN or infinite, and keeps the last good checkpoint.

    The error names the iteration, the losses and the images of the batch, and a file in the work
    dir, ``not_finite_loss.json``, has all of them. Weights that are not finite are never written:
    training stops before, and before ``CheckpointHook`` deletes an older checkpoint. Nor does
    training start from such weights.

    The losses are read where mmengine's ``RuntimeInfoHook`` has brought them to the CPU anyway, so
    no step waits for the device because of this hook.

    Automatic mixed precision leaves out steps whose gradients are not finite, which may follow
    from a loss that is not: with it, as long as the weights are finite, ``patience`` such losses
    in a row are only warned of.

    Config::

        default_hooks = dict(finite_loss=dict(type='repnext_mm.FiniteLossHook'))

    Args:
        patience: Number of losses in a row that are let pass in mixed precision.

    Raises:
        NotFiniteError: In the run, a ``RuntimeError``, with which a tool ends with status 1.
    """

    priority = 'LOW'
    """After ``LoggerHook``, which still logs the loss, and before ``CheckpointHook``."""

    def __init__(self, patience: int = 10):
        if patience < 0:
            raise ValueError(f'patience is a number of steps, 0 or more; got {patience!r}')
        self.patience = patience
        self._in_a_row = 0
        self._meant: set[str] = set()
        self._logged = False

    def before_train(self, runner: Runner) -> None:
        """Refuses to start from weights that are not finite.

        Buffers may hold infinity by design, as masks of attention do, and may go on so.
        """
        self._in_a_row = 0
        self._logged = any(isinstance(hook, RuntimeInfoHook) for hook in runner.hooks)
        names = not_finite(_entries(runner.model))
        self._meant = {name for name in names if _may_be_infinite(runner.model, name)}
        bad = [name for name in names if name not in self._meant]
        if bad:
            raise NotFiniteError(
                f'training would start from weights that are not finite: {listed(bad)}. Name another '
                'checkpoint to resume or load from, or other pretrained weights'
            )

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Batch = None) -> None:
        """Refuses annotated boxes that are not finite, before they reach compiled operators."""
        trouble = broken_box(data_batch)
        if trouble:
            raise NotFiniteError(
                f'at iteration {runner.iter + 1} {trouble}. Correct or remove it in the annotation '
                "file ('python tools/check_dataset.py' finds all of them), or look at the transforms of "
                'the pipeline'
            )

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Batch = None, outputs: dict | None = None
    ) -> None:
        """Looks at the losses, and at the weights where they are about to be saved."""
        losses = dict(self._losses(runner, outputs or {}))
        if all(map(math.isfinite, losses.values())):
            self._in_a_row = 0
        else:
            self._in_a_row += 1
            self._judge(runner, losses, data_batch)
        if _saves_now(runner):
            self._check_weights(_entries(runner.model), runner, runner.iter + 1)

    def after_train_epoch(self, runner: Runner) -> None:
        """Looks at the weights, which may be saved now."""
        self._check_weights(_entries(runner.model), runner, runner.iter)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keeps weights that are not finite out of files, whoever saves them."""
        self._check_weights(checkpoint['state_dict'], runner, runner.iter)

    def _losses(self, runner: Runner, outputs: dict) -> Iterator[tuple[str, float]]:
        """What mmengine sums up: all outputs with ``loss`` in their names."""
        scalars = runner.message_hub.log_scalars
        for name, value in outputs.items():
            if 'loss' in name:
                history = scalars.get(f'train/{name}') if self._logged else None
                yield name, float(value if history is None else history.current())

    def _judge(self, runner: Runner, losses: dict[str, float], data_batch: Batch) -> None:
        scaled = isinstance(runner.optim_wrapper, AmpOptimWrapper)
        if scaled and self._in_a_row <= self.patience and not self._bad(_entries(runner.model)):
            runner.logger.warning(
                f'The loss is not finite at iteration {runner.iter + 1}, number {self._in_a_row} in '
                f'a row ({_terms(losses)}); mixed precision leaves such a step out. Training stops '
                f'after {self.patience}'
            )
            return
        self._stop(runner, losses, list(image_names(data_batch)))

    def _stop(self, runner: Runner, losses: dict[str, float], images: list[str]) -> NoReturn:
        """Writes the report and raises."""
        rates = {name: values for name, values in runner.optim_wrapper.get_lr().items() if values}
        report = dict(
            iteration=runner.iter + 1,
            epoch=runner.epoch + 1,
            losses={name: str(value) for name, value in losses.items()},
            learning_rates=rates,
            images=images,
            last_checkpoint=_last_checkpoint(runner),
        )
        rank = f'_rank{get_rank()}' if get_rank() else ''
        path = Path(runner.work_dir, REPORT.format(rank=rank))
        write_text(path, json.dumps(report, indent=2, ensure_ascii=False) + '\n')
        some = ', '.join(images[:SHOWN_IMAGES]) or 'unknown'
        more = f' and {len(images) - SHOWN_IMAGES} more' if len(images) > SHOWN_IMAGES else ''
        highest = max((max(values) for values in rates.values()), default=math.nan)
        raise NotFiniteError(
            f'the loss is not finite at iteration {runner.iter + 1} ({_terms(losses)}); learning '
            f'rate {highest:.3g}, images of the batch: {some}{more}. All of them are in {path}. '
            f'{_kept(runner)} Look at these images and their annotations; if they are right, lower '
            'the learning rate, lengthen its warm-up, or clip gradients '
            '(optim_wrapper.clip_grad=dict(max_norm=1.0))'
        )

    def _bad(self, tensors: Mapping[str, Tensor]) -> list[str]:
        return [name for name in not_finite(tensors) if name not in self._meant]

    def _check_weights(self, tensors: Mapping[str, Tensor], runner: Runner, iteration: int) -> None:
        bad = self._bad(tensors)
        if bad:
            raise NotFiniteError(
                f'the weights are not finite after iteration {iteration}: {listed(bad)}, so '
                f'they are not saved. {_kept(runner)} Lower the learning rate, lengthen its '
                'warm-up, or clip gradients (optim_wrapper.clip_grad=dict(max_norm=1.0))'
            )


def image_names(batch: object) -> Iterator[str]:
    """Lists the paths of the images of a batch, as the data loader gives it, to any depth."""
    yield from filter(None, map(image_name, samples_of(batch)))


def _entries(model: Any) -> dict[str, Tensor]:
    """Parameters and saved buffers by the names that they have without a wrapper."""
    buffers = {name: value for name, value in model.named_buffers() if value is not None}
    named = dict(model.named_parameters()) | buffers
    return {name.removeprefix('module.'): value for name, value in named.items()}


def _may_be_infinite(model: Any, name: str) -> bool:
    """Whether an entry is a buffer other than the statistics of a norm."""
    parameters = {parameter.removeprefix('module.') for parameter, _ in model.named_parameters()}
    return name not in parameters and 'running_' not in name


def _saves_now(runner: Runner) -> bool:
    """Whether a ``CheckpointHook`` that counts iterations writes after this one."""
    hooks = [h for h in runner.hooks if isinstance(h, CheckpointHook) and not h.by_epoch]
    return any(
        hook.every_n_train_iters(runner, hook.interval, hook.save_begin)
        or (hook.save_last and hook.is_last_train_iter(runner))
        for hook in hooks
    )


def _terms(losses: dict[str, float]) -> str:
    return ', '.join(f'{name}: {value:.4g}' for name, value in losses.items())


def _last_checkpoint(runner: Runner) -> str | None:
    pointer = Path(runner.work_dir, 'last_checkpoint')
    return pointer.read_text(encoding='utf-8').strip() if pointer.is_file() else None


def _kept(runner: Runner) -> str:
    """A sentence about the last good checkpoint."""
    last = _last_checkpoint(runner)
    return (
        f'The last checkpoint, {last}, is from before and stays.'
        if last
        else 'No checkpoint was written before.'
    )
