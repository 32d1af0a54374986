"""What a checkpoint is of: the architecture and the form, entry by entry."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from repnext_mm.models import RepNeXt
from repnext_mm.networks.layouts import backbone_part, shape_of
from repnext_mm.reparam import TRAINING, compare_keys, inference_forms


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
            if compare_keys(state, training.another_form(form or TRAINING)).exact:
                return Identity(arch, form)
    return None


def dataset_meta(checkpoint: Mapping[str, Any]) -> dict[str, Any] | None:
    """Classes and palette from a checkpoint of mmengine, or of mmdet 2.x and mmseg 0.x."""
    meta = checkpoint.get('meta') or {}
    found = meta.get('dataset_meta') or {
        name.lower(): meta[name] for name in ('CLASSES', 'PALETTE') if meta.get(name)
    }
    return dict(found) or None
