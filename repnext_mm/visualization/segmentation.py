"""mmseg's visualizer with a legend."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import master_only
from mmseg.structures import SegDataSample
from mmseg.visualization import SegLocalVisualizer

from repnext_mm.registry import VISUALIZERS, register
from repnext_mm.visualization.legend import LABEL_OPACITY, frequent_classes, overlay, with_legend
from repnext_mm.visualization.saving import save_picture

FIELDS = {'ground truth': 'gt_sem_seg', 'prediction': 'pred_sem_seg'}


@register(VISUALIZERS)
class SegLegendVisualizer(SegLocalVisualizer):
    """Draws label maps in the colours of the classes, side by side, with a legend below.

    mmseg writes class names into the picture, which on a small or crowded one hide it.

    Args:
        name: mmengine's name for this instance.
        args: mmseg's others.
        picture_dir: Folder for the pictures, instead of the vis backends.
        alpha: Opacity of the colours.
        options: mmseg's others.
    """

    def __init__(
        self,
        name: str = 'visualizer',
        *args: Any,
        picture_dir: str | None = None,
        alpha: float = LABEL_OPACITY,
        **options: Any,
    ):
        super().__init__(name, *args, alpha=alpha, **options)
        self.picture_dir = picture_dir
        self._names: Counter[str] = Counter()

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
        with_labels: bool = True,
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
            with_labels: Whether to draw the legend.
            options: mmseg's others, which have no meaning here.

        Raises:
            ValueError: If there is not a colour for each class, or labels and image
                differ in size.
        """
        wanted = [field for field, on in zip(FIELDS, (draw_gt, draw_pred), strict=True) if on]
        maps = {
            title: data_sample.get(FIELDS[title]).cpu().numpy().data[0]
            for title in wanted
            if data_sample is not None and FIELDS[title] in data_sample
        }
        classes, palette = (self.dataset_meta.get(key) or () for key in ('classes', 'palette'))
        if maps and not 0 < len(classes) <= len(palette):
            raise ValueError(
                f'drawing labels takes a colour for each class, got {len(palette)} for '
                f'{len(classes)}: set palette in the metainfo of the dataset'
            )
        panels = [overlay(image, labels, palette, self.alpha) for labels in maps.values()]
        named = frequent_classes(list(maps.values()), classes, palette) if with_labels else []
        picture = with_legend(panels or [image], list(maps) or [name], named)
        self.set_image(picture)
        if out_file is None and self.picture_dir:
            out_file = str(Path(self.picture_dir, self._file_name(Path(name).stem)))
        if show:
            self.show(picture, win_name=name, wait_time=wait_time)
        if out_file is None:
            self.add_image(name, picture, step)
        else:
            save_picture(picture, out_file)

    def _file_name(self, stem: str) -> str:
        """A name that no picture has yet: images of several folders may share theirs."""
        self._names[stem] += 1
        number = self._names[stem]
        return f'{stem}.png' if number == 1 else f'{stem}_{number}.png'
