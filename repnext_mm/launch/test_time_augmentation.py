"""Test-time augmentation for the configs of all three packages."""

from collections.abc import Sequence
from copy import deepcopy

from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log

from repnext_mm.config_dicts import type_name

TTA_MODELS = {
    'mmdet': dict(
        type='DetTTAModel', tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100)
    ),
    'mmseg': dict(type='SegTTAModel'),
    'mmpretrain': dict(type='AverageClsScoreTTA'),
}
SCALES = {'mmdet': (0.5, 1.0, 1.5), 'mmseg': (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)}
"""Relative to the size that the config tests at."""


def enable_tta(cfg: Config) -> None:
    """Wraps the model of a config for test-time augmentation.

    Unless the config has its own ``tta_model`` and ``tta_pipeline``, detectors and
    segmentors see each image in several sizes, and all models see it flipped too.

    Args:
        cfg: A config for mmdet, mmseg or mmpretrain, which is changed.

    Raises:
        ValueError: If the config has another scope and no ``tta_model``, or its test data is no
            single dataset with a pipeline.
    """
    dataset = cfg.test_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    scope = cfg.get('default_scope')
    if 'tta_model' not in cfg:
        if scope not in TTA_MODELS:
            raise ValueError(
                f'test-time augmentation knows the default scopes {tuple(TTA_MODELS)}, got '
                f'{scope!r}: set tta_model and tta_pipeline in the config'
            )
        cfg.tta_model = TTA_MODELS[scope]
    if 'pipeline' not in dataset:
        raise ValueError(
            f'test-time augmentation needs one dataset with a pipeline, got {type_name(dataset)!r}: test its parts '
            'one by one'
        )
    if 'tta_pipeline' not in cfg:
        cfg.tta_pipeline = tta_pipeline(dataset.pipeline, SCALES.get(scope, ()))
    if scope == 'mmdet' and 'mask_head' in cfg.model.get('roi_head', {}):
        _test_boxes_only(cfg)
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    dataset.pipeline = cfg.tta_pipeline


def tta_pipeline(pipeline: list[dict], scales: Sequence[float]) -> list[dict]:
    """Makes a pipeline that gives every image in several sizes, and flipped.

    Args:
        pipeline: A test pipeline; its last step packs.
        scales: Factors for the ``scale`` of its first ``Resize``; none leaves the size.

    Returns:
        A new pipeline; the steps of the old one are copied.
    """
    *steps, pack = deepcopy(pipeline)
    if 'meta_keys' in pack:
        pack['meta_keys'] = (*pack['meta_keys'], 'flip', 'flip_direction')
    resizes = [i for i, step in enumerate(steps) if type_name(step) == 'Resize' and 'scale' in step]
    first = resizes[0] if scales and resizes else len(steps)
    variants = [[step] for step in steps[first:]]
    if first < len(steps):
        size = steps[first]['scale']
        width, height = (size, size) if isinstance(size, int) else size
        variants[0] = [
            dict(steps[first], scale=(round(width * scale), round(height * scale)))
            for scale in scales
        ]
    flips = [dict(type='RandomFlip', prob=probability) for probability in (0.0, 1.0)]
    views = dict(type='TestTimeAug', transforms=[*variants, flips, [pack]])
    return [*steps[:first], views]


def _test_boxes_only(cfg: Config) -> None:
    """Takes the mask head and the mask metric away: mmdet's TTA cannot merge masks."""
    print_log("mmdet's TTA merges boxes only: testing without masks", logger='current')
    for name in ('mask_head', 'mask_roi_extractor'):
        cfg.model.roi_head.pop(name, None)
    evaluators = cfg.test_evaluator
    for evaluator in evaluators if isinstance(evaluators, list) else [evaluators]:
        if 'metric' in evaluator:
            evaluator.metric = 'bbox'
