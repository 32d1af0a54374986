"""Small data as users bring it, right unless a test changes it, and configs that read it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from PIL import Image

from repnext_mm.checks.data import check_datasets
from repnext_mm.checks.findings import Finding

NAMES = ('screw', 'nut', 'washer')
GROUND = ('ground', 'road', 'roof')
WIDTH, HEIGHT = 24, 16
Edit = Callable[[Any], Any]


def picture(number: int) -> Image.Image:
    pixels = np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    return Image.fromarray(pixels)


def write_coco(root: Path, split: str, edit: Edit | None = None, count: int = 3) -> Path:
    """Images in root/SPLIT and root/SPLIT.json with an object of each class on each image.

    Args:
        root: Folder.
        split: Name of the split.
        edit: Changes the content of the file, or returns another.
        count: Number of images.
    """
    (root / split).mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for number in range(count):
        picture(number).save(root / split / f'{number}.jpg')
        images.append(dict(id=number + 1, file_name=f'{number}.jpg', width=WIDTH, height=HEIGHT))
        for kind in range(len(NAMES)):
            x, y, w, h = 2 + 5 * kind, 3, 4, 8
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=number + 1,
                    category_id=kind + 1,
                    bbox=[x, y, w, h],
                    area=w * h,
                    iscrowd=0,
                    segmentation=[[x, y, x + w, y, x + w, y + h, x, y + h]],
                )
            )
    categories = [dict(id=kind + 1, name=name) for kind, name in enumerate(NAMES)]
    content = dict(images=images, annotations=annotations, categories=categories)
    content = (edit(content) if edit else None) or content
    path = root / f'{split}.json'
    path.write_text(json.dumps(content))
    return path


def detector(
    root: Path | str, classes: Any = NAMES, count: int = len(NAMES), **changes: Any
) -> Config:
    """Mask R-CNN on such data; ``changes`` by dotted keys."""

    def loader(split: str, **options: Any) -> dict:
        load = dict(type='LoadAnnotations', with_bbox=True, with_mask=True)
        dataset = dict(
            type='CocoDataset',
            data_root=str(root),
            ann_file=f'{split}.json',
            data_prefix=dict(img=f'{split}/'),
            metainfo=dict(classes=classes),
            pipeline=[dict(type='LoadImageFromFile'), load],
            **options,
        )
        return dict(dataset=dataset)

    heads = dict(bbox_head=dict(num_classes=count), mask_head=dict(num_classes=count))
    evaluator = dict(type='CocoMetric', ann_file=f'{root}/val.json', metric=['bbox', 'segm'])
    cfg = Config(
        dict(
            default_scope='mmdet',
            model=dict(rpn_head=dict(num_classes=1), roi_head=heads),
            train_dataloader=loader('train', filter_cfg=dict(filter_empty_gt=True, min_size=8)),
            val_dataloader=loader('val', test_mode=True),
            val_evaluator=evaluator,
        )
    )
    cfg.merge_from_dict({key.replace('__', '.'): value for key, value in changes.items()})
    return cfg


def labels_of(number: int) -> np.ndarray:
    """``(H, W)``: ground, a road and a roof, elsewhere on each image."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[:, 4 + number : 8 + number] = 1
    labels[3:9, 15:20] = 2
    return labels


def write_maps(root: Path, split: str, edit: Edit | None = None, suffix: str = '.png') -> None:
    """Images and label maps 0, 1, 2; ``edit`` changes a map before it is written."""
    (root / split).mkdir(parents=True, exist_ok=True)
    (root / f'{split}_labels').mkdir(exist_ok=True)
    for number in range(3):
        picture(number).save(root / split / f'{number}.jpg')
        labels = edit(labels_of(number)) if edit else labels_of(number)
        Image.fromarray(labels).save(root / f'{split}_labels' / f'{number}{suffix}')


def segmentor(root: Path, classes: Any = GROUND, **changes: Any) -> Config:
    """UperNet on such data; ``changes`` by dotted keys."""

    def loader(split: str) -> dict:
        dataset = dict(
            type='BaseSegDataset',
            data_root=str(root),
            data_prefix=dict(img_path=split, seg_map_path=f'{split}_labels'),
            metainfo=dict(classes=classes),
            pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')],
        )
        return dict(dataset=dataset)

    heads = dict(decode_head=dict(num_classes=3), auxiliary_head=dict(num_classes=3))
    cfg = Config(
        dict(
            default_scope='mmseg',
            model=heads,
            train_dataloader=loader('train'),
            val_dataloader=loader('val'),
            val_evaluator=dict(type='IoUMetric'),
        )
    )
    cfg.merge_from_dict({key.replace('__', '.'): value for key, value in changes.items()})
    return cfg


def write_folders(root: Path, split: str, names: tuple[str, ...] = NAMES) -> None:
    """Two images in root/SPLIT/NAME of each class."""
    for name in names:
        (root / split / name).mkdir(parents=True)
        for number in range(2):
            picture(number).save(root / split / name / f'{number}.jpg')


def classifier(root: Path, **changes: Any) -> Config:
    """A classifier of such data; ``changes`` by dotted keys."""

    def loader(split: str) -> dict:
        pipeline = [dict(type='LoadImageFromFile')]
        dataset = dict(
            type='CustomDataset', data_root=str(root), data_prefix=split, pipeline=pipeline
        )
        return dict(dataset=dataset)

    cfg = Config(
        dict(
            default_scope='mmpretrain',
            data_preprocessor=dict(num_classes=3),
            model=dict(head=dict(num_classes=3)),
            train_dataloader=loader('train'),
            val_dataloader=loader('val'),
            val_evaluator=dict(type='Accuracy', topk=(1, 3)),
        )
    )
    cfg.merge_from_dict({key.replace('__', '.'): value for key, value in changes.items()})
    return cfg


def find(cfg: Config, *splits: str) -> dict[tuple[str, str], Finding]:
    """Findings by level and kind; the first of each."""
    found: dict[tuple[str, str], Finding] = {}
    for finding in check_datasets(cfg, *(splits or ('train', 'val'))).findings:
        found.setdefault((finding.level, finding.kind), finding)
    return found
