"""mmdet's visualizer with titles, a legend, and captions that hide nothing."""

from typing import Any

import numpy as np
from mmdet.visualization import DetLocalVisualizer
from mmengine.dist import master_only

from repnext_mm.registry import VISUALIZERS, register
from repnext_mm.visualization.captions import Captions
from repnext_mm.visualization.colours import class_colours
from repnext_mm.visualization.legend import frequent_classes, with_legend
from repnext_mm.visualization.objects import (
    Colouring,
    DrawOptions,
    Objects,
    draw_objects,
)
from repnext_mm.visualization.saving import save_picture


@register(VISUALIZERS)
class DetLegendVisualizer(DetLocalVisualizer):
    """Draws objects, ground truth beside prediction, with a title above and a legend below.

    Args:
        name: mmengine's name for this instance.
        args: mmdet's others.
        scale: Enlargement of images; None for what small ones need.
        captions: ``'auto'`` for those that hide nothing, ``'all'`` or ``'none'``.
        colour_by: ``'class'``, ``'instance'``, or ``'auto'``: by instance where there is one class.
        options: mmdet's others.
    """

    def __init__(
        self,
        name: str = 'visualizer',
        *args: Any,
        scale: float | None = None,
        captions: Captions = 'auto',
        colour_by: Colouring = 'auto',
        **options: Any,
    ):
        super().__init__(name, *args, **options)
        self.scale, self.captions, self.colour_by = scale, captions, colour_by

    @master_only
    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: Any = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | None = None,
        pred_score_thr: float = 0.3,
        step: int = 0,
    ) -> None:
        """Draws one image with its objects.

        Args:
            name: Names the picture among those of the vis backends.
            image: ``(H, W, 3)`` uint8 in RGB order.
            data_sample: Objects, predicted objects, or both.
            draw_gt: Whether to draw the objects.
            draw_pred: Whether to draw the predicted ones.
            show: Show a window too.
            wait_time: How long, in seconds; 0 waits for a key.
            out_file: Write the picture there and not to the vis backends.
            pred_score_thr: Leave out what is less certain.
            step: Numbers the picture.
        """
        classes = list(self.dataset_meta.get('classes') or [])
        options = DrawOptions(pred_score_thr, self.scale, self.captions, self.colour_by)
        found = _objects(data_sample, draw_gt, draw_pred)
        found = {title: objects.above(pred_score_thr) for title, objects in found.items()}
        labels = [len(classes) - 1, *(int(label) for o in found.values() for label in o.labels)]
        colours = list(class_colours(max(labels) + 1))
        panels = [draw_objects(image, part, classes, colours, options) for part in found.values()]
        titles = [f'{title}: {len(part.labels)} objects' for title, part in found.items()]
        legend = []
        if len(classes) > 1:
            legend = frequent_classes([part.labels for part in found.values()], classes, colours)
        picture = with_legend(panels or [image], titles or [name], legend)
        self.set_image(picture)
        if show:
            self.show(picture, win_name=name, wait_time=wait_time)
        if out_file is not None:
            save_picture(picture, out_file)
        elif not show:
            self.add_image(name, picture, step)


def _objects(sample: Any, draw_gt: bool, draw_pred: bool) -> dict[str, Objects]:
    """Ground truth and prediction of a data sample, by title."""
    wanted = {
        'ground truth': ('gt_instances', draw_gt),
        'prediction': ('pred_instances', draw_pred),
    }
    return {
        title: _as_arrays(sample.get(field))
        for title, (field, on) in wanted.items()
        if on and sample is not None and field in sample
    }


def _as_arrays(instances: Any) -> Objects:
    """mmdet's instances as arrays; masks of any of its classes."""
    boxes = instances.bboxes if 'bboxes' in instances else np.zeros((len(instances), 4))
    boxes = getattr(boxes, 'tensor', boxes)
    masks = instances.get('masks')
    if masks is not None:
        masks = np.asarray(
            masks.to_ndarray() if hasattr(masks, 'to_ndarray') else _numpy(masks), bool
        )
    scores = instances.get('scores')
    return Objects(
        _numpy(boxes), None if scores is None else _numpy(scores), _numpy(instances.labels), masks
    )


def _numpy(value: Any) -> np.ndarray:
    return value.cpu().numpy() if hasattr(value, 'cpu') else np.asarray(value)
