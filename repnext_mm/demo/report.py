"""Pictures of the demo."""

import pickle
from pathlib import Path

import matplotlib.figure
import numpy as np
import torch
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from torch import Tensor
from torchvision.io import decode_image

from repnext_mm.demo.shapes import SEMANTIC_CLASSES
from repnext_mm.visualization.captions import Style
from repnext_mm.visualization.instances import draw_instances
from repnext_mm.visualization.legend import frequent_classes, overlay, with_legend
from repnext_mm.visualization.saving import save_figure, save_picture

SCALE = 3
STYLE = Style(font_size=24, line_width=2)
PAIRS = 3
MIN_SCORE = 0.5
COLOURS = [(230, 25, 75), (60, 180, 75), (255, 225, 25), (0, 130, 200), (245, 130, 48)]
SEMANTIC_COLOURS = [(170, 170, 170), *COLOURS]


def draw_label_pairs(data_root: Path, predictions: Path, path: Path, count: int = 12) -> None:
    """Draws held-out images of the segmentor, ground truth beside prediction, with a legend.

    Args:
        data_root: The generated dataset.
        predictions: File of predictions that ``tools/test.py`` wrote.
        path: PNG to write.
        count: How many images.
    """
    with predictions.open('rb') as file:
        samples = sorted(pickle.load(file), key=lambda sample: sample['img_path'])[:count]
    maps, pictures = [], []
    for sample in samples:
        # Grey, so that the only colours are those of the classes.
        grey = decode_image(sample['img_path'], mode='GRAY')[0].numpy()
        image = np.stack([grey] * 3, axis=2)
        name = Path(sample['img_path']).name
        truth = decode_image(str(data_root / 'annotations' / 'validation' / name))[0].numpy()
        pair = [truth.astype(int) - 1, sample['pred_sem_seg']['data'][0].numpy()]
        maps += pair
        pictures.append([_framed(overlay(image, labels, SEMANTIC_COLOURS)) for labels in pair])
    columns = [
        np.concatenate([pair[side] for pair in pictures[first::PAIRS]])
        for first in range(min(PAIRS, len(pictures)))
        for side in range(2)
    ]
    tallest = max(len(column) for column in columns)
    panels = [
        np.pad(column, ((0, tallest - len(column)), (0, 0), (0, 0)), constant_values=255)
        for column in columns
    ]
    entries = frequent_classes(maps, SEMANTIC_CLASSES, SEMANTIC_COLOURS)
    page = with_legend(panels, ['ground truth', 'prediction'] * PAIRS, entries)
    save_picture(page, path)


def _framed(picture: np.ndarray) -> np.ndarray:
    """Enlarged, with a white line below."""
    large = picture.repeat(2, axis=0).repeat(2, axis=1)
    return np.pad(large, ((0, 8), (0, 0), (0, 0)), constant_values=255)


def draw_instance_pairs(data_root: Path, predictions: Path, path: Path, count: int = 12) -> None:
    """Draws held-out images of the detector, ground truth beside prediction.

    Args:
        data_root: The generated dataset.
        predictions: File of predictions that ``tools/test.py`` wrote.
        path: PNG to write.
        count: How many images.
    """
    coco = COCO(str(data_root / 'annotations' / 'instances_val.json'))
    names = {category['id']: category['name'] for category in coco.cats.values()}
    with predictions.open('rb') as file:
        samples = {sample['img_id']: sample for sample in pickle.load(file)}
    numbers = sorted(samples)[:count]
    rows = -(-len(numbers) // PAIRS)
    figure = matplotlib.figure.Figure(figsize=(5.2 * PAIRS, 2.8 * rows), layout='constrained')
    axes = figure.subplots(rows, 2 * PAIRS, squeeze=False)
    for panel in axes.flat:
        panel.set_axis_off()
    for number, (truth, prediction) in zip(numbers, axes.reshape(-1, 2), strict=False):
        info = coco.imgs[number]
        image = decode_image(str(data_root / 'val' / info['file_name']), mode='RGB')
        annotations = coco.imgToAnns[number]
        _show(truth, image, *_ground_truth(coco, annotations, names), 'ground truth')
        found = samples[number]['pred_instances']
        _show(prediction, image, *_found(found, list(names.values())), 'prediction')
    save_figure(figure, path, dots=100)


Instances = tuple[Tensor, Tensor, list[str], list[int]]
"""Masks ``(N, H, W)``, boxes ``(N, 4)`` as x1, y1, x2, y2 in pixels, captions, classes."""


def _ground_truth(coco: COCO, annotations: list[dict], names: dict[int, str]) -> Instances:
    masks = [coco.annToMask(annotation) for annotation in annotations]
    boxes = torch.tensor([annotation['bbox'] for annotation in annotations]).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    captions = [
        'crowd' if annotation['iscrowd'] else names[annotation['category_id']]
        for annotation in annotations
    ]
    classes = [annotation['category_id'] - 1 for annotation in annotations]
    return torch.from_numpy(np.array(masks)).bool(), boxes, captions, classes


def _found(instances: dict, names: list[str]) -> Instances:
    chosen = [i for i, score in enumerate(instances['scores']) if score >= MIN_SCORE]
    masks = [coco_mask.decode(instances['masks'][i]) for i in chosen]
    classes = [int(instances['labels'][i]) for i in chosen]
    captions = [
        f'{names[int(instances["labels"][i])]} {instances["scores"][i]:.2f}' for i in chosen
    ]
    return torch.from_numpy(np.array(masks)).bool(), instances['bboxes'][chosen], captions, classes


def _show(axes, image: Tensor, masks: Tensor, boxes: Tensor, captions, classes, title: str) -> None:
    picture = draw_instances(
        _enlarged(image).permute(1, 2, 0).numpy(),
        boxes.numpy() * SCALE,
        captions,
        [COLOURS[number] for number in classes],
        _enlarged(masks).numpy() if captions else None,
        STYLE,
    )
    axes.imshow(picture)
    axes.set_title(title, fontsize=11)


def _enlarged(maps: Tensor) -> Tensor:
    return maps.repeat_interleave(SCALE, 1).repeat_interleave(SCALE, 2)
