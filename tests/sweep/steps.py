"""The steps that a method goes through, each of which either works or has a reason why not."""

import copy
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from helpers import randomize
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from repnext_mm.checkpoints.loading import build_model
from repnext_mm.trained import merged_copy
from sweep.batches import batch_for
from sweep.methods import Method
from sweep.models import small_config
from sweep.narrowing import narrow_model

WORKS = 'works'
STEPS = ('build', 'train', 'predict', 'merge', 'export')
AGREEMENT = 1e-8
"""Largest difference of merged and unmerged outputs in float64, by the largest output."""


def examine(method: Method, steps: tuple[str, ...] = STEPS[:-1]) -> dict[str, Any]:
    """Takes a method through the steps.

    Args:
        method: One of :data:`sweep.methods.METHODS`.
        steps: Of :data:`STEPS`, in their order. Models are built for all of them.

    Returns:
        For each step :data:`WORKS` or the reason; and ``seconds``, ``where`` with the lines of code of
        failures, and ``compared`` with what an exported file was compared by.
    """
    began = time.monotonic()
    torch.manual_seed(0)
    init_default_scope(method.package)
    record: dict[str, Any] = dict(where={})
    parts: dict[str, Any] = {}
    for step in ('build', *(step for step in steps if step != 'build')):
        if step != 'build' and 'model' not in parts:
            break
        try:
            DO[step](method, parts)
            record |= {step: WORKS} if step in steps else {}
        except Exception as error:
            record[step] = reason(error)
            record['where'][step] = places(error)
    if 'compared' in parts:
        record['compared'] = parts['compared']
    record['seconds'] = round(time.monotonic() - began, 1)
    return record


def reason(error: BaseException) -> str:
    """The error as one line."""
    text = ' '.join(str(error).split())
    return f'{type(error).__name__}: {text}'[:300]


def places(error: BaseException) -> list[str]:
    """The last lines of code that the error went through, the innermost last."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    return [f'{"/".join(Path(f.filename).parts[-3:])}:{f.lineno} {f.name}' for f in frames]


def build(method: Method, parts: dict[str, Any]) -> None:
    """Builds the model, with random statistics in its batch norms."""
    cfg = small_config(method)
    model = build_model(Config(dict(model=cfg.model)))
    model.init_weights()
    # Some heads keep maps of their last step, and cannot be copied after it.
    parts.update(cfg=cfg, model=model, untrained=copy.deepcopy(model))


def train(method: Method, parts: dict[str, Any]) -> None:
    """One step of SGD: losses and gradients are finite, and some of them reach our backbone."""
    model = parts['model']
    model.train()  # which not every method's model returns
    batch = batch_for(method, hasattr(model, 'student'))
    for counter in ('iter', 'epoch'):  # as a Runner does
        MessageHub.get_current_instance().update_info(counter, 0)
    weights = {name: p.detach().clone() for name, p in _backbone(model).named_parameters()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    logged = model.train_step(batch, OptimWrapper(optimizer))
    if not logged['loss'].isfinite():
        raise ArithmeticError(f'the loss is {logged["loss"].item()}')
    after = dict(_backbone(model).named_parameters())
    if not all(parameter.isfinite().all() for parameter in after.values()):
        raise ArithmeticError('gradients of the backbone are not finite')
    if all(torch.equal(weights[name], parameter) for name, parameter in after.items()):
        raise ArithmeticError('no gradient reaches the backbone')


def predict(method: Method, parts: dict[str, Any]) -> None:
    """Predicts for one image: some methods take no more at a time."""
    model = parts['model']
    model.eval()
    with torch.no_grad():
        batch = {key: values[:1] for key, values in batch_for(method).items()}
        found = model.test_step(batch)
    if len(found) != 1:
        raise ArithmeticError(f'{len(found)} predictions for an image')
    for sample in found:
        kinds = [name for name in list(sample.keys()) if name.startswith('pred_')]
        if not kinds:
            raise ArithmeticError(f'nothing is predicted: {sample.keys()}')


def merge(method: Method, parts: dict[str, Any]) -> None:
    """The outputs of the merged model are those of the unmerged one, in float64."""
    inner = randomize(_inner(parts['untrained'])).double()
    inner.eval()
    merged = merged_copy(inner)
    images = torch.rand(1, 3, method.size, method.size, dtype=torch.float64)
    with torch.no_grad():
        pairs = zip(
            _tensors(_outputs(inner, images)), _tensors(_outputs(merged, images)), strict=True
        )
        for expected, actual in pairs:
            _check_equal(actual, expected)


def export(method: Method, parts: dict[str, Any]) -> None:
    """The whole model becomes an ONNX file that predicts the same."""
    from sweep.exporting import export as export_whole  # packages that the other steps do not need

    model = narrow_model(method, parts['cfg']) or parts['untrained']
    parts['compared'] = export_whole(method, _inner(model))


DO: dict[str, Callable[[Method, dict[str, Any]], None]] = dict(
    build=build, train=train, predict=predict, merge=merge, export=export
)


def _inner(model: Any) -> Any:
    """The detector that semi-supervision trains; any other model as it is."""
    return getattr(model, 'teacher', model) if hasattr(model, 'student') else model


def _backbone(model: Any) -> nn.Module:
    return getattr(model, 'student', model).backbone


def _outputs(model: Any, images: Tensor) -> Any:
    """What the model computes of images, as far as that needs nothing else."""
    features = model.extract_feat(images)
    head = getattr(model, 'decode_head', None) or getattr(model, 'bbox_head', None)
    if head is None or getattr(model, 'encoder', None) is not None:
        return features
    try:
        if isinstance(head, nn.ModuleList):  # mmseg's cascades
            return features, model.encode_decode(images, [dict(img_shape=images.shape[2:])])
        return features, head(features)
    except (TypeError, ValueError, RuntimeError):
        return features  # heads that need to know more of the images, or know no double precision


def _check_equal(actual: Tensor, expected: Tensor) -> None:
    """Raises ArithmeticError if outputs differ; they may be zero, where a method masks them out."""
    if not expected.isfinite().all():
        raise ArithmeticError('the outputs of the unmerged model are not finite')
    largest = expected.abs().max().item() if expected.numel() else 0.0
    difference = (actual - expected).abs().max().item() if expected.numel() else 0.0
    if difference > AGREEMENT * largest:
        raise ArithmeticError(f'merged outputs differ by {difference:.1e} of {largest:.1e}')


def _tensors(output: Any) -> Iterator[Tensor]:
    """The floating-point tensors in nested outputs."""
    if isinstance(output, Tensor):
        if output.is_floating_point():
            yield output
    elif isinstance(output, dict):
        yield from _tensors(list(output.values()))
    elif isinstance(output, list | tuple):
        for part in output:
            yield from _tensors(part)
