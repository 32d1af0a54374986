"""Data sets of other formats, converted as a whole or not at all."""

import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from repnext_mm.datasets.annotations import (
    BadInputError,
    ImageSize,
    Item,
    Listing,
    image_size,
    size_of,
)
from repnext_mm.datasets.classes_file import CLASSES_FILE, Classes, classes_named, write_classes
from repnext_mm.datasets.coco import CocoWriter, cut
from repnext_mm.datasets.label_maps import (
    IGNORED,
    LabelMapItem,
    LabelTable,
    label_table,
    list_label_maps,
    read_labels,
)
from repnext_mm.datasets.readers import DATASET_READERS
from repnext_mm.datasets.splits import choose_split, fitting_shares
from repnext_mm.datasets.tiles import tiles_of
from repnext_mm.files import replaced_folder, write_text

LABEL_MAPS = 'label-maps'
SOURCE_FORMATS = (*DATASET_READERS, LABEL_MAPS)
LISTED_PROBLEMS = 6
"""Problems that a message lists."""

ItemProgress = Callable[[Sequence[Any]], Iterable[Any]]


class ConversionError(ValueError):
    """Files that cannot be converted.

    Attributes:
        problems: One for each of them.
    """

    def __init__(self, problems: Sequence[BadInputError]) -> None:
        self.problems = list(problems)
        lines = [f'- {problem}' for problem in self.problems[:LISTED_PROBLEMS]]
        more = len(self.problems) - LISTED_PROBLEMS
        lines += [f'- and {more} more'] if more > 0 else []
        text = f'{len(self.problems)} file(s) cannot be converted, and nothing was written:'
        last = 'Or leave these files out with --skip-bad.'
        super().__init__('\n'.join([text, *lines, last]))


@dataclass
class Options:
    """What a user says of a conversion."""

    format: str
    """Of :data:`SOURCE_FORMATS`."""

    classes: Sequence[str] = ()
    """Names, or the path of a file of names and colours."""

    val: float | None = None
    test: float | None = None
    """Shares of images; see :func:`repnext_mm.datasets.splits.fitting_shares`."""

    tile: int | None = None
    """Side of the tiles that large images are cut into, in pixels; None to leave them whole."""

    values: Sequence[int] = ()
    ignore: Sequence[str] = ()
    """Of label maps; see :func:`repnext_mm.datasets.label_maps.label_table`."""

    skip_bad: bool = False
    """Leave out what cannot be converted."""


@dataclass
class ConversionReport:
    """What was written."""

    classes: tuple[str, ...]
    images: Counter[str] = field(default_factory=Counter)
    """Numbers by split."""

    labels: Counter[str] = field(default_factory=Counter)
    """Objects, or pixels of label maps, by class."""

    skipped: list[BadInputError] = field(default_factory=list)

    @property
    def absent(self) -> list[str]:
        """Classes that nothing belongs to."""
        return [name for name in self.classes if not self.labels[name]]


def convert_dataset(
    source: Path, target: Path, options: Options, progress: ItemProgress = iter
) -> ConversionReport:
    """Converts a data set to COCO's instances, or to the folders of mmseg for label maps.

    Objects go to ``SPLIT/`` and ``annotations/instances_SPLIT.json``, label maps to
    ``images/SPLIT/``, ``annotations/SPLIT/`` and ``classes.txt``.

    Args:
        source: Folder of the data set.
        target: Folder to make.
        options: What the user says of it.
        progress: Wraps the list of images, to show how far it is.

    Raises:
        ValueError: If the folder holds nothing of this format, or an option does not fit it.
        ConversionError: If files are bad, unless they are to be left out.
        FileNotFoundError: If there is no such folder.
        FileExistsError: If the target is there already.
    """
    if options.format not in SOURCE_FORMATS:
        raise ValueError(
            f'unknown format {options.format!r}: choose from {", ".join(SOURCE_FORMATS)}'
        )
    if not source.is_dir():
        raise FileNotFoundError(f'there is no folder {source}: name the one of the data set')
    if target.exists():
        raise FileExistsError(f'{target} is there already: remove it, or name another folder')
    classes = classes_named(options.classes)
    if options.format == LABEL_MAPS:
        if options.tile:
            raise ValueError('--tile is for objects: mmseg crops label maps in training')
        return _convert_label_maps(source, target, classes, options, progress)
    found = DATASET_READERS[options.format](source, classes.names if classes else ())
    return _convert_instances(found, target, options, progress)


def _convert_instances(
    source: Listing, target: Path, options: Options, progress: ItemProgress
) -> ConversionReport:
    report = ConversionReport(source.classes or (), skipped=list(source.problems))
    writers: dict[str, CocoWriter] = defaultdict(CocoWriter)
    names: Counter[str] = Counter()
    pairs = list(zip(source.items, _splits(source.items, options), strict=True))
    with replaced_folder(target) as draft:
        for item, split in progress(pairs):
            try:
                size = image_size(item.image)
                instances = item.read(size)
                _check_unique(item, split, names)
            except BadInputError as error:
                report.skipped.append(error)
                continue
            report.labels.update(instance.label for instance in instances)
            for name, part_size, inside in _parts(
                item, split, size, instances, draft, options.tile
            ):
                writers[split].add(name, part_size, inside)
                report.images[split] += 1
        _stop_for(report.skipped, options)
        if not report.labels:
            raise ValueError('no image has an object: is this the format of the data set?')
        report.classes += tuple(sorted(set(report.labels) - set(report.classes)))
        _check_splits(report)
        for split, writer in writers.items():
            path = draft / 'annotations' / f'instances_{split}.json'
            write_text(path, json.dumps(writer.as_dict(report.classes)))
    return report


def _parts(
    item: Item, split: str, size: ImageSize, instances: list, draft: Path, tile: int | None
) -> Iterator[tuple[str, ImageSize, list]]:
    """Copies an image, or its tiles, and gives the name, size and objects of each."""
    tiles = list(tiles_of(size, tile)) if tile else []
    if len(tiles) < 2:
        _copy(item.image, draft / split / item.name)
        yield item.name, size, instances
        return
    with Image.open(item.image) as image:
        pixels = np.array(ImageOps.exif_transpose(image).convert('RGB'))
    for number, part in enumerate(tiles):
        name = f'{Path(item.name).with_suffix("").as_posix()}_{number}.png'
        (draft / split / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[part]).save(draft / split / name)
        yield name, size_of(pixels[part]), cut(instances, size, part)


def _convert_label_maps(
    source: Path, target: Path, classes: Classes | None, options: Options, progress: ItemProgress
) -> ConversionReport:
    items, problems = list_label_maps(source)
    if classes is None and (source / CLASSES_FILE).is_file():
        classes = classes_named([str(source / CLASSES_FILE)])
    if classes is None:
        raise ValueError(
            f'{source} has no {CLASSES_FILE}: name the classes of the values 0, 1, 2 ... with --classes A B C'
        )
    table = label_table(classes, options.values, options.ignore)
    one_suffix = len({item.image.suffix for item in items}) == 1
    report = ConversionReport(table.classes.names, skipped=problems)
    names: Counter[str] = Counter()
    with replaced_folder(target) as draft:
        for item, split in progress(list(zip(items, _splits(items, options), strict=True))):
            try:
                _check_unique(item, split, names)
                labels = _write_label_map(item, split, draft, table, one_suffix)
            except BadInputError as error:
                report.skipped.append(error)
                continue
            report.images[split] += 1
            counts = np.bincount(labels.ravel(), minlength=IGNORED + 1).tolist()
            report.labels.update(dict(zip(report.classes, counts, strict=False)))
        _stop_for(report.skipped, options)
        _check_splits(report)
        write_classes(draft / CLASSES_FILE, table.classes)
    return report


def _write_label_map(
    item: LabelMapItem, split: str, draft: Path, table: LabelTable, one_suffix: bool
) -> np.ndarray:
    """Writes an image and its labels; as PNG if the images of the data set have several suffixes."""
    labels = read_labels(item.labels, table, image_size(item.image))
    target = draft / 'images' / split / (item.name + (item.image.suffix if one_suffix else '.png'))
    if one_suffix:
        _copy(item.image, target)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(item.image) as image:
            ImageOps.exif_transpose(image).convert('RGB').save(target)
    path = draft / 'annotations' / split / f'{item.name}.png'
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels).save(path)
    return labels


def _splits(items: Sequence[Item] | Sequence[LabelMapItem], options: Options) -> list[str]:
    """The split of each item: its own, or one by the hash of its name."""
    there = {item.split for item in items if item.split}
    shares = fitting_shares(there, options.val, options.test)
    chosen = []
    for item in items:
        free = item.split is None or item.split == 'train'
        split = choose_split(item.name, shares) if free and any(shares) else item.split
        chosen.append(split or 'train')
    return chosen


def _check_unique(item: Item | LabelMapItem, split: str, names: Counter[str]) -> None:
    key = f'{split}/{item.name}'
    names[key] += 1
    if names[key] > 1:
        raise BadInputError(
            item.image, f'has the name of another image, {key}', 'Rename one of them.'
        )


def _stop_for(problems: list[BadInputError], options: Options) -> None:
    if problems and not options.skip_bad:
        raise ConversionError(problems)


def _check_splits(report: ConversionReport) -> None:
    """Makes sure that there is something to train and to validate on."""
    for split in ('train', 'val'):
        if not report.images[split]:
            numbers = ', '.join(f'{name}: {count}' for name, count in report.images.items())
            raise ValueError(
                f'no image is in the split {split} ({numbers}): choose other shares with --val and '
                '--test, or put images into a folder of that name'
            )


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
