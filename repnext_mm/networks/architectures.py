"""The architecture rows of all families."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from repnext_mm.networks import repnext_m, repnext_t
from repnext_mm.networks.family import Family
from repnext_mm.reparam.arguments import are_whole

Widths = tuple[tuple[int, ...], ...]
"""Numbers of channels inside each stage, in the order in which its layers run."""


class Architecture(NamedTuple):
    """A row of the architecture table."""

    family: Family
    channels: tuple[int, ...]
    depths: tuple[int, ...]

    hidden_channels: Widths | None = None
    """Widths between the first and the last convolution of each layer that has such; None for the
    family's own. RepNeXt-T's blocks have them; RepNeXt-M's stem, downsampling layers and blocks."""

    input_channels: Widths | None = None
    """Widths at which the blocks begin, where these are not the stage's. Such a network has no
    residual connections, so it is built in the form ``'plain'`` and has no other."""


TINY = ((96, 192, 384, 768), (3, 3, 9, 3))
SMALL = ((96, 192, 384, 768), (3, 3, 27, 3))
BASE = ((128, 256, 512, 1024), (3, 3, 27, 3))

ARCHITECTURES = {
    'tiny': Architecture(repnext_t.family(repnext_t.V1), *TINY),
    'tiny_v2': Architecture(repnext_t.family(repnext_t.V2), *TINY),
    'tiny_v3': Architecture(repnext_t.family(repnext_t.V3), *TINY),
    'convnext_er_tiny': Architecture(repnext_t.family(repnext_t.ER), *TINY),
    'small': Architecture(repnext_t.family(repnext_t.V1), *SMALL),
    'base': Architecture(repnext_t.family(repnext_t.V1), *BASE),
    'm0': Architecture(repnext_m.FAMILY, (40, 80, 160, 320), (2, 2, 9, 1)),
    'm1': Architecture(repnext_m.FAMILY, (48, 96, 192, 384), (3, 3, 15, 2)),
    'm2': Architecture(repnext_m.FAMILY, (56, 112, 224, 448), (3, 3, 15, 2)),
    'm3': Architecture(repnext_m.FAMILY, (64, 128, 256, 512), (3, 3, 13, 2)),
    'm4': Architecture(repnext_m.FAMILY, (64, 128, 256, 512), (5, 5, 25, 4)),
    'm5': Architecture(repnext_m.FAMILY, (80, 160, 320, 640), (7, 7, 35, 2)),
}


def resolve_architecture(arch: str | dict) -> Architecture:
    """Looks an architecture up, or makes one from a dict.

    Args:
        arch: A name from :data:`ARCHITECTURES`; or a dict with ``channels`` and
            ``depths``, one positive int per stage each, and optionally ``variant``,
            the named architecture whose kind of layers it uses (``'tiny'``). Of a pruned
            network also ``hidden_channels`` and ``input_channels``, one sequence of
            positive ints per stage each; see :class:`Architecture`.

    Raises:
        ValueError: If the name or a value of the dict is not valid.
        TypeError: If ``arch`` is neither a string nor a dict.
    """
    if isinstance(arch, dict):
        return _architecture_from_dict(dict(arch))
    if not isinstance(arch, str):
        raise TypeError(f'arch must be a name or a dict, got {arch!r}')
    if arch not in ARCHITECTURES:
        raise ValueError(
            f'unknown arch {arch!r}: choose from {tuple(ARCHITECTURES)}, or pass a dict with '
            "'channels' and 'depths'"
        )
    return ARCHITECTURES[arch]


def _architecture_from_dict(arch: dict) -> Architecture:
    variant = arch.pop('variant', 'tiny')
    widths = {name: arch.pop(name, None) for name in ('hidden_channels', 'input_channels')}
    known = isinstance(variant, str) and variant in ARCHITECTURES
    if set(arch) != {'channels', 'depths'} or not known:
        raise ValueError(
            "an arch dict has 'channels', 'depths' and optionally 'variant', one of "
            f"{tuple(ARCHITECTURES)}, 'hidden_channels' and 'input_channels'; got keys "
            f'{tuple(arch)} and variant {variant!r}'
        )
    channels, depths = arch['channels'], arch['depths']
    positive = are_whole(channels, 1) and are_whole(depths, 1)
    if not positive or len(channels) != len(depths) or not channels:
        raise ValueError(
            "'channels' and 'depths' need one positive int per stage each, got "
            f'channels={channels!r}, depths={depths!r}'
        )
    channels, depths = tuple(channels), tuple(depths)
    family = ARCHITECTURES[variant].family
    entries = int(family.hidden_in_entries)
    hidden = _checked_widths(
        'hidden_channels', widths['hidden_channels'], [depth + entries for depth in depths]
    )
    inputs = _checked_widths('input_channels', widths['input_channels'], depths)
    if inputs and (family.build_plain_block is None or hidden is None):
        raise ValueError(
            "'input_channels' describes a pruned network in the form 'plain': it needs "
            f"'hidden_channels' too, and a variant that has that form, got {variant!r}"
        )
    return Architecture(family, channels, depths, hidden, inputs)


def _checked_widths(name: str, widths: Any, counts: Sequence[int]) -> Widths | None:
    """Widths of every stage as tuples.

    Raises:
        ValueError: If they are not so many positive ints per stage.
    """
    if widths is None:
        return None
    nested = isinstance(widths, list | tuple) and all(are_whole(stage, 1) for stage in widths)
    if not nested or [len(stage) for stage in widths] != list(counts):
        raise ValueError(
            f'{name!r} needs {tuple(counts)} positive ints for the stages of this architecture, '
            f'got {widths!r}'
        )
    return tuple(tuple(stage) for stage in widths)
