"""From a config and a checkpoint to the pruned network, its checkpoint and its config."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import BaseModel
from mmengine.runner import load_checkpoint
from torch import Tensor, nn

from repnext_mm.checkpoints.files import sha256, write_checkpoint
from repnext_mm.checkpoints.identity import dataset_meta
from repnext_mm.checkpoints.loading import build_model
from repnext_mm.checkpoints.merging import form_aware_parts
from repnext_mm.config_dicts import type_name
from repnext_mm.files import replaced, write_text
from repnext_mm.models import RepNeXt
from repnext_mm.pruning.channels import CRITERIA, Removal, check_ratio, prune_channels
from repnext_mm.pruning.gradients import accumulate_gradients
from repnext_mm.pruning.pruned_config import (
    FEATURE_READERS,
    Changes,
    changed,
    config_changes,
    config_text,
    deploy_changes,
    with_options,
)
from repnext_mm.pruning.targets import HIDDEN, SCOPES, divide_blocks, targets_of, unite_blocks
from repnext_mm.reparam import TRAINING, compare_keys, reparameterize_model
from repnext_mm.reparam.difference import relative_difference
from repnext_mm.version import __version__

PRUNABLE_FORMS = (TRAINING, 'plain')
"""The forms that can be pruned: with residual connections, and without."""

PRUNED_PART = 'model.backbone'
IMAGE_SIZE = 64
REBUILD_TOLERANCE = 1e-5
"""Allowed relative difference between the pruned network and the one built from its config."""


@dataclass(frozen=True)
class Request:
    """What to prune, and how.

    Raises:
        ValueError: If a value is not among the allowed ones; the message lists them.
    """

    ratio: float
    """Share of the channels that each layer loses, in (0, 1)."""

    criterion: str = 'magnitude'
    """One of :data:`repnext_mm.pruning.channels.CRITERIA`."""

    form: str = TRAINING
    """One of :data:`PRUNABLE_FORMS`: the form that is pruned."""

    scope: str = HIDDEN
    """One of :data:`repnext_mm.pruning.targets.SCOPES`."""

    batches: int = 8
    """Batches of training data for the criterion ``'taylor'``."""

    def __post_init__(self) -> None:
        check_ratio(self.ratio)
        for name, allowed in (('criterion', CRITERIA), ('form', PRUNABLE_FORMS), ('scope', SCOPES)):
            if getattr(self, name) not in allowed:
                value = getattr(self, name)
                raise ValueError(f'unknown {name} {value!r}: choose from {allowed}')


@dataclass(frozen=True)
class Pruned:
    """A pruned model, built from its own config."""

    model: BaseModel
    """In evaluation mode."""

    changes: Changes
    """What its config has that the config of the dense model has not."""

    removals: list[Removal]
    meta: dict[str, Any]
    """Origin, for the checkpoint."""


def prune_checkpoint(cfg: Config, source: str, request: Request) -> Pruned:
    """Prunes the checkpoint of a trained model.

    Args:
        cfg: Config of the model; its backbone is a RepNeXt.
        source: Checkpoint of the form that the config builds, in any known layout. For the form
            ``'plain'`` one of the training form as well, which is merged first.
        request: What to prune.

    Raises:
        ImportError: If torch-pruning is not installed.
        RuntimeError: If the checkpoint does not have every entry of the model, or more.
        ValueError: If the model has no RepNeXt, the checkpoint is of another form or network, the
            ratio leaves a layer without channels, or the pruned network cannot be described by a
            config.
    """
    parts = _checked_parts(cfg, request)
    model = build_model(cfg)
    loaded = load_checkpoint(model, source, map_location='cpu', strict=True)
    model.eval()
    if request.form != TRAINING:
        model = reparameterize_model(model, request.form, fold_conv_bn=False)
    deploy = deploy_changes(parts, request.form)
    cfg = changed(cfg, deploy)
    removals = _prune(model, cfg, request)
    changes = deploy | config_changes(cfg, model.backbone)
    rebuilt = _rebuilt(model, changed(cfg, changes), request)
    meta = dict(
        arch=rebuilt.backbone.arch,
        pruned=dict(ratio=request.ratio, criterion=request.criterion, scope=request.scope),
        source_sha256=sha256(source),
        repnext_mm=__version__,
        dataset_meta=dataset_meta(loaded),
        form=request.form,
    )
    meta = {name: value for name, value in meta.items() if value is not None}
    return Pruned(rebuilt, changes, removals, meta)


def write_pruned(
    pruned: Pruned, path: str | Path, base: str | Path, options: Mapping[str, Any] | None = None
) -> Path:
    """Writes the checkpoint of a pruned model, and beside it a config of the same name.

    Args:
        pruned: What :func:`prune_checkpoint` returns.
        path: Checkpoint to write: .pth or .safetensors.
        base: Path of the config of the dense model.
        options: Options with which that config was read.

    Returns:
        Path of the config.

    Raises:
        OSError, ValueError: As :func:`check_output`; or if an option cannot be inherited.
    """
    path, base = Path(path), Path(base)
    target = check_output(path, base)
    changes = with_options(options or {}, pruned.changes)
    text = config_text(target, base, changes, path.name)
    with replaced(path) as draft:
        write_text(draft.with_suffix('.py'), text)
        write_checkpoint(draft, pruned.model.state_dict(), pruned.meta)
    return target


def check_output(path: str | Path, base: str | Path) -> Path:
    """The config that goes with a checkpoint to write.

    Raises:
        ValueError: If it would take the place of the config of the dense model.
    """
    target = Path(path).with_suffix('.py')
    if target.resolve() == Path(base).resolve():
        raise ValueError(
            f'the config of the pruned network, {target}, would replace that of the dense one: '
            'choose another name or folder'
        )
    return target


def _checked_parts(cfg: Config, request: Request) -> list[str]:
    """Paths of the parts of a config that have forms.

    Raises:
        ValueError: If its model has no RepNeXt as a backbone, or builds another form.
    """
    parts = form_aware_parts(cfg.model)
    backbone = parts.get(PRUNED_PART, {})
    if type_name(backbone) != RepNeXt.__name__:
        raise ValueError(
            'there is nothing to prune: the model of the config needs '
            "backbone=dict(type='repnext_mm.RepNeXt')"
        )
    built = backbone.get('deploy') or TRAINING
    if built not in (TRAINING, request.form):
        raise ValueError(
            f'the config builds its backbone merged ({PRUNED_PART}.deploy={built!r}), and the form to '
            f'prune is {request.form!r}: leave deploy out of the config and give a checkpoint of '
            'the training form' + (", or prune the form 'plain'" if built == 'plain' else '')
        )
    return list(parts)


def _prune(model: Any, cfg: Config, request: Request) -> list[Removal]:
    """Prunes a model in place."""
    device = torch.device(get_device())
    model.to(device).requires_grad_(True)
    divide_blocks(model.backbone)
    if request.criterion == 'taylor':
        accumulate_gradients(model, cfg, request.batches)
    images = _random_images(model).to(device)
    targets = list(targets_of(model.backbone, request.scope))
    removals = prune_channels(
        model, features_and_scores, images, targets, request.ratio, request.criterion
    )
    unite_blocks(model.backbone)
    model.zero_grad()
    model.to('cpu').eval()
    return removals


def features_and_scores(model: Any, images: Tensor) -> list[Tensor]:
    """Runs all that reads the backbone's features: the neck, and heads that need no boxes.

    Args:
        model: Of mmdet, mmseg or mmpretrain.
        images: ``(N, C, H, W)``.
    """
    features = model.extract_feat(images)
    outputs = list(features)
    for name in FEATURE_READERS:
        part = getattr(model, name, None)
        for head in part if isinstance(part, nn.ModuleList) else [part]:
            if head is not None:
                outputs += _tensors(head(features))
    return outputs


def _random_images(model: Any) -> Tensor:
    """A batch of one image that a model takes, always the same."""
    shape = (1, model.backbone.in_channels, IMAGE_SIZE, IMAGE_SIZE)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def _tensors(output: Any) -> Iterator[Tensor]:
    yield from [output] if isinstance(output, Tensor) else output


def _rebuilt(model: Any, cfg: Config, request: Request) -> BaseModel:
    """The model that the pruned network's config builds, with the weights of the pruned network.

    Raises:
        ValueError: If it is not the same network.
    """
    rebuilt = build_model(cfg).eval()
    report = compare_keys(model.state_dict(), rebuilt)
    if not report.exact:
        raise ValueError(
            f'the config cannot describe the pruned network ({report}): something reads the '
            f'features of the backbone that is not its neck or one of {FEATURE_READERS}; use the scope '
            f'{HIDDEN!r}, which leaves their widths as they are'
        )
    rebuilt.load_state_dict(model.state_dict(), strict=True)
    images = _random_images(model)
    with torch.no_grad():
        pairs = zip(
            features_and_scores(model, images), features_and_scores(rebuilt, images), strict=True
        )
        difference = max(relative_difference(expected, actual) for expected, actual in pairs)
    if not difference <= REBUILD_TOLERANCE:
        raise ValueError(
            f'the network that the config builds differs from the pruned one by {difference:.1e} '
            f'(maximum relative difference of features), more than {REBUILD_TOLERANCE:.0e}'
        )
    return rebuilt
