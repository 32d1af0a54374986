"""Files of predictions, written in the words of each package."""

import pickle
from collections.abc import Sequence
from functools import partial
from typing import Any

from mmengine.evaluator import DumpResults
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

from repnext_mm.compat import require
from repnext_mm.files import replaced


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
    kind: Any = DumpLabels if scope == 'mmseg' else DumpResults
    if scope == 'mmdet':
        kind = require('mmdet.evaluation', 'writing detections').DumpDetResults
    metric = kind(out_file_path=path)
    metric.compute_metrics = partial(_write, path)  # its own leaves half a file on a full disk
    return metric


def _write(path: str, results: list) -> dict:
    """Writes predictions, whole or not at all; returns no metrics."""
    with replaced(path) as draft, draft.open('wb') as file:
        pickle.dump(results, file)
    print_log(f'Predictions written to {path}', logger='current')
    return {}


class PredictionHook(Hook):
    """Writes the predictions of a test, whatever evaluator the config has.

    In the evaluator such a metric would be one of a single test set, where ``MultiDatasetsEvaluator``
    has several. The file has the predictions for all of them, in the order of the data.

    Args:
        scope: Default scope of the config.
        path: Pickle file to write.

    Raises:
        ImportError: As :func:`prediction_metric`.
    """

    priority = 'LOW'
    """After the hooks that put the model back."""

    def __init__(self, scope: str | None, path: str):
        self.metric = prediction_metric(scope, path)

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | tuple | list | None = None,
        outputs: Sequence | None = None,
    ) -> None:
        """Takes the predictions of a batch, as the evaluator's metrics get them."""
        samples = [o.to_dict() if isinstance(o, BaseDataElement) else o for o in outputs or ()]
        self.metric.process(data_batch, samples)

    def after_test_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Writes the file."""
        self.metric.evaluate(len(runner.test_dataloader.dataset))
