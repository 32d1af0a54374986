"""The label maps of a dataset that were read, as counts of values."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from repnext_mm.checks.dataset import LeafDataset
from repnext_mm.checks.images import Extent
from repnext_mm.checks.label_map_file import LabelMap, label_of, read_label_map
from repnext_mm.checks.sampling import OPENED_FILES, spread
from repnext_mm.config_dicts import type_name

SECONDS_FOR_LABELS = 2.0
"""Seconds for reading on, behind the first maps, while a class has not been seen."""


@dataclass(frozen=True)
class LabelData:
    """Some or all label maps of a dataset."""

    leaf: LeafDataset
    total: int
    """How many the dataset has."""

    maps: list[LabelMap] = field(default_factory=list)
    """Those that were read."""

    images: list[str] = field(default_factory=list)
    """Paths of all images."""

    @property
    def folder(self) -> str:
        """Where they lie."""
        return self.leaf.folder('seg_map_path')

    @property
    def complete(self) -> bool:
        """Whether every map of the dataset was read."""
        return len(self.maps) == self.total

    @property
    def reduces_zero(self) -> bool:
        """Whether 0 is ignored, and labels count from 1."""
        dataset: Any = self.leaf.dataset
        return bool(dataset.reduce_zero_label)

    def label(self, value: int) -> int:
        """The label that training sees for a value of the files."""
        dataset: Any = self.leaf.dataset
        return label_of(value, self.reduces_zero, dataset.label_map)

    def pixels(self) -> Counter[int]:
        """How many pixels have each value, as in the files."""
        counts: Counter[int] = Counter()
        for found in self.maps:
            counts.update(found.values)
        return counts

    def pixels_of_labels(self) -> Counter[int]:
        """How many pixels have each label, as training sees it."""
        counts: Counter[int] = Counter()
        for value, count in self.pixels().items():
            counts[self.label(value)] += count
        return counts


def read_label_data(leaf: LeafDataset, pairs: list[tuple[str, str]], extent: Extent) -> LabelData:
    """Reads the label maps of a dataset, or some of them.

    Args:
        leaf: The dataset.
        pairs: Paths of each label map and its image.
        extent: How many to read. If not all, more follow, up to two seconds long, while there is
            a class of training data that has not been seen.
    """
    data = LabelData(leaf, len(pairs), images=[image for _, image in pairs])
    data.maps.extend(_maps(data, pairs, extent))
    return data


def _maps(data: LabelData, pairs: list[tuple[str, str]], extent: Extent) -> Iterator[LabelMap]:
    loaders = [step for step in data.leaf.steps() if type_name(step) == 'LoadAnnotations']
    backend = loaders[0].get('imdecode_backend', 'pillow') if loaders else 'pillow'
    count = len(pairs) if extent.every else OPENED_FILES
    order = list(spread(len(pairs), count))
    unseen = set(range(len(data.leaf.classes or ())))
    end = time.monotonic() + SECONDS_FOR_LABELS
    for index in extent.track(order[:count], f'label maps of {data.folder}'):
        found = read_label_map(pairs[index][0], pairs[index][1], backend)
        unseen -= set(map(data.label, found.values))
        yield found
    for index in order[count:] if data.leaf.trained else []:
        if not unseen or time.monotonic() > end:
            break
        found = read_label_map(pairs[index][0], pairs[index][1], backend)
        unseen -= set(map(data.label, found.values))
        yield found
