"""The module that holds a trained model's weights, out of whatever is around it, and copies of it.

A Runner, DistributedDataParallel, and averages of weights (EMA) are what training puts around a
model.
"""

import sys
from collections.abc import Sequence
from typing import Any

from mmengine.hooks import EMAHook
from mmengine.model import BaseAveragedModel, is_model_wrapper, revert_sync_batchnorm
from mmengine.runner import Runner
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from repnext_mm.deprecation import renamed_argument
from repnext_mm.reparam.complete import check_batch_norms, merge_completely, run_features
from repnext_mm.reparam.copies import independent_copy
from repnext_mm.reparam.fastest import LAYOUTS, Choice, arranged, fastest_form
from repnext_mm.reparam.forms import AUTO


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside DDP; a model that is not wrapped as it is.

    Raises:
        TypeError: If the wrapper shards the parameters, so that no process could merge.
    """
    if isinstance(model, DistributedDataParallel | DataParallel):
        return model.module
    if is_model_wrapper(model) or isinstance(model, FullyShardedDataParallel):
        raise TypeError(
            f'a model inside {type(model).__name__} cannot be merged, since no process holds all '
            'of its parameters: load its checkpoint into a model without a wrapper, or use '
            'DistributedDataParallel'
        )
    return model


@renamed_argument('mode', 'form')
def merged_copy(
    source: Runner | nn.Module, form: str = 'fused', *, shape: Sequence[int] | None = None
) -> nn.Module:
    """Copies a model and merges the copy until no batch norm is left.

    See :func:`repnext_mm.reparam.complete.merge_completely`.

    Args:
        source: A model in any mode, also inside DistributedDataParallel or an average of
            weights (mmengine's ``BaseAveragedModel``, torch's ``AveragedModel``), or a Runner.
            Of a Runner whose ``EMAHook`` has begun to average it is the average.
        form: ``'fused'`` or ``'plain'``; see :func:`repnext_mm.reparameterize_model`. ``'auto'``
            for the form and the layout in which backbone and neck take the least time for the random
            image on the model's device and in its dtype; the log says which.
        shape: ``(N, C, H, W)`` of the random image. Defaults to ``(1, in_channels, 64, 64)``; with
            ``'auto'`` it must be given.

    Returns:
        The merged model in evaluation mode, on the device of the original, which stays as
        it is.

    Raises:
        TypeError: If ``source`` is something else, or the model is inside a wrapper that
            shards its parameters.
        ValueError: If ``form`` is unknown or a block cannot take it; if it is ``'auto'`` without
            ``shape``; if a batch norm is no fixed affine map, as without running statistics; if a forward method was
            replaced by one that runs the original; or in an evaluation inside a run with
            an ``EMAHook``, which has then exchanged the weights.

    Examples:
        >>> from repnext_mm.trained import merged_copy
        >>> from repnext_mm.models import RepNeXt
        >>> model = RepNeXt('tiny').train()
        >>> merged = merged_copy(model, 'plain')
        >>> merged.form, merged.training, model.form, model.training
        ('plain', False, 'training', True)
    """
    model = copy_to_merge(source)
    check_batch_norms(model)
    if form != AUTO:
        return merge_completely(model, form, shape)
    if shape is None:
        raise ValueError(
            "form='auto' measures on an image of the size that counts: give it as well, such as "
            'shape=(1, 3, 800, 1216)'
        )
    choice = fastest_form_at(model, shape)
    return arranged(merge_completely(model, choice.form, shape), choice.layout)


def fastest_form_at(
    model: nn.Module, shape: Sequence[int], layouts: Sequence[str] = LAYOUTS
) -> Choice:
    """The inference form and layout in which backbone and neck take the least time.

    Args:
        model: In the training form and in evaluation mode, on the device and in the dtype that
            count.
        shape: ``(N, C, H, W)`` of the random image that they take.
        layouts: Of :data:`repnext_mm.reparam.fastest.LAYOUTS`.

    Raises:
        ValueError: As :func:`merged_copy`.
    """
    return fastest_form(
        model,
        lambda form: merge_completely(independent_copy(model), form, shape),
        run_features(model, shape),
        layouts,
        shape=list(shape),
    )


def copy_to_merge(source: Runner | nn.Module) -> nn.Module:
    """A :func:`plain_copy` all of whose synchronized batch norms are torch's, ready to be merged.

    Args:
        source: As for :func:`merged_copy`.

    Raises:
        TypeError: As :func:`merged_copy`.
        ValueError: As :func:`merged_copy`, but for what concerns merging.
    """
    return _with_torch_norms(plain_copy(source))


def plain_copy(source: Runner | nn.Module) -> nn.Module:
    """Copies a model in the form that it has, in evaluation mode and without wrappers.

    Args:
        source: As for :func:`merged_copy`.

    Raises:
        TypeError: As :func:`merged_copy`.
        ValueError: As :func:`merged_copy`, but for what concerns merging.
    """
    model = independent_copy(trained_model(source))
    model.eval()  # in mmpretrain it does not return the model
    return model


def trained_model(source: Runner | nn.Module) -> nn.Module:
    """The module that holds the weights to export, out of all wrappers."""
    if isinstance(source, Runner):
        source = _average(source) or source.model
    if not isinstance(source, nn.Module):
        raise TypeError(
            f'expected a Runner of mmengine or a torch.nn.Module, got {type(source).__name__}'
        )
    averaged = isinstance(source, BaseAveragedModel | AveragedModel)
    inner: Any = source.module if averaged else unwrapped(source)
    return source if inner is source else trained_model(inner)


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
