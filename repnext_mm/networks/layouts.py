"""Checkpoints of other layouts as OpenMMLab's: pure functions of what a file holds.

Known layouts, of both families and of merged networks too:

- the official ImageNet files of RepNeXt-M: ``{'model': {'stem...', 'stages...', 'head...'}}``;
- timm's, which the official StarNet recipe writes: ``state_dict`` and ``state_dict_ema``;
- detectors and segmentors of mmdet 2.x and mmseg 0.x: as today's, with other metadata;
- a state dict of the backbone alone.

The layout that they become is mmpretrain's: ``{'state_dict': {'backbone...', 'head...'}}``.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

StateDict = Mapping[str, Tensor]

WRAPPERS = ('state_dict_ema', 'state_dict', 'model')
"""Keys under which files keep their weights, the most accurate first: timm evaluates the EMA."""

PARALLEL = ('module.', '_orig_mod.')
"""Prefixes that DataParallel and ``torch.compile`` put in front of names."""

BACKBONE = 'backbone.'
HEAD = 'head.'
SIGNATURE = re.compile(r'stages\.0\.blocks\.0\.(expand\.|token_mixer\.conv_l\.)')
"""An entry that every RepNeXt has, in every form, and no other network known."""

CHANNELS = re.compile(
    r'stages\.(\d+)\.blocks\.(\d+)\.(?:project|channel_mixer\.2(?:\.conv)?)\.weight'
)
"""The last convolution of a block; its first dimension is the number of channels."""


class Shape(NamedTuple):
    """Channels and depths of an architecture, as names and shapes in a state dict tell them."""

    channels: tuple[int, ...]
    depths: tuple[int, ...]


def unwrap(checkpoint: Mapping[str, Any]) -> StateDict:
    """The state dict in what a file holds, without the names of wrappers."""
    state: Mapping[str, Any] = checkpoint
    for key in WRAPPERS:
        if isinstance(checkpoint.get(key), Mapping):
            state = checkpoint[key]
            break
    while any(state and all(str(n).startswith(prefix) for n in state) for prefix in PARALLEL):
        state = {name.partition('.')[2]: value for name, value in state.items()}
    return state


def to_openmmlab(checkpoint: Any) -> Any:
    """A RepNeXt checkpoint of any known layout as OpenMMLab's.

    Idempotent. Everything else is returned as it is, the very object: checkpoints of
    other networks, and those that have the layout already.

    Args:
        checkpoint: The content of a file.

    Returns:
        ``{'state_dict': ..., 'meta': ...}``: entries of the backbone start with
        ``'backbone.'``, those of classifiers keep ``'head.'``. What else the file
        holds, such as an optimizer of another framework, is left out.
    """
    if not isinstance(checkpoint, Mapping):
        return checkpoint
    state = unwrap(checkpoint)
    if not all(isinstance(name, str) for name in state):
        return checkpoint
    if any(SIGNATURE.match(name) for name in state):
        state = {n if n.startswith(HEAD) else BACKBONE + n: v for n, v in state.items()}
    elif state is checkpoint.get('state_dict') or not any(
        SIGNATURE.match(name.removeprefix(BACKBONE)) for name in state
    ):
        return checkpoint
    return dict(state_dict=state, meta=dict(checkpoint.get('meta') or {}))


def backbone_part(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The entries of the backbone, under its own names, from any known layout. Idempotent."""
    state = unwrap(checkpoint)
    if any(name.startswith(BACKBONE) for name in state):
        return {
            name.removeprefix(BACKBONE): value
            for name, value in state.items()
            if name.startswith(BACKBONE)
        }
    return {name: value for name, value in state.items() if not name.startswith(HEAD)}


def classifier_part(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The entries of a classifier, those of its backbone under the backbone's own names. Idempotent."""
    head = {name: value for name, value in unwrap(checkpoint).items() if name.startswith(HEAD)}
    return backbone_part(checkpoint) | head


def shape_of(state: StateDict) -> Shape:
    """Channels and depths of a backbone, in any form; empty if it is no RepNeXt.

    Args:
        state: What :func:`backbone_part` returns.
    """
    channels: dict[int, int] = {}
    depths: dict[int, int] = {}
    for name, value in state.items():
        if match := CHANNELS.fullmatch(name):
            stage, block = map(int, match.groups())
            channels[stage] = len(value)
            depths[stage] = max(depths.get(stage, 0), block + 1)
    stages = sorted(channels)
    return Shape(tuple(channels[i] for i in stages), tuple(depths[i] for i in stages))
