"""From a trained checkpoint to that of the merged model."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from mmengine.runner import load_checkpoint
from torch import Tensor

from repnext_mm.checkpoints.files import sha256
from repnext_mm.checkpoints.identity import dataset_meta
from repnext_mm.checkpoints.loading import build_model, check_finite
from repnext_mm.config_dicts import TEACHERS, type_name
from repnext_mm.deprecation import renamed_argument
from repnext_mm.integrity import not_finite
from repnext_mm.models import RepNeXt
from repnext_mm.reparam import INFERENCE_FORMS, FormAware, reparameterize_model
from repnext_mm.reparam.difference import feature_differences
from repnext_mm.reparam.fastest import AS_IS
from repnext_mm.reparam.forms import AUTO
from repnext_mm.trained import fastest_form_at
from repnext_mm.version import __version__

TOLERANCE = 1e-4
"""Allowed maximum relative difference of features; float32 rounding gives about 1e-6."""


@renamed_argument('mode', 'form')
def deployed_config(cfg: Config, form: str) -> Config:
    """Copies a config, and has the RepNeXt parts of the copy built merged.

    Args:
        cfg: Config of a model in training form.
        form: One of :data:`repnext_mm.reparam.INFERENCE_FORMS`.
    """
    cfg = copy.deepcopy(cfg)
    for part in form_aware_parts(cfg.model).values():
        part['deploy'] = form
    return cfg


@renamed_argument('mode', 'form')
def merge_checkpoint(
    cfg: Config,
    source: str,
    form: str = 'fused',
    tolerance: float = TOLERANCE,
    shape: tuple[int, int] | None = None,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Merges the checkpoint of a trained model, for the same config with ``deploy=form``.

    Batch norms of necks and heads stay: so the result fits the config with nothing
    but ``deploy`` set, and they are folded when the model is tested or exported.

    Args:
        cfg: Config of the training form.
        source: Checkpoint of the training form, in any known layout.
        form: One of :data:`repnext_mm.reparam.INFERENCE_FORMS`, or ``'auto'`` for the one that is the
            fastest on the CPU for one image; the metadata then has the times as ``choice``.
        tolerance: Allowed maximum relative difference of the features of the two forms
            on a batch of random images.
        shape: Height and width of the image for ``'auto'``, in pixels.

    Returns:
        State dict and metadata.

    Raises:
        RuntimeError: If the checkpoint does not have every entry of the model, or more.
        ValueError: If the model has no RepNeXt, cannot take the form, or the forms differ, or an
            entry is not finite.
    """
    _check_mergeable(cfg, form)
    model = build_model(cfg)
    meant = not_finite(model.state_dict())
    loaded = load_checkpoint(model, source, map_location='cpu', strict=True)
    check_finite(model.state_dict(), meant, source)
    model.eval()
    meta = _metadata(model, source, loaded)
    if form == AUTO:
        choice = fastest_form_at(model, image_shape(model, shape), layouts=(AS_IS,))
        form, meta['choice'] = choice.form, choice.to_json()
    state = reparameterize_model(model, form, fold_conv_bn=False).state_dict()
    deployed = build_model(deployed_config(cfg, form)).eval()
    deployed.load_state_dict(state, strict=True)
    difference = compare_forms(model, deployed)
    if not difference <= tolerance:
        raise ValueError(
            f'the merged model differs from the training form by {difference:.2e} (maximum '
            f'relative difference of features), more than the tolerance {tolerance:.0e}'
        )
    return state, meta | dict(form=form, difference=difference)


def image_shape(model: BaseModel, shape: tuple[int, int] | None) -> tuple[int, int, int, int]:
    """``(1, C, H, W)`` of an image that a model takes.

    Raises:
        ValueError: If there is no shape.
    """
    if shape is None:
        raise ValueError("form='auto' measures on an image: give its height and width as shape")
    return (1, _in_channels(model), *shape)


def _in_channels(model: BaseModel) -> int:
    """Channels of the images that a model takes."""
    return next((m.in_channels for m in model.modules() if isinstance(m, RepNeXt)), 3)


def _check_mergeable(cfg: Config, form: str) -> None:
    """Raises a ValueError if the config's model cannot be merged to this form."""
    parts = form_aware_parts(cfg.model).values()
    if form not in (*INFERENCE_FORMS, AUTO):
        raise ValueError(
            f'a checkpoint is merged to one of {INFERENCE_FORMS} or {AUTO!r}, got {form!r}'
        )
    if not any(type_name(part) == RepNeXt.__name__ for part in parts):
        raise ValueError(
            'there is nothing to merge: the model of the config needs a part such as '
            "backbone=dict(type='repnext_mm.RepNeXt')"
        )
    if any(part.get('deploy') for part in parts):
        raise ValueError('the config is that of a merged model already: leave deploy out of it')


def _metadata(model: BaseModel, source: str, loaded: Mapping[str, Any]) -> dict[str, Any]:
    """Origin of a merged checkpoint, from the training form and the file that it was read from."""
    meta = dict(
        arch=next(m.arch for m in model.modules() if isinstance(m, RepNeXt)),
        source_sha256=sha256(source),
        repnext_mm=__version__,
        dataset_meta=dataset_meta(loaded),
    )
    return {name: value for name, value in meta.items() if value is not None}


def compare_forms(model: BaseModel, merged: BaseModel) -> float:
    """Compares the features of two forms, and the logits of a classifier that merges too.

    Args:
        model: In evaluation mode.
        merged: The same model in another form, in evaluation mode.

    Returns:
        The maximum relative difference on two random images of 224x288 pixels.
    """
    shape = (2, _in_channels(model), 224, 288)
    images = torch.randn(shape, generator=torch.Generator().manual_seed(0))

    def run(form: Any) -> None:
        features = form.extract_feat(images)
        if isinstance(getattr(form, 'head', None), FormAware):
            form.head(features)

    names = [name for name in ('backbone', 'neck', 'head') if getattr(model, name, None)]
    return max(feature_differences(model, merged, names, run).values())


def form_aware_parts(cfg: dict | list | tuple, path: str = 'model') -> dict[str, dict]:
    """Finds the dicts in a model's config that take ``deploy``, but for those of a teacher.

    Args:
        cfg: A config of a model, or a part of one.
        path: Where it stands in the whole config, such as ``'model'``.

    Returns:
        The dicts by their paths, such as ``'model.backbone'``.
    """
    found = {}
    if isinstance(cfg, dict):
        kind = cfg.get('type')
        cls = MODELS.get(kind) if isinstance(kind, str) else kind
        if isinstance(cls, type) and issubclass(cls, FormAware):
            found[path] = cfg
    inner = cfg.items() if isinstance(cfg, dict) else enumerate(cfg)
    for name, value in inner:
        if isinstance(value, dict | list | tuple) and name not in TEACHERS:
            found |= form_aware_parts(value, f'{path}.{name}')
    return found
