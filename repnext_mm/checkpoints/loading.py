"""From a config and a checkpoint to a model, and a report on the checkpoint's entries."""

from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

from repnext_mm.integrity import divergence, not_finite
from repnext_mm.reparam import KeyReport


def report_loading(state: Mapping[str, Tensor], model: nn.Module) -> KeyReport:
    """Loads a state dict and reports which entries were loaded, missing and unexpected.

    Args:
        state: Entries for the model, by name.
        model: A model that is changed.

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
    """Loads some parts of a model, of which no entry may be missing.

    Args:
        model: Of mmdet, mmseg or mmpretrain.
        source: Path or URL of a checkpoint, in any known layout.
        parts: Names of attributes, such as ``'backbone'``; none for the whole model. Names that
            the model lacks are left out.

    Returns:
        The whole content of the file.

    Raises:
        ValueError: If an entry is missing or not finite.
        RuntimeError: If an entry has another shape.
    """
    checkpoint = CheckpointLoader.load_checkpoint(source, map_location='cpu')
    entries = checkpoint.get('state_dict', checkpoint)
    prefixes = tuple(f'{part}.' for part in parts) or ('',)
    state = OrderedDict(
        (name.removeprefix('module.'), value)
        for name, value in entries.items()
        if name.removeprefix('module.').startswith(prefixes)
    )
    state._metadata = getattr(entries, '_metadata', {})  # type: ignore[attr-defined]
    check_finite(state, not_finite(model.state_dict()), source)
    missing = [name for name in report_loading(state, model).missing if name.startswith(prefixes)]
    if missing:
        raise ValueError(
            f'{source} lacks {len(missing)} entries of {", ".join(parts) or "the model"}, such as '
            f'{missing[0]!r}: is it of another config, or of a backbone alone?'
        )
    return checkpoint


def check_finite(state: Mapping[str, Tensor], meant: Collection[str], source: str) -> None:
    """Makes sure that no entry of a checkpoint holds NaN or infinity.

    Args:
        state: Entries by the names that they have in the model.
        meant: Names of those that the model has infinite as it is built.
        source: Name of the file.

    Raises:
        ValueError: If one does; the message names the first.
    """
    if problem := divergence(state, meant):
        raise ValueError(f'{source} is of no use: {problem}. Take an earlier checkpoint')


def build_model(cfg: Config) -> BaseModel:
    """Builds the model of a config, on the CPU, in mmengine's current default scope."""
    model_cfg = dict(cfg.model)
    if 'data_preprocessor' in cfg:  # where mmpretrain's configs have it
        model_cfg.setdefault('data_preprocessor', cfg.data_preprocessor)
    return MODELS.build(model_cfg)
