"""Images that are in two splits, by the hash of their files."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from repnext_mm.checks.data import CheckedData
from repnext_mm.checks.findings import Finding
from repnext_mm.checks.images import Extent
from repnext_mm.checks.wording import of_all

Paths = dict[str, list[str]]


def image_paths(data: CheckedData) -> Paths:
    """Paths of all images of the splits that were read, those that are not there left out."""
    paths: dict[str, dict[str, None]] = defaultdict(dict)
    for leaf, file in data.files:
        folder = leaf.folder('img')
        names = [os.path.join(folder, str(image.get('file_name'))) for image in file.images]  # noqa: PTH118
        paths[leaf.split].update(dict.fromkeys(filter(os.path.isfile, names)))
    for maps in data.label_maps:
        paths[maps.leaf.split].update(dict.fromkeys(maps.images))
    for folder_data in data.folders:
        paths[folder_data.leaf.split].update(dict.fromkeys(folder_data.images))
    return {split: list(found) for split, found in paths.items()}


def shared_images(paths: Paths, extent: Extent) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Pairs of equal files in two splits.

    Files of a size that only one split has are not read. A test split that is the validation
    split again counts once.

    Args:
        paths: Of the images of each split.
        extent: Shows the progress.
    """
    if set(paths.get('test', ())) == set(paths.get('val', ())):
        paths = {split: files for split, files in paths.items() if split != 'test'}
    sizes: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for split, files in paths.items():
        for path in files:
            sizes[Path(path).stat().st_size].append((split, path))
    candidates = [
        entry for entries in sizes.values() if len({s for s, _ in entries}) > 1 for entry in entries
    ]
    hashes: dict[bytes, dict[str, str]] = defaultdict(dict)
    read: dict[str, bytes] = {}
    for split, path in extent.track(candidates, 'images of the same file size in two splits'):
        if path not in read:
            read[path] = hashlib.blake2b(Path(path).read_bytes(), digest_size=16).digest()
        hashes[read[path]].setdefault(split, path)
    shared: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for first, second in combinations(paths, 2):
        pairs = [(e[first], e[second]) for e in hashes.values() if first in e and second in e]
        if pairs:
            shared[first, second] = pairs
    return shared


def report_shared(
    shared: dict[tuple[str, str], list[tuple[str, str]]], paths: Paths
) -> Sequence[Finding]:
    """Warns of images in two splits."""
    return [
        Finding(
            'warning',
            'shared-images',
            f'{second}_dataloader.dataset',
            f'{of_all(len(pairs), len(paths[second]), f"images of {second}")} are also in {first}, '
            f'such as {pairs[0][1]!r} as {pairs[0][0]!r}: results on them say nothing about new '
            'images',
            f'Take them out of {first} or {second}',
        )
        for (first, second), pairs in shared.items()
    ]
