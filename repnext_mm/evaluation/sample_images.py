"""Images of a config's data as an exported network takes them."""

from collections.abc import Iterator

import numpy as np
from mmengine.config import Config

from repnext_mm.export.data import dataset_images, innermost_dataset
from repnext_mm.runtime import open_reader

IDENTITY = ('data_root', 'data_prefix', 'ann_file', 'split')
"""The arguments of a data set that say where its images are from; some of them are as good as all."""


class SampleImages:
    """Images of a split in the size of the network, read whenever they are gone through.

    Args:
        cfg: The config.
        split: Of ``'train'``, ``'val'`` and ``'test'``.
        count: How many, spread over the split.
        model: The exported file.
    """

    def __init__(self, cfg: Config, split: str, count: int, model: str):
        self.source = (cfg, split, count)
        self.reader = open_reader(model)

    def __iter__(self) -> Iterator[np.ndarray]:
        for image in dataset_images(*self.source):
            yield self.reader.fit(self.reader.prepare(image).image).image


def have_same_images(cfg: Config, split: str, other: str) -> bool:
    """Whether two splits of a config are the same images, or some of the same, by their arguments."""
    ours, theirs = (
        [dataset.get(key) for key in IDENTITY]
        for dataset in (innermost_dataset(cfg, split), innermost_dataset(cfg, other))
    )
    return ours == theirs
