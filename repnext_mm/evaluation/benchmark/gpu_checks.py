"""What must be right on a GPU before its speed means anything.

Each check is a function of a device that raises an error if something is wrong and returns a
sentence on what it saw. On ``'cpu'`` they rehearse: the device is compared with itself, and
what only CUDA has (mixed precision of mmengine, NCCL) is left out.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS, OPTIM_WRAPPERS, init_default_scope
from torch import Tensor, nn

from repnext_mm.compat import require
from repnext_mm.config_dicts import replace_types
from repnext_mm.evaluation.benchmark.batches import training_batch
from repnext_mm.reparam.difference import feature_differences, relative_difference
from repnext_mm.reparam.primitives import cudnn, primitives
from repnext_mm.trained import merged_copy

SLIM = dict(channels=[16, 24, 32, 48], depths=[1, 1, 2, 1])
"""An architecture with all layers of RepNeXt-T, small enough for a check in a second."""

SHAPE = (96, 128)
TOLERANCES = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}
"""Largest relative differences; those of low precision are of rounding in every layer."""


class CheckError(Exception):
    """A GPU computes something else than it should."""


def check_nms_on(device: str, cfg: Config) -> str:
    """NMS keeps the same boxes on the device as on the CPU, in the same order."""
    nms = require('mmcv.ops', 'NMS').nms
    generator = torch.Generator().manual_seed(0)
    corners = 100 * torch.rand(500, 2, generator=generator)
    boxes = torch.cat([corners, corners + 20 + 20 * torch.rand(500, 2, generator=generator)], 1)
    scores = torch.randperm(500, generator=generator) / 500
    for threshold in (0.3, 0.5, 0.7):
        expected = nms(boxes, scores, threshold)[1].tolist()
        found = nms(boxes.to(device), scores.to(device), threshold)[1].tolist()
        if expected != found:
            raise CheckError(f'NMS at {threshold} keeps other boxes: {len(expected)}, {len(found)}')
    return '500 boxes at 3 thresholds: the same boxes'


def check_roi_align(device: str, cfg: Config) -> str:
    """RoIAlign and its gradient are the same on the device as on the CPU."""
    roi_align = require('mmcv.ops', 'RoIAlign').roi_align
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 8, 40, 60, generator=generator)
    corners = 100 * torch.rand(50, 2, generator=generator)
    boxes = torch.cat([corners, corners + 1 + 90 * torch.rand(50, 2, generator=generator)], 1)
    rois = torch.cat([torch.arange(50)[:, None] % 2, boxes], 1)
    worst = 0.0
    for ratio in (0, 2):
        found = []
        for place in ('cpu', device):
            inputs = features.to(place).requires_grad_()
            output = roi_align(inputs, rois.to(place), (7, 7), 0.25, ratio, 'avg', True)
            output.square().sum().backward()
            assert inputs.grad is not None
            found.append((output.detach().cpu(), inputs.grad.cpu()))
        worst = max(worst, *map(relative_difference, *found))
    return _within(worst, 1e-4, 'RoIAlign and its gradient')


def check_forms(device: str, cfg: Config) -> str:
    """The merged forms equal the training form on the device, also in low precision."""
    network = _backbone().to(device)
    images = torch.randn(2, 3, *SHAPE, device=device)
    told = []
    with torch.no_grad(), _tf32(False):
        expected = network(images)
        for form in ('fused', 'plain'):
            for dtype, tolerance in TOLERANCES.items():
                for layout in (torch.contiguous_format, torch.channels_last):
                    merged = merged_copy(network, form).to(dtype).to(memory_format=layout)  # type: ignore[call-overload]
                    found = merged(images.to(dtype).to(memory_format=layout))
                    worst = _worst(expected, found)
                    told.append(_within(worst, tolerance, f'{form}, {dtype}'))
    return '; '.join(dict.fromkeys(told))


def check_primitives(device: str, cfg: Config) -> str:
    """Merged networks with primitives equal those without, in each precision, with TF32 and without.

    The sentence says for each where torch's library for convolutions agrees with its layers, and how
    many layers it took; where it does not agree, the layers run as they are.
    """
    network = _backbone()
    images = torch.randn(2, 3, *SHAPE)
    told = []
    for dtype, tolerance in TOLERANCES.items():
        for allowed in (False, True) if dtype is torch.float32 else (True,):
            for form in ('fused', 'plain'):
                merged: Any = merged_copy(network, form).to(device, dtype)
                merged = merged.to(memory_format=torch.channels_last)
                inputs = images.to(device, dtype).contiguous(memory_format=torch.channels_last)
                with torch.no_grad(), _tf32(allowed):
                    with primitives(False):
                        expected = merged(inputs)
                    worst = _worst(expected, merged(inputs))
                limit = TOLERANCES[torch.float16] if allowed else tolerance
                what = f'{form}, {dtype}{", TF32" if allowed and dtype is torch.float32 else ""}'
                told.append(_within(worst, max(limit, tolerance), what) + _coverage(merged, device))
    return '; '.join(told)


def check_hook_under_tf32(device: str, cfg: Config) -> str:
    """The comparison that ReparameterizeHook makes is exact where TF32 is switched on."""
    model = _detector(cfg).to(device).eval()
    batch = training_batch('mmdet', SHAPE, 1)
    with _tf32(True):
        merged = merged_copy(model, 'fused')
        found = feature_differences(
            model, merged, ['backbone', 'neck'], lambda network: network.test_step(dict(batch))
        )
        if not torch.backends.cuda.matmul.allow_tf32:
            raise CheckError('the comparison has switched TF32 off for good')
    return _within(max(found.values()), 1e-4, 'features of a detector')


def check_mixed_precision(device: str, cfg: Config) -> str:
    """Training steps in mixed precision change the weights and keep the losses finite."""
    model = _detector(cfg).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    if device == 'cpu':
        wrapper = OptimWrapper(optimizer)
    else:
        kind = dict(type='AmpOptimWrapper', optimizer=optimizer, loss_scale='dynamic')
        wrapper = OPTIM_WRAPPERS.build(kind)
    before = next(model.backbone.parameters()).detach().clone()
    for _ in range(4):  # the loss scale begins high, and steps that overflow are left out
        losses = model.train_step(training_batch('mmdet', SHAPE, 2), wrapper)
        total = sum(float(value.detach()) for name, value in losses.items() if 'loss' in name)
        if not torch.isfinite(torch.tensor(total)):
            raise CheckError(f'a loss is not finite: {losses}')
    if torch.equal(before, next(model.backbone.parameters())):
        raise CheckError('four training steps have not changed the weights')
    return f'{type(wrapper).__name__}: four steps, finite losses, weights changed'


def check_synchronized_norms(device: str, cfg: Config) -> str:
    """SyncBN with one process trains, and merges to a network that computes the same."""
    if device == 'cpu':
        return 'left out: SyncBN trains on a GPU alone'
    with _one_process():
        network = nn.SyncBatchNorm.convert_sync_batchnorm(_backbone()).to(device).train()
        images = torch.randn(4, 3, *SHAPE, device=device)
        for _ in range(3):
            torch.stack([features.mean() for features in network(images)]).sum().backward()
        network.eval()
        with torch.no_grad(), _tf32(False):
            worst = _worst(network(images), merged_copy(network, 'fused')(images))
    return _within(worst, 1e-4, 'merged after steps with SyncBN')


CHECKS: dict[str, Callable[[str, Config], str]] = {
    'NMS': check_nms_on,
    'RoIAlign': check_roi_align,
    'merged forms': check_forms,
    'primitives': check_primitives,
    "the hook's check under TF32": check_hook_under_tf32,
    'mixed precision': check_mixed_precision,
    'SyncBN': check_synchronized_norms,
}
"""By title; each takes a device and the config of the slim detector of the demo."""


def run_checks(device: str, cfg: Config) -> dict[str, str]:
    """Runs all checks, whatever fails.

    Args:
        device: Such as ``'cuda'``.
        cfg: Of a slim Mask R-CNN, such as that of the demo.

    Returns:
        For each check its sentence, which begins with ``'FAILED'`` if it did.
    """
    found = {}
    for name, check in CHECKS.items():
        try:
            found[name] = check(device, cfg)
        except Exception as error:  # whatever a device or a driver raises
            found[name] = f'FAILED: {type(error).__name__}: {error}'
    return found


def _within(worst: float, tolerance: float, what: str) -> str:
    if not worst <= tolerance:
        raise CheckError(f'{what}: relative difference {worst:.2e}, allowed {tolerance:.0e}')
    return f'{what}: relative difference {worst:.1e} (allowed {tolerance:.0e})'


def _worst(expected: Any, found: Any) -> float:
    pairs: Iterator[tuple[Tensor, Tensor]] = zip(expected, found, strict=True)
    return max(relative_difference(a, b.to(a.dtype)) for a, b in pairs)


def _coverage(merged: nn.Module, device: str) -> str:
    if device == 'cpu':
        return ''
    ran, refused = cudnn.layers_tried(merged)
    return f', cuDNN took {ran} layers and refused {refused}'


def _backbone() -> nn.Module:
    """A slim RepNeXt whose batch norms have random statistics, for with those of
    initialization a wrong merge can pass."""
    torch.manual_seed(0)
    network = MODELS.build(dict(type='repnext_mm.RepNeXt', arch=SLIM))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 2.0)  # type: ignore[arg-type]
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return network.eval()


def _detector(cfg: Config) -> Any:
    cfg = cfg.copy()
    init_default_scope(cfg.default_scope)
    replace_types(cfg.model, ('SyncBN',), 'BN')
    cfg.model.backbone.arch = ConfigDict(SLIM)
    cfg.model.neck.in_channels = SLIM['channels']
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    return model


@contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


@contextmanager
def _one_process() -> Iterator[None]:
    """A process group of NCCL with this process alone, through a file: no network is needed."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'store')  # noqa: PTH118 (part of a URL)
        torch.distributed.init_process_group(
            'nccl', init_method=f'file://{path}', rank=0, world_size=1
        )
        try:
            yield
        finally:
            torch.distributed.destroy_process_group()
