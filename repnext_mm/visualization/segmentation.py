"""mmseg's visualizer with a legend."""

import mmcv
import numpy as np
from mmengine.dist import master_only
from mmengine.registry import VISUALIZERS as MMENGINE_VISUALIZERS
from mmseg.structures import SegDataSample
from mmseg.visualization import SegLocalVisualizer

from repnext_mm.registry import VISUALIZERS
from repnext_mm.visualization.legend import frequent_classes, overlay, with_legend

FIELDS = {'ground truth': 'gt_sem_seg', 'prediction': 'pred_sem_seg'}


@MMENGINE_VISUALIZERS.register_module()
@VISUALIZERS.register_module()
class SegLegendVisualizer(SegLocalVisualizer):
    """Draws label maps in the colours of the classes, side by side, with a legend below.

    mmseg writes class names into the picture, which on a small or crowded one hide it.
    """

    @master_only
    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: SegDataSample | None = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | None = None,
        step: int = 0,
        **options,
    ) -> None:
        """Draws one image with its labels.

        Args:
            name: Names the picture among those of the vis backends.
            image: ``(H, W, 3)`` uint8 in RGB order.
            data_sample: Labels, predicted labels, or both, of the size of the image.
            draw_gt: Whether to draw the labels.
            draw_pred: Whether to draw the predicted labels.
            show: Show a window too.
            wait_time: How long, in seconds; 0 waits for a key.
            out_file: Write the picture there and not to the vis backends.
            step: Numbers the picture.
            options: mmseg's others, which have no meaning here.
        """
        wanted = [field for field, on in zip(FIELDS, (draw_gt, draw_pred), strict=True) if on]
        maps = {
            title: data_sample.get(FIELDS[title]).cpu().numpy().data[0]
            for title in wanted
            if data_sample is not None and FIELDS[title] in data_sample
        }
        classes, palette = self.dataset_meta['classes'], self.dataset_meta['palette']
        panels = [overlay(image, labels, palette) for labels in maps.values()] or [image]
        entries = frequent_classes(list(maps.values()), classes, palette) if maps else []
        picture = with_legend(panels, list(maps) or [name], entries)
        if show:
            self.show(picture, win_name=name, wait_time=wait_time)
        if out_file is None:
            self.add_image(name, picture, step)
        else:
            mmcv.imwrite(mmcv.rgb2bgr(picture), out_file)
