"""Files of predictions, written by a metric in the words of each package."""

from collections.abc import Sequence

from mmengine.evaluator import DumpResults

from repnext_mm.compat import require


class DumpLabels(DumpResults):
    """Writes the labels of a segmentor, without the scores of every class for every pixel.

    The scores take 200 MB an image on ADE20K.
    """

    def process(self, data_batch: dict, predictions: Sequence[dict]) -> None:
        """Takes what is kept of one batch of predictions."""
        labels = [
            {key: value for key, value in sample.items() if not key.endswith('logits')}
            for sample in predictions
        ]
        super().process(data_batch, labels)


def prediction_metric(scope: str | None, path: str) -> DumpResults:
    """Builds the metric that writes predictions: masks as RLE for mmdet, labels only for mmseg.

    Args:
        scope: Default scope of the config.
        path: Pickle file to write, which ends in ``.pkl`` or ``.pickle``.

    Raises:
        ImportError: If the scope is mmdet, and mmdet is not installed.
    """
    if scope == 'mmdet':
        return require('mmdet.evaluation', 'writing detections').DumpDetResults(out_file_path=path)
    return (DumpLabels if scope == 'mmseg' else DumpResults)(out_file_path=path)
