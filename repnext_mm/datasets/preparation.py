"""From an archive to a folder that the configs can read: all of it, or nothing."""

import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from repnext_mm.datasets.label_maps import IGNORED
from repnext_mm.datasets.nuclei import prepare_nuclei
from repnext_mm.files import draft_folder, replaced_folder

CAMVID_VOID = 11
"""Label of pixels that belong to no class, in the files of the archive."""


BROKEN_ARCHIVE = (tarfile.TarError, gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError)
"""What reading an archive raises that is none, is damaged, or writes outside of its folder."""


class Dataset(NamedTuple):
    """How to prepare a data set."""

    folder: str
    """Name of its folder below the folder of all data sets."""

    needed: tuple[str, ...]
    """Folders that the archive must contain."""

    prepare: Callable[[Path, Path], Mapping[str, int]]
    """From the unpacked archive to the folder; gives numbers to tell the user."""


def prepare_dataset(name: str, archive: Path, data: Path) -> tuple[Path, Mapping[str, int]]:
    """Unpacks and converts a data set.

    Args:
        name: A key of :data:`DATASETS`.
        archive: A ``.tar`` file, compressed or not.
        data: Folder of all data sets, which is made.

    Returns:
        The folder of the data set, and how much of what is in it.

    Raises:
        ValueError: If there is no such data set, or the archive is none, is damaged, writes outside
            of its folder, or contains another data set.
        FileNotFoundError: If there is no archive.
        FileExistsError: If the folder of the data set is there already.
    """
    if name not in DATASETS:
        raise ValueError(f'unknown data set {name!r}: choose from {", ".join(DATASETS)}')
    if not archive.is_file():
        raise FileNotFoundError(f'there is no archive {archive}: name the .tar.gz of {name}')
    dataset = DATASETS[name]
    target = data / dataset.folder
    if target.exists():
        raise FileExistsError(f'{target} is there already: remove it to prepare {name} again')
    with replaced_folder(target) as draft, draft_folder(data) as unpacked:
        _unpack(archive, unpacked)
        missing = [part for part in dataset.needed if not (unpacked / part).is_dir()]
        if missing:
            raise ValueError(f'{archive} is no archive of {name}: it lacks {", ".join(missing)}')
        draft.rmdir()  # preparations make it
        numbers = dataset.prepare(unpacked, draft)
    return target, numbers


def _unpack(archive: Path, folder: Path) -> None:
    """Unpacks all of an archive, and reads it to its end, where its checksum stands."""
    try:
        with tarfile.open(archive) as file:
            file.extractall(folder, filter='data')
            while file.fileobj and file.fileobj.read(1 << 20):
                pass  # damage that looks like the end of the list is told by the checksum behind it
    except BROKEN_ARCHIVE as error:
        raise ValueError(
            f'{archive} is no archive that can be unpacked ({error}): download it again'
        ) from error


def prepare_cifar10(unpacked: Path, target: Path) -> dict[str, int]:
    """CIFAR-10 is as mmpretrain's ``CustomDataset`` reads it: a folder for each class."""
    unpacked.replace(target)
    return {split: sum(1 for _ in (target / split).glob('*/*')) for split in ('train', 'test')}


def prepare_camvid(unpacked: Path, target: Path) -> dict[str, int]:
    """CamVid as mmseg's ``BaseSegDataset`` reads it; pixels of no class become :data:`IGNORED`."""
    (unpacked / 'camvid').replace(target)
    for path in (target / 'annotations').rglob('*.png'):
        with Image.open(path) as image:
            labels = np.array(image)
        labels[labels == CAMVID_VOID] = IGNORED
        Image.fromarray(labels).save(path)
    return {
        split: sum(1 for _ in (target / 'images' / split).iterdir()) for split in ('train', 'val')
    }


DATASETS = {
    'cifar10': Dataset('cifar10', ('train', 'test'), prepare_cifar10),
    'nuclei': Dataset('nuclei', ('nuclei',), prepare_nuclei),
    'camvid': Dataset('camvid', ('camvid/images', 'camvid/annotations'), prepare_camvid),
}
