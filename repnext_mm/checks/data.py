"""All checks of data, with what they have read, for one config."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from mmengine.config import Config

from repnext_mm.checks.classes import check_given_classes, check_same_classes
from repnext_mm.checks.coco import check_coco, read_files
from repnext_mm.checks.dataset import FOLDERS, LABEL_MAPS, LeafDataset, leaves_of
from repnext_mm.checks.evaluators import Pair
from repnext_mm.checks.findings import Finding
from repnext_mm.checks.folders import (
    FolderData,
    check_folders,
    check_occurrence_of_images,
    check_same_folders,
)
from repnext_mm.checks.heads import check_heads_of, check_topk
from repnext_mm.checks.images import Extent
from repnext_mm.checks.label_data import LabelData
from repnext_mm.checks.label_maps import check_label_maps
from repnext_mm.checks.label_values import check_occurrence_of_labels
from repnext_mm.datasets.annotation_file import AnnotationFiles


@dataclass
class CheckedData:
    """What was read of the data of a config, and what was found."""

    leaves: list[LeafDataset]
    findings: list[Finding] = field(default_factory=list)
    files: list[Pair] = field(default_factory=list)
    label_maps: list[LabelData] = field(default_factory=list)
    folders: list[FolderData] = field(default_factory=list)

    def classes(self) -> tuple[tuple[str, ...], str] | None:
        """The classes of the first dataset that has some, and where they are from."""
        for leaf in self.leaves:
            if leaf.classes:
                return leaf.classes, leaf.key
        for data in self.folders:
            if data.classes:
                return data.classes, data.place
        return None


def check_datasets(cfg: Config, *splits: str, extent: Extent | None = None) -> CheckedData:
    """Reads annotation files once, some images and label maps, and compares them with the config.

    Args:
        cfg: A config whose files are there.
        splits: Of ``'train'``, ``'val'`` and ``'test'``.
        extent: How many images and label maps to open; by default some tens of each dataset.

    Returns:
        Findings, and what was read. Files on other machines, and datasets of types that are not
        known, are left out.
    """
    data = CheckedData(leaves_of(cfg, splits))
    findings = _find(cfg, splits, data, extent or Extent())
    data.findings.extend(dict.fromkeys(findings))
    return data


def _find(
    cfg: Config, splits: tuple[str, ...], data: CheckedData, extent: Extent
) -> Iterator[Finding]:
    for leaf in data.leaves:
        yield from check_given_classes(leaf)
        if leaf.trouble:
            yield Finding(
                'error',
                'dataset-settings',
                leaf.key,
                f'the dataset refuses its settings: {leaf.trouble}',
                'Correct them; mmdet, mmseg and mmpretrain document what each type takes',
            )
    yield from check_same_classes(data.leaves)
    known = [leaf for leaf in data.leaves if leaf.dataset is not None]
    files = AnnotationFiles()
    data.files, broken = read_files(cfg, known, files)
    yield from broken
    yield from check_coco(cfg, data.files, files, extent)
    for leaf in known:
        if leaf.kind == LABEL_MAPS and not _seen(leaf, data.label_maps):
            yield from check_label_maps(cfg, leaf, extent, data.label_maps)
        elif leaf.kind == FOLDERS and not _seen(leaf, data.folders):
            yield from check_folders(leaf, extent, data.folders)
    yield from check_occurrence_of_labels(data.label_maps)
    yield from check_same_folders(data.folders)
    yield from check_occurrence_of_images(data.folders)
    found = data.classes()
    if found:
        classes, where = found
        yield from check_heads_of(cfg, classes, where)
        yield from check_topk(cfg, splits, len(classes), where)


def _seen(leaf: LeafDataset, read: list) -> bool:
    """Whether a dataset of the same files was read: ``test`` is often ``val`` again."""
    return any(
        leaf.dataset.data_prefix == other.leaf.dataset.data_prefix
        and leaf.dataset.ann_file == other.leaf.dataset.ann_file
        and leaf.settings.get('reduce_zero_label') == other.leaf.settings.get('reduce_zero_label')
        and leaf.trained == other.leaf.trained
        for other in read
        if leaf.dataset is not None
    )
