"""From a trained model to a checkpoint of its merged form, and what a checkpoint is of."""

import copy
from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.runner import CheckpointLoader, load_checkpoint
from torch import Tensor, nn

from repnext_mm.engine.checkpoint_files import sha256
from repnext_mm.engine.types import type_name
from repnext_mm.models import RepNeXt
from repnext_mm.models.checkpoint import backbone_part, shape_of
from repnext_mm.reparam import (
    FORMS,
    FormAware,
    KeyReport,
    compare_keys,
    inference_forms,
    reparameterize_model,
)
from repnext_mm.reparam.verify import feature_differences
from repnext_mm.version import __version__

TOLERANCE = 1e-4
"""Of the maximum relative difference of features; float32 rounding gives about 1e-6."""


class Identity(NamedTuple):
    """What a checkpoint is of."""

    arch: str
    form: str | None


def identify(checkpoint: Mapping[str, Any]) -> Identity | None:
    """Finds the named architecture and the form whose backbone the checkpoint is, entry by entry.

    Args:
        checkpoint: What a file holds, in any known layout.

    Returns:
        None if there is none.
    """
    state = backbone_part(checkpoint)
    shape = shape_of(state)
    for arch, row in RepNeXt.arch_settings.items():
        if row[1:] != shape:
            continue
        with torch.device('meta'):
            training = RepNeXt(arch)
        for form in (None, *inference_forms(training)):
            if compare_keys(state, training.another_form(form)).exact:
                return Identity(arch, form)
    return None


def report_loading(state: Mapping[str, Tensor], model: nn.Module) -> KeyReport:
    """Loads a state dict and tells what became of its entries.

    Raises:
        ValueError: If it does not fit the backbone.
        RuntimeError: If an entry has another shape.
    """
    keys = model.load_state_dict(state, strict=False)
    unexpected = set(keys.unexpected_keys)
    return KeyReport(
        loaded=[name for name in state if name not in unexpected],
        missing=list(keys.missing_keys),
        unexpected=list(keys.unexpected_keys),
        mismatched=[],
    )


def load_parts(model: nn.Module, source: str, parts: Collection[str]) -> Mapping[str, Any]:
    """Loads some parts of a model, of which nothing may be missing.

    Args:
        model: Of mmdet, mmseg or mmpretrain.
        source: Path or URL of a checkpoint, in any known layout.
        parts: Names of attributes, such as ``'backbone'``; those that the model has not do not
            count.

    Returns:
        What the file holds.

    Raises:
        ValueError: If an entry is missing.
        RuntimeError: If an entry has another shape.
    """
    checkpoint = CheckpointLoader.load_checkpoint(source, map_location='cpu')
    entries = checkpoint.get('state_dict', checkpoint)
    prefixes = tuple(f'{part}.' for part in parts)
    state = OrderedDict(
        (name.removeprefix('module.'), value)
        for name, value in entries.items()
        if name.removeprefix('module.').startswith(prefixes)
    )
    state._metadata = getattr(entries, '_metadata', {})  # type: ignore[attr-defined]
    missing = [name for name in report_loading(state, model).missing if name.startswith(prefixes)]
    if missing:
        raise ValueError(
            f'{source} lacks {len(missing)} entries of {", ".join(parts)}, such as {missing[0]!r}: '
            'is it of another config, or of a backbone alone?'
        )
    return checkpoint


def build_model(cfg: Config) -> Any:
    """The model of a config, on the CPU."""
    model_cfg = dict(cfg.model)
    if 'data_preprocessor' in cfg:  # where mmpretrain's configs have it
        model_cfg.setdefault('data_preprocessor', cfg.data_preprocessor)
    return MODELS.build(model_cfg)


def deployed_config(cfg: Config, mode: str) -> Config:
    """A copy of a config whose RepNeXt parts are built merged."""
    cfg = copy.deepcopy(cfg)
    for part in form_aware_parts(cfg.model).values():
        part['deploy'] = mode
    return cfg


def merge_checkpoint(
    cfg: Config, source: str, mode: str = 'fused', tolerance: float = TOLERANCE
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The checkpoint of a trained model for the same model with ``deploy=mode``.

    Batch norms of necks and heads stay: so the result fits the config with nothing
    but ``deploy`` set, and they are folded when the model is tested or exported.

    Args:
        cfg: Config of the training form.
        source: Checkpoint of the training form, in any known layout.
        mode: One of :data:`repnext_mm.reparam.FORMS`.
        tolerance: For the maximum relative difference of the features of the two forms
            on a batch of random images.

    Returns:
        State dict and metadata.

    Raises:
        RuntimeError: If the checkpoint does not have every entry of the model, or more.
        ValueError: If the model has no RepNeXt, cannot take the form, or the forms differ.
    """
    parts = form_aware_parts(cfg.model).values()
    if not any(type_name(part) == RepNeXt.__name__ for part in parts) or mode not in FORMS:
        raise ValueError(
            f'nothing to merge to {mode!r}: the model needs a part such as '
            f"backbone=dict(type='repnext_mm.RepNeXt'), and the modes are {FORMS}"
        )
    if any(part.get('deploy') for part in parts):
        raise ValueError('the config is that of a merged model already: leave deploy out of it')
    model = build_model(cfg)
    loaded = load_checkpoint(model, source, map_location='cpu', strict=True)
    state = reparameterize_model(model.eval(), mode, fold_conv_bn=False).state_dict()

    deployed = build_model(deployed_config(cfg, mode)).eval()
    deployed.load_state_dict(state, strict=True)
    difference = compare_forms(model, deployed)
    if not difference <= tolerance:
        raise ValueError(
            f'the merged model differs from the training form by {difference:.2e} (maximum '
            f'relative difference of features), more than the tolerance {tolerance:.0e}'
        )
    meta = dict(
        arch=next(m.arch for m in model.modules() if isinstance(m, RepNeXt)),
        form=mode,
        source_sha256=sha256(source),
        difference=difference,
        repnext_mm=__version__,
        dataset_meta=dataset_meta(loaded),
    )
    return state, {name: value for name, value in meta.items() if value is not None}


def compare_forms(model: Any, merged: Any) -> float:
    """Maximum relative difference of features, and of logits of a merged classifier."""
    in_channels = next((m.in_channels for m in model.modules() if isinstance(m, RepNeXt)), 3)
    shape = (2, in_channels, 224, 288)
    images = torch.randn(shape, generator=torch.Generator().manual_seed(0))

    def run(form: Any) -> None:
        features = form.extract_feat(images)
        if isinstance(getattr(form, 'head', None), FormAware):
            form.head(features)

    names = [name for name in ('backbone', 'neck', 'head') if getattr(model, name, None)]
    return max(feature_differences(model, merged, names, run).values())


def dataset_meta(checkpoint: Mapping[str, Any]) -> dict[str, Any] | None:
    """Classes and palette from a checkpoint of mmengine, or of mmdet 2.x and mmseg 0.x."""
    meta = checkpoint.get('meta') or {}
    found = meta.get('dataset_meta') or {
        name.lower(): meta[name] for name in ('CLASSES', 'PALETTE') if meta.get(name)
    }
    return dict(found) or None


def form_aware_parts(cfg: Any, path: str = 'model') -> dict[str, dict]:
    """The dicts in a model's config that take ``deploy``, by their path as in ``--cfg-options``."""
    found = {}
    if isinstance(cfg, dict):
        kind = cfg.get('type')
        cls = MODELS.get(kind) if isinstance(kind, str) else kind
        if isinstance(cls, type) and issubclass(cls, FormAware):
            found[path] = cfg
    inner = cfg.items() if isinstance(cfg, dict) else enumerate(cfg)
    for name, value in inner:
        if isinstance(value, dict | list | tuple):
            found |= form_aware_parts(value, f'{path}.{name}')
    return found
