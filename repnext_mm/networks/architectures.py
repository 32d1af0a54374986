"""The architecture rows of all families."""

from typing import NamedTuple

from repnext_mm.networks import repnext_m, repnext_t
from repnext_mm.networks.family import Family


class Architecture(NamedTuple):
    """A row of the architecture table."""

    family: Family
    channels: tuple[int, ...]
    depths: tuple[int, ...]


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
            the named architecture whose kind of layers it uses (``'tiny'``).

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
    if set(arch) != {'channels', 'depths'} or variant not in ARCHITECTURES:
        raise ValueError(
            "an arch dict has 'channels', 'depths' and optionally 'variant', one of "
            f'{tuple(ARCHITECTURES)}; got keys {tuple(arch)} and variant {variant!r}'
        )
    channels, depths = tuple(arch['channels']), tuple(arch['depths'])
    valid = all(isinstance(number, int) and number > 0 for number in channels + depths)
    if not valid or len(channels) != len(depths) or not channels:
        raise ValueError(
            "'channels' and 'depths' need one positive int per stage each, got "
            f'channels={channels}, depths={depths}'
        )
    return Architecture(ARCHITECTURES[variant].family, channels, depths)
