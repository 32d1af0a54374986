"""COCO's metric for images with more objects than COCO's own have."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from mmdet.evaluation.metrics import CocoMetric, coco_metric

from repnext_mm.registry import METRICS, register

EVALUATIONS = ('COCOeval', 'COCOevalMP')
"""What mmdet's metric computes with; the second one in several processes, where mmdet has it."""

HEADLINE = 0
"""Place of the AP over all thresholds and sizes in pycocotools' ``stats``."""


class _AllCounted:
    """An evaluation of pycocotools whose headline AP counts as many objects as all its others."""

    eval: dict[str, np.ndarray]
    stats: np.ndarray

    def summarize(self, *args: Any, **kwargs: Any) -> None:
        """Computes ``stats``; the precision has shape ``(T, R, K, areas, numbers of objects)``."""
        super().summarize(*args, **kwargs)  # type: ignore[misc]
        precision = self.eval['precision'][:, :, :, 0, -1]
        known = precision[precision > -1]
        self.stats[HEADLINE] = known.mean() if known.size else -1.0


@register(METRICS)
class ManyObjectsCocoMetric(CocoMetric):
    """mmdet's ``CocoMetric`` whose ``mAP`` counts as many objects as the last of ``proposal_nums``.

    pycocotools' headline AP counts the 100 most certain objects of an image, so that no detector
    can reach 1 where there are more, while its AP50, AP75 and the APs of sizes count the last of
    ``proposal_nums``, 1000 by default. Up to 100 objects in each image, found or there, this gives
    the numbers of ``CocoMetric``.

    Config::

        val_evaluator = dict(
            type='repnext_mm.ManyObjectsCocoMetric', proposal_nums=(100, 300, 1000),
            ann_file='annotations/instances_val.json', metric=['bbox', 'segm'])
    """

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Computes the metrics as mmdet does."""
        with _all_counted():
            return super().compute_metrics(results)


@contextmanager
def _all_counted() -> Iterator[None]:
    """mmdet's metric, which takes no evaluation of ours, finds one under the usual name."""
    usual = {name: getattr(coco_metric, name) for name in EVALUATIONS if hasattr(coco_metric, name)}
    for name, kind in usual.items():
        setattr(coco_metric, name, type(name, (_AllCounted, kind), {}))
    try:
        yield
    finally:
        for name, kind in usual.items():
            setattr(coco_metric, name, kind)
