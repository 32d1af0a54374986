"""Copies of a trained model, whatever state and wrapper it is in, to export."""

import logging
import sys
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.hooks import EMAHook
from mmengine.logging import print_log
from mmengine.model import BaseAveragedModel, revert_sync_batchnorm
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from repnext_mm.engine.wrappers import unwrapped
from repnext_mm.reparam import reparameterize_model
from repnext_mm.reparam.copies import independent_copy
from repnext_mm.reparam.observed import (
    batch_norms,
    check_batch_norms,
    fuse_observed_pairs,
    replace_batch_norms,
)


def merged_copy(
    source: Runner | nn.Module, mode: str = 'fused', *, shape: Sequence[int] | None = None
) -> nn.Module:
    """Copies a model and merges the copy until no batch norm is left.

    What :func:`repnext_mm.reparameterize_model` merges comes first. If batch norms are left,
    backbone and neck (of a model without a backbone, all of it) are run on a small random
    image, which shows the batch norms that follow a convolution: these are folded. The others
    become a scale and a shift per channel.

    Args:
        source: A model in any mode, also inside DistributedDataParallel or an average of
            weights (mmengine's ``BaseAveragedModel``, torch's ``AveragedModel``), or a Runner.
            Of a Runner whose ``EMAHook`` has begun to average it is the average.
        mode: ``'fused'`` or ``'plain'``; see :func:`repnext_mm.reparameterize_model`.
        shape: ``(N, C, H, W)`` of the random image. Defaults to ``(1, in_channels, 64, 64)``.

    Returns:
        The merged model in evaluation mode, on the device of the original, which stays as
        it is.

    Raises:
        TypeError: If ``source`` is something else, or the model is inside a wrapper that
            shards its parameters.
        ValueError: If ``mode`` is unknown or a block cannot take it; if a batch norm is no
            fixed affine map, as without running statistics; if a forward method was
            replaced by one that runs the original; or in an evaluation inside a run with
            an ``EMAHook``, which has then exchanged the weights.

    Examples:
        >>> from repnext_mm.export.merged import merged_copy
        >>> from repnext_mm.models import RepNeXt
        >>> model = RepNeXt('tiny').train()
        >>> merged = merged_copy(model, 'plain')
        >>> merged.deploy, merged.training, model.deploy, model.training
        ('plain', False, None, True)
    """
    model = _with_torch_norms(plain_copy(source))
    check_batch_norms(model)
    model = reparameterize_model(model, mode, inplace=True)
    if batch_norms(model):
        _fold_observed(model, shape)
        model = replace_batch_norms(model)
    return model


def plain_copy(source: Runner | nn.Module) -> nn.Module:
    """Copies a model in the form that it has, in evaluation mode and without wrappers.

    Args:
        source: As for :func:`merged_copy`.

    Raises:
        TypeError: As :func:`merged_copy`.
        ValueError: As :func:`merged_copy`, but for what concerns merging.
    """
    model = independent_copy(_trained_model(source))
    model.eval()  # in mmpretrain it does not return the model
    return model


def _trained_model(source: Runner | nn.Module) -> nn.Module:
    """The module that holds the weights to export, out of all wrappers."""
    if isinstance(source, Runner):
        source = _average(source) or source.model
    if not isinstance(source, nn.Module):
        raise TypeError(
            f'expected a Runner of mmengine or a torch.nn.Module, got {type(source).__name__}'
        )
    averaged = isinstance(source, BaseAveragedModel | AveragedModel)
    inner: Any = source.module if averaged else unwrapped(source)
    return source if inner is source else _trained_model(inner)


def _average(runner: Runner) -> nn.Module | None:
    """The average of the weights that a hook keeps; None if there is none that differs.

    ``EMAHook`` makes its copy before the weights are initialized or loaded, and makes it equal
    to the model until it begins to average, so before the first step the model is right.

    Raises:
        ValueError: If the hook may have exchanged average and weights, which leaves no trace.
    """
    for hook in runner.hooks:
        average = getattr(hook, 'ema_model', None) if isinstance(hook, EMAHook) else None
        if average is None or not average.steps.item():
            continue
        stage = runner.message_hub.get_info('loop_stage')
        if stage in ('val', 'test'):
            raise ValueError(
                f'in an evaluation ({stage}) EMAHook exchanges the weights and their average, and '
                'the Runner does not say whether it has: call this in a hook after_val, '
                'after_train_epoch or after_run, or give it the model instead of the Runner '
                '(runner.model holds the average while batches are evaluated)'
            )
        return average
    return None


def _with_torch_norms(model: nn.Module) -> nn.Module:
    """Replaces mmcv's own synchronized batch norms, which are none of torch's."""
    operators = sys.modules.get('mmcv.ops.sync_bn')
    if operators and any(isinstance(m, operators.SyncBatchNorm) for m in model.modules()):
        return revert_sync_batchnorm(model)
    return model


def _fold_observed(model: nn.Module, shape: Sequence[int] | None) -> None:
    """Folds the batch norms of backbone and neck, as far as these take an image."""
    parts = _feature_parts(model)
    image = _random_image(parts[0], shape)
    devices = [image.device] if image.device.type == 'cuda' else []
    with torch.random.fork_rng(devices), torch.no_grad():
        while parts and not _takes(parts, image):
            parts.pop()
        count = len(parts)
        if count:
            fuse_observed_pairs(model, lambda m: _extract(_feature_parts(m)[:count], image))


def _feature_parts(model: nn.Module) -> list[nn.Module]:
    """Backbone and neck of the outermost module that has a backbone; else the model."""
    for module in model.modules():
        parts = [module._modules.get(name) for name in ('backbone', 'neck')]
        if parts[0] is not None:
            return [part for part in parts if part is not None]
    return [model]


def _random_image(part: nn.Module, shape: Sequence[int] | None) -> Tensor:
    """A batch on the device of the part and in its dtype."""
    if shape is None:
        convs = (m.in_channels for m in part.modules() if isinstance(m, nn.Conv2d))
        shape = (1, next(convs, 3), 64, 64)
    tensors = (*part.parameters(), *part.buffers())
    like = next((t for t in tensors if t.is_floating_point()), torch.empty(0))
    noise = torch.randn(tuple(shape), generator=torch.Generator().manual_seed(0))
    return noise.to(like)


def _extract(parts: list[nn.Module], image: Tensor) -> list[Any]:
    """The image and what each part makes of the output of the one before it."""
    outputs: list[Any] = [image]
    for part in parts:
        outputs.append(part(outputs[-1]))
    return outputs


def _takes(parts: list[nn.Module], image: Tensor) -> bool:
    """Whether the parts run on the image; logs why the last one cannot be observed if not."""
    try:
        _extract(parts, image)
    except Exception as error:  # whatever a part raises that takes something else
        print_log(
            f'{type(parts[-1]).__name__} is not run on a random image {tuple(image.shape)} '
            f'({type(error).__name__}: {error}), so batch norms in it whose place is not known '
            'become scales and shifts, which is as exact but slower; another shape may do',
            logger='current',
            level=logging.WARNING,
        )
        return False
    return True
