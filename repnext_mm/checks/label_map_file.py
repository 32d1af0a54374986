"""One label map: its values as they lie in the file, and the labels that they become."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

IGNORED_LABEL = 255
"""Label without a class, in mmseg's datasets, heads and metrics unless told otherwise."""


class LabelMap(NamedTuple):
    """What a look at a label map gave."""

    path: str
    image_path: str
    shape: tuple[int, ...]
    """Height and width, and the number of channels if it has some."""

    dtype: str
    """Of its values, before they become 8 bits."""

    values: dict[int, int]
    """How many pixels have each value; empty for colours."""

    colours: tuple[tuple[int, ...], ...] = ()
    """The most frequent ones of a map with channels, in the order of the file."""

    trouble: str = ''
    """Why it cannot be read; empty if it can."""


def read_label_map(path: str, image_path: str, backend: str = 'pillow') -> LabelMap:
    """Reads a label map as mmseg does, but with all of its bits.

    Args:
        path: Image file.
        image_path: Of the image that it belongs to.
        backend: Of mmcv.
    """
    import mmcv

    try:
        content = Path(path).read_bytes()
        loaded = mmcv.imfrombytes(content, flag='unchanged', backend=backend).squeeze()
    except Exception as error:  # of the many that broken files raise
        return LabelMap(path, image_path, (), '', {}, trouble=str(error) or type(error).__name__)
    if loaded.dtype.kind not in 'bui':
        return LabelMap(path, image_path, (), '', {}, trouble=f'its values are {loaded.dtype}')
    if loaded.ndim != 2:
        channels = loaded.reshape(-1, loaded.shape[-1])[:, ::-1]  # mmcv reverses them
        colours, counts = np.unique(channels, axis=0, return_counts=True)
        frequent = colours[np.argsort(-counts)][:4].tolist()
        return LabelMap(
            path, image_path, loaded.shape, str(loaded.dtype), {}, tuple(map(tuple, frequent))
        )
    if loaded.dtype == np.uint8:
        counts = np.bincount(loaded.ravel(), minlength=256)
        values = {int(value): int(counts[value]) for value in counts.nonzero()[0]}
    else:
        found, counts = np.unique(loaded, return_counts=True)
        values = {int(value): int(n) for value, n in zip(found, counts, strict=True)}
    return LabelMap(path, image_path, loaded.shape, str(loaded.dtype), values)


def label_of(value: int, reduce_zero_label: bool, label_map: Mapping[int, int] | None) -> int:
    """The label that mmseg gives to a value of a label map.

    Args:
        value: Of the file.
        reduce_zero_label: Whether 0 becomes 255, and all others one less.
        label_map: New labels by old ones, where the config names other classes than the dataset.
    """
    label = value % 256
    if reduce_zero_label:
        label = IGNORED_LABEL if label in (0, IGNORED_LABEL) else label - 1
    return (label_map or {}).get(label, label)
