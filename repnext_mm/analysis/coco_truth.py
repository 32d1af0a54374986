"""Ground truth and predictions of detectors in COCO's format."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import mmengine

from repnext_mm.analysis.samples import TestedSample
from repnext_mm.compat import require, require_extra


def hotcoco() -> Any:
    """The package that evaluates detectors.

    Raises:
        ImportError: If it is not installed; the message says how it is.
    """
    return require_extra('hotcoco', 'analysis', 'the analysis of a detector')


class Truth(NamedTuple):
    """The annotations of a test set."""

    content: dict[str, list]
    """``images``, ``annotations`` and ``categories`` of the file, as far as the test set has them."""

    category_ids: list[int]
    """By label."""

    classes: list[str]
    """Names in the file, by label."""

    @property
    def has_masks(self) -> bool:
        """Whether every object has a segmentation."""
        return all(annotation.get('segmentation') for annotation in self.content['annotations'])


def innermost(dataset: Any) -> Any:
    """The data set inside of wrappers that leave its images and their order as they are.

    Raises:
        ValueError: If there are several.
    """
    while hasattr(dataset, 'dataset'):
        dataset = dataset.dataset
    if len(getattr(dataset, 'datasets', ())) > 1:
        raise ValueError(
            f'the test data are {len(dataset.datasets)} data sets: analyse one, with a config whose '
            'test_dataloader has that one alone'
        )
    return dataset.datasets[0] if getattr(dataset, 'datasets', None) else dataset


def read_truth(dataset: Any) -> Truth:
    """Reads the annotations of a test set.

    Args:
        dataset: Of mmdet, built.

    Raises:
        ValueError: If it is not in COCO's format, or has no objects of its classes.
    """
    dataset = innermost(dataset)
    coco_type = require('mmdet.datasets', 'the analysis of a detector').CocoDataset
    if not isinstance(dataset, coco_type):
        raise ValueError(
            "detectors are analysed on data in COCO's format, the test data are of "
            f'{type(dataset).__name__}: tools/convert_dataset.py converts other formats'
        )
    content = mmengine.load(dataset.ann_file, backend_args=dataset.backend_args)
    wanted = {dataset.get_data_info(index)['img_id'] for index in range(len(dataset))}
    ids = list(dataset.cat_ids)
    names = {category['id']: category['name'] for category in content['categories']}
    annotations = [
        dict(dict(iscrowd=0), **annotation)
        for annotation in content.get('annotations') or []
        if annotation['image_id'] in wanted and annotation['category_id'] in names.keys() & set(ids)
    ]
    if not any(not annotation['iscrowd'] for annotation in annotations):
        raise ValueError(
            f'{dataset.ann_file} has no objects of {", ".join(names[i] for i in ids) or "any class"} '
            f'in {len(wanted)} image(s), so there is nothing to compare predictions with: analyse a '
            'split with annotations, by test_dataloader.dataset.ann_file and test_evaluator.ann_file'
        )
    images = [image for image in content['images'] if image['id'] in wanted]
    categories = [dict(id=number, name=names[number]) for number in ids]
    given = dict(images=images, annotations=annotations, categories=categories)
    return Truth(given, ids, [names[number] for number in ids])


class Found(NamedTuple):
    """Predictions of all images, in COCO's format; the number of each is its place, from 1."""

    boxes: list[dict]
    masks: list[dict]
    """Of the same objects; empty where the network predicts none."""


def add_predictions(found: Found, sample: TestedSample, truth: Truth) -> None:
    """Adds the objects of an image.

    Args:
        found: Gets them.
        sample: A data sample; its masks are tensors or run-length encoded.
        truth: Says which class a label is.

    Raises:
        ValueError: If it is no prediction of a detector for these classes.
    """
    instances = sample.get('pred_instances')
    if instances is None or 'img_id' not in sample:
        raise ValueError(
            f'a sample without detections, it has {", ".join(map(str, sample)) or "nothing"}: '
            'analyse the predictions with the config that they were made with'
        )
    boxes, scores, labels = (instances[key].tolist() for key in ('bboxes', 'scores', 'labels'))
    if labels and max(labels) >= len(truth.category_ids):
        raise ValueError(
            f'class {max(labels)} is predicted, and the test data have {len(truth.classes)} classes: '
            'analyse predictions with the config that they were made with'
        )
    masks = _encoded(instances.get('masks'))
    for number, (box, score, label) in enumerate(zip(boxes, scores, labels, strict=True)):
        entry = dict(image_id=sample['img_id'], category_id=truth.category_ids[label], score=score)
        left, top, right, bottom = box
        found.boxes.append(dict(entry, bbox=[left, top, right - left, bottom - top]))
        if masks is not None:
            found.masks.append(dict(entry, segmentation=masks[number]))


def _encoded(masks: Any) -> Sequence[dict] | None:
    """Run-length encoded masks with counts that are text."""
    if masks is None:
        return None
    if not isinstance(masks, list):
        from mmdet.structures.mask import encode_mask_results

        masks = encode_mask_results(masks.cpu().numpy())
    return [
        dict(mask, counts=mask['counts'].decode()) if isinstance(mask['counts'], bytes) else mask
        for mask in masks
    ]
