"""All checks of datasets with annotation files in COCO's format."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config

from repnext_mm.checks.boxes import check_boxes, check_fields, check_filter, check_numbers
from repnext_mm.checks.classes import check_names_in_file, check_occurrence, check_orders_of_files
from repnext_mm.checks.dataset import COCO, LeafDataset
from repnext_mm.checks.evaluators import Pair, check_evaluators, coco_metrics, evaluates_masks
from repnext_mm.checks.findings import Finding
from repnext_mm.checks.ids import check_ids
from repnext_mm.checks.images import Extent, check_coco_images
from repnext_mm.checks.masks import check_masks
from repnext_mm.datasets.annotation_file import AnnotationFile, AnnotationFileError, AnnotationFiles


def read_files(
    cfg: Config, leaves: Iterable[LeafDataset], files: AnnotationFiles
) -> tuple[list[Pair], list[Finding]]:
    """The datasets with their annotation files, and a finding for each that is none.

    The files of their splits' evaluators are read too.
    """
    pairs, findings = [], []
    paths: dict[str, None] = {}
    for leaf in leaves:
        dataset: Any = leaf.dataset
        if leaf.kind != COCO or dataset is None:
            continue
        paths[dataset.ann_file] = None
        file = files.find(dataset.ann_file) if Path(dataset.ann_file).is_file() else None
        if file:
            pairs.append((leaf, file))
        evaluators = [metric.get('ann_file') for _, metric in coco_metrics(cfg, leaf.split)]
        paths.update({path: None for path in evaluators if path and '://' not in path})
    for path in filter(lambda path: Path(path).is_file(), paths):
        try:
            files.get(path)
        except AnnotationFileError as error:
            findings.append(Finding('error', 'annotation-file', path, str(error), error.remedy))
    return pairs, findings


def check_coco(
    cfg: Config, pairs: list[Pair], files: AnnotationFiles, extent: Extent
) -> Iterator[Finding]:
    """Annotation files against config, images, each other and the evaluators.

    Args:
        cfg: The config.
        pairs: Datasets with their files.
        files: Has read the files.
        extent: How many images to open.
    """
    other_orders = list(check_orders_of_files(pairs))
    yield from other_orders
    resolved = {finding.place for finding in other_orders}
    for leaf, file in pairs:
        for finding in check_names_in_file(leaf, file):
            if finding.kind != 'order-of-classes' or file.path not in resolved:
                yield finding
    for split in dict.fromkeys(leaf.split for leaf, _ in pairs):
        own = [pair for pair in pairs if pair[0].split == split]
        yield from check_evaluators(cfg, split, own, files)
    trouble = list(_check_files(cfg, pairs, files, extent))
    yield from trouble
    if not any(finding.kind == 'no-images-left' for finding in trouble):
        yield from check_occurrence(pairs)


def _check_files(
    cfg: Config, pairs: list[Pair], files: AnnotationFiles, extent: Extent
) -> Iterator[Finding]:
    """The contents of each file and its images, once for each use."""
    seen: dict[tuple, None] = {}
    for leaf, file in pairs:
        use = (file.path, leaf.trained, *_truths(cfg, leaf))
        if use not in seen:
            yield from _check_objects(cfg, leaf, file, files, extent)
        place = (file.path, leaf.folder('img'))
        if place not in seen:
            yield from check_coco_images(leaf, file, extent)
        seen |= {use: None, place: None}


def _check_objects(
    cfg: Config, leaf: LeafDataset, file: AnnotationFile, files: AnnotationFiles, extent: Extent
) -> Iterator[Finding]:
    """Ids, boxes and masks of a file; of the evaluator's too, if it is another one."""
    truths = [files.find(path) for path in _truths(cfg, leaf)]
    own = dict.fromkeys([file, *filter(None, truths)])
    for one in own:
        yield from check_ids(one)
        yield from check_fields(one, evaluated=any(one is truth for truth in truths))
        yield from check_numbers(one)
        yield from check_boxes(leaf, one)
        masks = not leaf.trained and evaluates_masks(cfg, leaf.split)
        yield from check_masks(leaf, one, masks, extent.every)
    yield from check_filter(leaf, file)


def _truths(cfg: Config, leaf: LeafDataset) -> list[str]:
    """The files that the evaluators of a dataset's split compare with."""
    metrics = [] if leaf.trained else coco_metrics(cfg, leaf.split)
    paths = [metric.get('ann_file') for _, metric in metrics]
    return [path for path in paths if isinstance(path, str) and Path(path).is_file()]
