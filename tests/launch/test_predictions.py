"""Predictions of a test are written whatever evaluates them."""

import pickle
from pathlib import Path

import pytest
import torch
from runners import Logits, RandomImages, build_runner, loader

from repnext_mm.launch import predictions
from repnext_mm.launch.predictions import PredictionHook

pytestmark = pytest.mark.distribution


class Split(RandomImages):
    """Two test sets in a row, as mmdet's ``ConcatDataset`` describes them."""

    def __init__(self) -> None:
        super().__init__(12)
        self.metainfo = dict(cumulative_sizes=[4, 12])


def written(folder: Path, name: str, **options) -> tuple[list, dict]:
    path = folder / f'{name}.pkl'
    hook = PredictionHook(None, str(path))
    runner = build_runner(folder, name, [hook], **options)
    metrics = runner.test()
    return pickle.loads(path.read_bytes()), metrics


def test_predictions_of_several_test_sets_are_those_of_one(tmp_path):
    from mmdet.evaluation import MultiDatasetsEvaluator

    expected, _ = written(tmp_path, 'one')
    evaluator = MultiDatasetsEvaluator([Logits(), Logits()], dataset_prefixes=['val', 'other'])
    found, metrics = written(
        tmp_path, 'several', test_dataloader=loader(Split()), test_evaluator=evaluator
    )
    assert set(metrics) == {'val/test/mean', 'other/test/mean'}
    assert metrics['val/test/mean'] != metrics['other/test/mean']
    assert len(found) == len(expected) == 12
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours['logits'], theirs['logits'])


def test_a_full_disk_leaves_no_part_of_the_predictions(tmp_path, monkeypatch):
    def fail(results, file):
        file.write(b'part')
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(predictions.pickle, 'dump', fail)
    with pytest.raises(OSError, match='No space'):
        written(tmp_path, 'full')
    assert not list(tmp_path.rglob('*.pkl'))
