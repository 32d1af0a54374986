"""Data sets in other formats, listed and read, one file for each format."""

from collections.abc import Callable, Sequence
from pathlib import Path

from repnext_mm.datasets.annotations import Listing
from repnext_mm.datasets.readers.labelme import list_labelme
from repnext_mm.datasets.readers.masks import list_masks
from repnext_mm.datasets.readers.supervisely import list_supervisely
from repnext_mm.datasets.readers.voc import list_voc
from repnext_mm.datasets.readers.yolo import list_yolo

DATASET_READERS: dict[str, Callable[[Path, Sequence[str]], Listing]] = {
    'masks': list_masks,
    'voc': list_voc,
    'yolo': list_yolo,
    'labelme': list_labelme,
    'supervisely-folder': list_supervisely,
}
"""Formats with objects, by name; each takes the folder of the data set and names of classes."""
