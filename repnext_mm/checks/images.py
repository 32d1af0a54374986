"""Images of a dataset: are they there, can they be read, and how large are they once loaded."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from repnext_mm.checks.dataset import LeafDataset
from repnext_mm.checks.findings import Finding
from repnext_mm.checks.sampling import OPENED_FILES, evenly_spaced
from repnext_mm.checks.wording import examples, of_all
from repnext_mm.config_dicts import type_name
from repnext_mm.datasets.annotation_file import AnnotationFile

ORIENTATION = 0x0112
"""Tag of EXIF; 1 is upright, 5 to 8 exchange width and height."""


def _untracked(items: Sequence, title: str) -> Iterable:
    return items


@dataclass(frozen=True)
class Extent:
    """How much of the data is looked at."""

    every: bool = False
    """All images and label maps, whole, or the headers of some."""

    track: Callable[[Sequence, str], Iterable] = field(default=_untracked)
    """Gives the items again and shows under a title how many are done."""

    def choose(self, total: int) -> list[int]:
        """Indices of the images to open."""
        return evenly_spaced(total, total if self.every else OPENED_FILES).tolist()


class ImageLoader(NamedTuple):
    """How a pipeline reads image files."""

    flag: str = 'color'
    backend: str = 'cv2'


class OpenedImage(NamedTuple):
    """What a look at an image file gave."""

    path: str
    size: tuple[int, int] | None
    """Width and height as the pipeline loads it; None if it cannot be read."""

    orientation: int = 1
    """Of its EXIF data."""

    trouble: str = ''


def loader_of(leaf: LeafDataset) -> ImageLoader | None:
    """How the pipeline of a dataset reads images; None if with a transform of somebody's own."""
    steps = [step for step in leaf.steps() if type_name(step) == 'LoadImageFromFile']
    if not steps:
        return None
    step = steps[0]
    return ImageLoader(step.get('color_type', 'color'), step.get('imdecode_backend', 'cv2'))


def open_image(path: str, loader: ImageLoader | None, whole: bool = False) -> OpenedImage:
    """Finds out the size of an image as it is loaded, from its header where that is enough.

    Args:
        path: Of the image.
        loader: How the pipeline reads it; None for as it is stored.
        whole: Whether to read all of its pixels, which finds files that are cut off.
    """
    size: tuple[int, int] | None
    try:
        with Image.open(path) as image:
            size, orientation = image.size, 1
            if image.format != 'PNG' or 'exif' in image.info:  # else Pillow reads all of a PNG
                orientation = image.getexif().get(ORIENTATION, 1)
            if whole:
                image.load()
    except Exception as error:  # of the many that broken files raise
        if whole or loader is None or Path(path).stat().st_size == 0:
            return OpenedImage(path, None, trouble=str(error))
        orientation = 0  # a format that Pillow lacks
    if loader is None or orientation == 1:
        return OpenedImage(path, size)
    import mmcv

    try:
        loaded = mmcv.imfrombytes(Path(path).read_bytes(), loader.flag, backend=loader.backend)
        height, width = loaded.shape[:2]
    except Exception as error:
        return OpenedImage(path, None, trouble=str(error))
    return OpenedImage(path, (width, height), orientation)


@lru_cache(maxsize=4096)
def names_in(folder: str) -> frozenset[str]:
    """Names of the files in a folder; none if there is no such folder."""
    try:
        with os.scandir(folder or '.') as entries:
            return frozenset(entry.name for entry in entries)
    except OSError:
        return frozenset()


def missing_paths(paths: Iterable[str]) -> list[str]:
    """Those files that are not there; each folder is listed once, which is fast on any disk."""
    names_in.cache_clear()
    split = ((path, *os.path.split(path)) for path in paths)  # pathlib is slow for many
    return [path for path, folder, name in split if name not in names_in(folder)]


def similar_file(path: str) -> str | None:
    """A file of the same name with another suffix, or other capital letters, if there is one."""
    stem = Path(path).stem.casefold()
    names = sorted(names_in(str(Path(path).parent)))
    return next((name for name in names if Path(name).stem.casefold() == stem), None)


def check_coco_images(leaf: LeafDataset, file: AnnotationFile, extent: Extent) -> Iterator[Finding]:
    """Images that an annotation file lists: there, readable, and of the size in the file.

    Args:
        leaf: A dataset of the file.
        file: The file.
        extent: How many images to open.
    """
    folder = leaf.folder('img')
    names = [str(image.get('file_name')) for image in file.images]
    paths = [os.path.join(folder, name) for name in names]  # noqa: PTH118 (names may be absolute)
    missing = missing_paths(paths)
    yield from report_missing(file.path, missing, len(paths), 'file_name and data_prefix')
    absent = set(missing)
    chosen = [i for i in extent.choose(len(paths)) if paths[i] not in absent]
    loader = loader_of(leaf)
    opened = {
        i: open_image(paths[i], loader, extent.every)
        for i in extent.track(chosen, f'images of {file.path}')
    }
    yield from report_broken(file.path, list(opened.values()))
    if loader is not None:
        sizes = {i: tuple(file.sizes[i].tolist()) for i in opened}
        yield from _sizes(file, opened, sizes)


def report_missing(place: str, missing: list[str], total: int, setting: str) -> Iterator[Finding]:
    """Says that files are missing, and what else lies there.

    Args:
        place: The file or folder that lists them.
        missing: Their paths.
        total: How many there should be.
        setting: What in file or config makes the paths.
    """
    if not missing:
        return
    folder = Path(missing[0]).parent
    similar = similar_file(missing[0])
    if similar:
        remedy = f'There is {similar!r} in its place: correct the suffix or the name in the list'
    elif (folder / Path(missing[0]).name).parent.is_dir():
        has = examples(sorted(names_in(str(folder))))
        remedy = f'Correct {setting}; the folder {str(folder)!r} has {has or "nothing in it"}'
    else:
        remedy = f'Correct {setting}: there is no folder {str(folder)!r}'
    yield Finding(
        'error',
        'missing-images',
        place,
        f'{of_all(len(missing), total, "images")} are not there, such as {missing[0]!r}',
        remedy,
    )


def report_broken(place: str, opened: Sequence[OpenedImage]) -> Iterator[Finding]:
    """Says which of the opened images cannot be read."""
    broken = [image for image in opened if image.size is None]
    if broken:
        yield Finding(
            'error',
            'broken-image',
            place,
            f'{of_all(len(broken), len(opened), "opened images")} cannot be read: '
            f'{broken[0].path!r} ({broken[0].trouble})',
            'Copy them anew, or take them out of the list',
        )


def _sizes(
    file: AnnotationFile, opened: dict[int, OpenedImage], sizes: dict[int, tuple]
) -> Iterator[Finding]:
    readable = {
        i: image for i, image in opened.items() if image.size and sizes[i][0] == sizes[i][0]
    }
    wrong = {i: image for i, image in readable.items() if image.size != sizes[i]}
    if wrong:
        i, image = next(iter(wrong.items()))
        width, height = sizes[i]
        turned = image.orientation > 4 and image.size == (height, width)
        why = f', as its EXIF orientation {image.orientation} turns it' if turned else ''
        yield Finding(
            'error',
            'image-size',
            file.path,
            f'{of_all(len(wrong), len(readable), "opened images")} have another size when they are '
            f'loaded: {image.path!r} has width {width:.0f} and height {height:.0f} in the file and '
            f'is loaded with {"x".join(map(str, image.size or ()))} pixels{why}',
            MEND_ORIENTATION
            if turned
            else 'Correct width and height, and boxes and masks, in the file',
        )
    mirrored = [image for image in readable.values() if image.orientation in (2, 3, 4)]
    turned_well = [i for i, image in readable.items() if image.orientation > 4 and i not in wrong]
    if mirrored and not turned_well and not wrong:
        yield Finding(
            'warning',
            'orientation',
            file.path,
            f'{of_all(len(mirrored), len(readable), "opened images")} are turned or mirrored when '
            f'they are loaded, such as {mirrored[0].path!r} by its EXIF orientation '
            f'{mirrored[0].orientation}',
            'Make sure that its boxes are those of the turned photo, as image viewers show it; '
            'if not, write the images without EXIF data',
        )


MEND_ORIENTATION = (
    'If boxes fit the pixels as they are stored, write the images without their EXIF orientation; '
    'if they fit the photo as viewers show it, exchange width and height in the file'
)
