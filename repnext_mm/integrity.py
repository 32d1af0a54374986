"""Checkpoints that are whole and finite: checksums, NaN and infinity."""

import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

UNREADABLE = (
    zipfile.BadZipFile, zlib.error, struct.error,
    EOFError, OSError, NotImplementedError, RuntimeError, ValueError,
)  # fmt: skip
"""How Python's zip reader fails over damaged bytes: over names, flags and compressed parts, too."""

MOST_LISTED = 3
"""Number of names that a message lists before it only counts them."""


def damage(path: str | Path) -> str | None:
    """Finds out whether the content of a zip archive, as ``torch.save`` writes it, is what was written.

    Reads the whole file. torch itself writes a checksum for each part and does not look at it when
    it reads.

    Args:
        path: Of a file.

    Returns:
        What is wrong with it. None if it is whole, and for files that have no checksums: those of
        other formats, and of a torch that was told to compute none.
    """
    if not zipfile.is_zipfile(path):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            if not any(part.CRC for part in archive.infolist()):
                return None
            part = archive.testzip()
    except UNREADABLE as error:
        return f'it is damaged ({error})'
    return f'it is damaged: its part {part!r} does not match its checksum' if part else None


def not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors that hold NaN or infinity, in order.

    Args:
        tensors: On any devices; each device is waited for once. Integers, and tensors without
            values, are finite.
    """
    flags: dict[torch.device, list[Tensor]] = {}
    names: dict[torch.device, list[str]] = {}
    for name, value in tensors.items():
        if (value.is_floating_point() or value.is_complex()) and not value.is_meta:
            wide = value.detach() if value.element_size() > 1 else value.detach().float()
            flags.setdefault(value.device, []).append(torch.isfinite(wide).all())
            names.setdefault(value.device, []).append(name)
    bad = {
        name
        for device, found in flags.items()
        for name, finite in zip(names[device], torch.stack(found).tolist(), strict=True)
        if not finite
    }
    return [name for name in tensors if name in bad]


def divergence(tensors: Mapping[str, Tensor], meant: Collection[str] = ()) -> str | None:
    """Says which entries of a checkpoint hold NaN or infinity.

    Args:
        tensors: Entries by their names in the model.
        meant: Names of those that the model itself has infinite, such as masks of attention.

    Returns:
        A clause; None if all others are finite.
    """
    bad = [name for name in not_finite(tensors) if name not in meant]
    if not bad:
        return None
    return (
        f'{len(bad)} of its entries hold NaN or infinity, the first is {bad[0]!r}: the training had '
        'diverged when it was written'
    )


def named_tensors(content: object, prefix: str = '') -> Iterator[tuple[str, Tensor]]:
    """Lists the tensors in nested dicts and lists, such as a checkpoint, by dotted names."""
    if isinstance(content, Tensor):
        yield prefix, content
        return
    inner: object = ()
    if isinstance(content, Mapping):
        inner = content.items()
    elif isinstance(content, list | tuple):
        inner = enumerate(content)
    for key, value in inner:  # type: ignore[attr-defined]
        yield from named_tensors(value, f'{prefix}.{key}' if prefix else str(key))


def listed(names: list[str]) -> str:
    """Names for a message: the first ones, and how many more there are."""
    more = f' and {len(names) - MOST_LISTED} more' if len(names) > MOST_LISTED else ''
    return ', '.join(map(repr, names[:MOST_LISTED])) + more
