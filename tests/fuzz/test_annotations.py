"""Annotations with any damage: checked, converted, looked at, or refused in words of ours."""

import copy
import json
import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damages import (
    byte_edits,
    changes,
    damaged,
    edited,
    modes,
    picture_bytes,
)
from fuzzing import budget, counted
from hypothesis import given
from hypothesis import strategies as st
from mmengine.registry import DATASETS, init_default_scope
from own_data import detector, segmentor, write_coco, write_maps
from raw_data import SOURCES, label_maps

from repnext_mm.border import is_foreseen
from repnext_mm.checks.data import CheckedData, check_datasets
from repnext_mm.datasets.classes_file import read_classes
from repnext_mm.datasets.conversion import LABEL_MAPS, Options, convert_dataset
from repnext_mm.own_data.look import look_at_instances
from repnext_mm.own_data.look_at_images import look_at_label_maps
from repnext_mm.own_data.suggest import Recipe, suggest_for_instances, suggest_for_label_maps

pytestmark = pytest.mark.filterwarnings('ignore')

RECIPE = Recipe(1e-3, 4)
ITEMS = ('a', 'b', 'c')


@contextmanager
def new_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def refused(call: Callable[[], Any]) -> bool:
    """Whether a call ends with an error that was written for the user; others are failures."""
    try:
        call()
    except (ValueError, OSError) as error:
        assert is_foreseen(error), repr(error)
        assert str(error)
        return True
    return False


def has_errors(data: CheckedData) -> bool:
    for finding in data.findings:
        assert finding.message and finding.remedy and finding.place
    return any(finding.level == 'error' for finding in data.findings)


def load_all(settings: dict) -> None:
    """Loads every image of a data set with its annotations, as training does."""
    init_default_scope('mmdet')
    dataset = DATASETS.build(copy.deepcopy(settings))
    for index in range(len(dataset)):
        item = dataset[index]
        boxes = item['gt_bboxes'].numpy()
        assert np.isfinite(boxes).all(), boxes
        assert len(item['gt_masks'].to_ndarray()) == len(boxes)


@budget(40)
@given(changes, byte_edits())
def test_what_the_checks_let_through_can_be_trained_on(changes, edits):
    counted('annotation files, checked')
    with new_folder() as folder:
        write_coco(folder, 'val')
        path = write_coco(folder, 'train', lambda content: damaged(content, changes))
        path.write_bytes(edited(path.read_bytes(), edits))
        cfg = detector(folder)
        if not has_errors(check_datasets(cfg, 'train', 'val')):
            counted('annotation files, trained on')
            load_all(cfg.train_dataloader.dataset)


@budget(40)
@given(changes, byte_edits())
def test_data_of_ones_own_gives_settings_or_a_reason(changes, edits):
    counted('annotation files, looked at')
    with new_folder() as folder:
        (folder / 'annotations').mkdir()
        for split in ('val', 'train'):
            path = write_coco(folder, split, lambda content: damaged(content, changes))
            content = edited(path.read_bytes(), edits if split == 'train' else [])
            (folder / 'annotations' / f'instances_{split}.json').write_bytes(content)

        def suggest() -> None:
            plan = suggest_for_instances(look_at_instances(folder), RECIPE, gpu=False)
            assert all(map(math.isfinite, plan.anchor_ratios.value))
            assert plan.image_side.value > 0 and plan.max_per_image.value > 0

        refused(suggest)


def annotation_files(folder: Path) -> list[Path]:
    """The files that say something of images, in a fixed order; masks are images, too."""
    found = [path for path in sorted(folder.rglob('*')) if path.is_file()]
    return [
        p for p in found if p.suffix in ('.json', '.xml', '.txt', '.yaml') or 'masks' in p.parts
    ]


@budget(60)
@given(st.sampled_from(tuple(SOURCES)), st.integers(0, 5), changes, byte_edits(), st.booleans())
def test_data_sets_of_others_are_converted_or_refused(kind, number, changes, edits, tiled):
    counted(f'{kind}, converted')
    with new_folder() as folder:
        source, target = folder / 'source', folder / 'target'
        for name in ITEMS:
            SOURCES[kind](source, name)
        files = annotation_files(source)
        file = files[number % len(files)]
        content = file.read_bytes()
        if file.suffix == '.json':
            content = json.dumps(damaged(json.loads(content), changes)).encode()
        file.write_bytes(edited(content, edits))
        classes = ['cat'] if kind == 'masks' else []
        options = Options(kind, classes, val=0.4, test=0.0, tile=20 if tiled else None)
        if refused(lambda: convert_dataset(source, target, options)):
            assert not target.exists()
            return
        counted('data sets, written')
        for path in (target / 'annotations').iterdir():
            for entry in json.loads(path.read_text())['annotations']:
                assert np.isfinite([*entry['bbox'], entry['area']]).all()


@budget(40)
@given(st.sampled_from(modes), st.integers(-3, 300), st.booleans(), byte_edits())
def test_label_maps_are_checked_converted_and_looked_at(mode, value, same_size, edits):
    counted('label maps')
    with new_folder() as folder:
        for split in ('train', 'val'):
            write_maps(folder, split)
        shown = next((folder / 'train_labels').iterdir())
        size = (24, 16) if same_size else (23, 16)
        content = edited(picture_bytes(mode, size, value), edits)
        shown.write_bytes(content)
        has_errors(check_datasets(segmentor(folder), 'train', 'val'))

        source = folder / 'source'
        label_maps(source, list(ITEMS), np.tile(np.array([[0, 1], [1, 0]], np.uint8), (8, 12)))
        (source / 'annotations' / 'a.png').write_bytes(content)
        options = Options(LABEL_MAPS, ['ground', 'road'], val=0.4, test=0.0)
        refused(lambda: convert_dataset(source, folder / 'target', options))

        for name in ('images', 'annotations'):
            for split in ('train', 'val'):
                (folder / name).mkdir(exist_ok=True)
                old = folder / (split if name == 'images' else f'{split}_labels')
                old.rename(folder / name / split)
        (folder / 'classes.txt').write_text('ground\nroad\nroof\n')
        refused(lambda: suggest_for_label_maps(look_at_label_maps(folder), RECIPE, gpu=False))


@budget(40)
@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_files_of_classes_are_read_or_refused(content):
    counted('files of classes')
    with new_folder() as folder:
        (folder / 'classes.txt').write_bytes(content)
        refused(lambda: read_classes(folder / 'classes.txt'))
