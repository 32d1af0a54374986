"""The architecture and the form that a checkpoint is of, told entry by entry."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch

from repnext_mm.models import RepNeXt
from repnext_mm.networks.layouts import backbone_part, shape_of
from repnext_mm.reparam import TRAINING, FormAware, compare_keys, inference_forms


class Identity(NamedTuple):
    """The network whose backbone a checkpoint holds."""

    arch: str
    """Name of the architecture, such as ``'m3'``."""

    form: str
    """``'training'``, ``'fused'`` or ``'plain'``."""


def identify(checkpoint: Mapping[str, Any]) -> Identity | None:
    """Finds the named architecture and the form that have all entries of a checkpoint's backbone.

    Args:
        checkpoint: Content of a file, in any known layout.

    Returns:
        None if the entries are those of no named RepNeXt, or not all of them.
    """
    state = backbone_part(checkpoint)
    shape = shape_of(state)
    for arch, row in RepNeXt.arch_settings.items():
        if (row.channels, row.depths) != shape:
            continue
        for form, network in _forms_of(arch):
            if compare_keys(state, network).exact:
                return Identity(arch, form)
    return None


def _forms_of(arch: str) -> Iterator[tuple[str, FormAware]]:
    """The network of an architecture in all its forms, without values."""
    with torch.device('meta'):
        training = RepNeXt(arch)
    yield TRAINING, training
    for form in inference_forms(training):
        yield form, training.another_form(form)


def dataset_meta(checkpoint: Mapping[str, Any]) -> dict[str, Any] | None:
    """Finds classes and palette in a checkpoint of mmengine, or of mmdet 2.x and mmseg 0.x.

    Args:
        checkpoint: Content of a file.

    Returns:
        Such as ``dict(classes=..., palette=...)``; None if the checkpoint has neither.
    """
    meta = checkpoint.get('meta') or {}
    found = meta.get('dataset_meta') or {
        name.lower(): meta[name] for name in ('CLASSES', 'PALETTE') if meta.get(name)
    }
    return dict(found) or None
