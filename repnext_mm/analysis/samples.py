"""Where predictions come from: a run of the Runner's test loop, or a file that such a run wrote."""

import pickle
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

from repnext_mm.runtime.images import read_image

TestedSample = dict[str, Any]
"""A data sample of mmdet, mmseg or mmpretrain as a dict, as metrics get it."""


class AnalysisHook(Hook):
    """Hands the predictions of a test over, image by image.

    Args:
        take: Gets each data sample.
    """

    priority = 'LOW'
    """After the hooks that put the model back."""

    def __init__(self, take: Callable[[TestedSample], None]):
        self.take = take

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | tuple | list | None = None,
        outputs: Sequence | None = None,
    ) -> None:
        """Hands a batch over."""
        for sample in outputs or ():
            self.take(sample.to_dict() if isinstance(sample, BaseDataElement) else sample)


def read_predictions(path: str | Path) -> Iterator[TestedSample]:
    """Reads a file that ``tools/test.py --out`` wrote.

    A pickle file can run code: read only your own.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds no list of predictions.
    """
    try:
        samples = pickle.loads(Path(path).read_bytes())
    except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, ValueError) as error:
        raise ValueError(
            f'{path} is no file of predictions ({error}): tools/test.py --out {path} writes one'
        ) from error
    if not isinstance(samples, list) or not all(isinstance(sample, dict) for sample in samples):
        raise ValueError(
            f'{path} holds {type(samples).__name__}, not a list of predictions: '
            f'tools/test.py --out {path} writes one'
        )
    yield from samples


def image_of(dataset: Any, sample: TestedSample, index: int) -> Any:
    """The image of a sample as it is in the file, or as its data set holds it in memory.

    Args:
        dataset: The test data.
        sample: Its prediction.
        index: Its place in the test data.

    Returns:
        ``(H, W, 3)`` uint8, RGB.

    Raises:
        FileNotFoundError: If the file is not there.
        ValueError: If it is no image.
    """
    if sample.get('img_path'):
        return read_image(sample['img_path'])
    return read_image(dataset.get_data_info(index)['img'])


def name_of_image(sample: TestedSample, index: int) -> str:
    """What an image is called: the end of its path, or its number."""
    path = sample.get('img_path')
    return '/'.join(Path(path).parts[-2:]) if path else f'image {index}'


def as_array(values: Any) -> np.ndarray:
    """A tensor on any device, a list or an array as an array."""
    return values.cpu().numpy() if hasattr(values, 'cpu') else np.asarray(values)
