"""Classification data: a folder for each class, or a list of images with labels."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from repnext_mm.checks.dataset import LeafDataset
from repnext_mm.checks.findings import Finding
from repnext_mm.checks.images import (
    Extent,
    loader_of,
    missing_paths,
    open_image,
    report_broken,
    report_missing,
)
from repnext_mm.checks.wording import examples, of_all


@dataclass(frozen=True)
class FolderData:
    """Images of a dataset by their labels, from the names of files alone."""

    leaf: LeafDataset
    place: str
    """Folder, or file with a list."""

    classes: tuple[str, ...] | None
    """Names in the order of the labels; None if nothing names them."""

    counts: Counter[int] = field(default_factory=Counter)
    """How many images each label has."""

    images: list[str] = field(default_factory=list)
    """Paths of all images."""


def check_folders(leaf: LeafDataset, extent: Extent, read: list[FolderData]) -> Iterator[Finding]:
    """Images and labels of one dataset.

    Args:
        leaf: A dataset of images in folders.
        extent: How many images to open.
        read: A list that gets what was found.
    """
    dataset: Any = leaf.dataset
    if not dataset.with_label:
        return
    if dataset.ann_file:
        yield from _check_list(leaf, extent, read)
        return
    folder = Path(dataset.img_prefix)
    names = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith('.'))
    files = {name: _files(folder / name, dataset) for name in names}
    data = FolderData(leaf, str(folder), leaf.classes or tuple(names))
    data.counts.update({label: len(files[name]) for label, name in enumerate(names)})
    read.append(data)
    if leaf.classes and len(leaf.classes) != len(names):
        yield Finding(
            'error',
            'class-folders',
            str(folder),
            f'it has {len(names)} folders ({examples(names)}), and {leaf.key} names '
            f'{len(leaf.classes)} classes ({examples(leaf.classes)})',
            'Name as many classes as there are folders, in their alphabetical order',
        )
    yield from _wrong_order(leaf, folder, names)
    empty = [name for name in names if not files[name]]
    if empty and len(empty) < len(names):
        yield Finding(
            'warning',
            'empty-class',
            str(folder),
            f'{of_all(len(empty), len(names), "class folders")} have no image, such as {empty[0]!r}',
            f'Put images into them, whose names end in {examples(sorted(dataset.extensions), 8)}, or '
            'remove the folders',
        )
    paths = [path for name in names for path in files[name]]
    data.images.extend(paths)
    if not paths:
        yield Finding(
            'error',
            'no-images-left',
            str(folder),
            f'no image is left to use: no file in the folders {examples(names)} ends in '
            f'{examples(sorted(dataset.extensions), 8)}',
            "Make a folder for each class, with its images in it, or set the dataset's extensions",
        )
    yield from _open(leaf, str(folder), paths, extent)


def _files(folder: Path, dataset: Any) -> list[str]:
    """Images of a class, in its folder and those within it."""
    return [
        os.path.join(root, name)  # noqa: PTH118 (fast for a million files)
        for root, _, names in os.walk(folder)
        for name in sorted(names)
        if dataset.is_valid_file(name) and not name.startswith('.')
    ]


def _wrong_order(leaf: LeafDataset, folder: Path, names: list[str]) -> Iterator[Finding]:
    if leaf.classes and sorted(leaf.classes) == names and list(leaf.classes) != names:
        yield Finding(
            'error',
            'class-folders',
            f'{leaf.key}.metainfo.classes',
            f'labels follow the alphabetical order of the folders in {folder} ({examples(names)}), '
            f'and the classes have another order ({examples(leaf.classes)}), so names are wrong',
            f'Write the order of the folders: classes = {tuple(names)!r}',
        )


def _open(leaf: LeafDataset, place: str, paths: list[str], extent: Extent) -> Iterator[Finding]:
    chosen = [paths[i] for i in extent.choose(len(paths))]
    loader = loader_of(leaf)
    opened = [
        open_image(path, loader, extent.every)
        for path in extent.track(chosen, f'images of {place}')
    ]
    yield from report_broken(place, opened)


def _check_list(leaf: LeafDataset, extent: Extent, read: list[FolderData]) -> Iterator[Finding]:
    dataset: Any = leaf.dataset
    lines = Path(dataset.ann_file).read_text(encoding='utf-8').splitlines()
    entries = [line.strip().rsplit(' ', 1) for line in lines if line.strip()]
    wrong = [e for e in entries if len(e) != 2 or not e[1].isdigit()]
    if wrong or not entries:
        example = ' '.join(wrong[0]) if wrong else ''
        yield Finding(
            'error',
            'list-file',
            dataset.ann_file,
            f'{of_all(len(wrong), len(entries), "lines")} do not end in a number, such as '
            f'{example!r}'
            if wrong
            else 'it is empty',
            'Write the path of an image, a space and the number of its class, from 0, on each line',
        )
        return
    data = FolderData(leaf, dataset.ann_file, leaf.classes)
    data.counts.update(int(label) for _, label in entries)
    read.append(data)
    beyond = sorted(label for label in data.counts if leaf.classes and label >= len(leaf.classes))
    if beyond:
        yield Finding(
            'error',
            'list-file',
            dataset.ann_file,
            f'the labels {examples(beyond, 8)} are beyond the {len(leaf.classes or ())} classes, '
            'which count from 0',
            'Count labels from 0, or name all classes in metainfo',
        )
    paths = [os.path.join(dataset.img_prefix, path) for path, _ in entries]  # noqa: PTH118
    missing = missing_paths(paths)
    yield from report_missing(dataset.ann_file, missing, len(paths), 'the list and data_prefix')
    absent = set(missing)
    data.images.extend(path for path in paths if path not in absent)
    yield from _open(leaf, dataset.ann_file, data.images, extent)


def check_same_folders(datas: Sequence[FolderData]) -> Iterator[Finding]:
    """All splits have the same folders, as labels are their positions."""
    named = [data for data in datas if data.classes and not data.leaf.classes]
    for data in named[1:]:
        first, own = named[0].classes or (), data.classes or ()
        if own != first:
            here, there = [n for n in own if n not in first], [n for n in first if n not in own]
            only = [f'{examples(here)} is here alone'] if here else []
            only += [f'{examples(there)} is there alone'] if there else []
            yield Finding(
                'error',
                'class-folders',
                data.place,
                f'it has other class folders than {named[0].place}, so that labels mean different '
                f'things: {" and ".join(only)}',
                'Make the same folders in both, empty ones too; the label of a class is the position '
                'of its folder in alphabetical order',
            )


def check_occurrence_of_images(datas: Sequence[FolderData]) -> Iterator[Finding]:
    """Every class that the config names has images to train on."""
    trained = [data for data in datas if data.leaf.trained and data.classes]
    for data in trained[:1]:
        classes = data.classes or ()
        counts = sum((d.counts for d in trained), Counter())
        absent = [name for number, name in enumerate(classes) if not counts[number]]
        if absent and len(absent) < len(classes):
            yield Finding(
                'warning',
                'absent-classes',
                ', '.join(d.place for d in trained),
                f'{of_all(len(absent), len(classes), "classes")} never occur in the training '
                f'data, so the network cannot learn them: {examples(absent)}',
                'Add images of them, or leave them out of the classes',
            )
