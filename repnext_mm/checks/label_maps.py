"""All checks of a dataset with label maps."""

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

from repnext_mm.checks.dataset import LeafDataset
from repnext_mm.checks.findings import Finding
from repnext_mm.checks.images import (
    Extent,
    missing_paths,
    names_in,
    report_missing,
    similar_file,
)
from repnext_mm.checks.label_data import LabelData, read_label_data
from repnext_mm.checks.label_map_form import check_files, check_sizes
from repnext_mm.checks.label_values import check_label_settings, check_values
from repnext_mm.checks.wording import examples, of_all


def check_label_maps(
    cfg: Config, leaf: LeafDataset, extent: Extent, read: list[LabelData]
) -> Iterator[Finding]:
    """Images and label maps of one dataset.

    Args:
        cfg: The config.
        leaf: A dataset with label maps.
        extent: How many to read.
        read: A list that gets the label maps that were read.
    """
    dataset: Any = leaf.dataset
    items = dataset.load_data_list()
    folder = leaf.folder('img_path') or '.'
    if not items:
        yield _no_images(leaf, folder)
        return
    images = [item['img_path'] for item in items]
    lacking = missing_paths(images)
    place = dataset.ann_file or folder
    yield from report_missing(place, lacking, len(images), 'img_suffix and data_prefix')
    if 'seg_map_path' not in items[0]:
        return
    paths = [item['seg_map_path'] for item in items]
    missing = missing_paths(paths)
    if missing:
        yield _missing_maps(leaf, missing, len(paths))
    absent = {*missing, *lacking}
    pairs = [pair for pair in zip(paths, images, strict=True) if absent.isdisjoint(pair)]
    data = read_label_data(leaf, pairs, extent)
    read.append(data)
    yield from check_files(data)
    yield from check_sizes(data, extent)
    if not any(len(found.shape) > 2 for found in data.maps):
        yield from check_values(cfg, data)
    yield from check_label_settings(cfg, data)


def _no_images(leaf: LeafDataset, folder: str) -> Finding:
    dataset: Any = leaf.dataset
    has = examples(sorted(names_in(folder.rstrip('/'))))
    return Finding(
        'error',
        'no-images-left',
        folder,
        f'no image is left to use: none ends in {dataset.img_suffix!r}; there is {has or "nothing"}',
        f"Set img_suffix of {leaf.key} to the images' suffix, or correct data_prefix",
    )


def _missing_maps(leaf: LeafDataset, missing: list[str], total: int) -> Finding:
    dataset: Any = leaf.dataset
    similar = similar_file(missing[0])
    place = f'there is {similar!r} in its place' if similar else 'nothing is in its place'
    return Finding(
        'error',
        'missing-label-maps',
        leaf.folder('seg_map_path'),
        f'{of_all(len(missing), total, "images")} have no label map, such as {missing[0]!r}; {place}',
        f'Set seg_map_suffix of {leaf.key}, now {dataset.seg_map_suffix!r}, to what the names of '
        'label maps have in the place of img_suffix, or draw the missing ones',
    )
