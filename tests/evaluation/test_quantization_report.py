"""What an 8-bit file loses: on which images it is decided, and what the report says of it."""

from types import SimpleNamespace

import pytest
from mmengine.config import Config

from repnext_mm.commands.quantize import deciding_split, notes
from repnext_mm.evaluation.file_metrics import Candidates, FileEvaluator
from repnext_mm.evaluation.quantization_report import (
    loss_summary,
    measure_files,
    search_lines,
    table_lines,
)
from repnext_mm.evaluation.sample_images import have_same_images
from repnext_mm.export.tasks import task_named
from repnext_mm.quantization.sensitivity import Search, Trial

TASKS = {
    'detection': {'coco/bbox_mAP': 0.5, 'coco/segm_mAP': 0.4, 'coco/bbox_mAP_50': 0.9},
    'segmentation': {'mIoU': 50.0, 'aAcc': 90.0},
    'classification': {'accuracy/top1': 50.0, 'accuracy/top5': 90.0},
}


class Evaluator(FileEvaluator):
    """Finds given metrics, by path, and notes what it was asked."""

    def __init__(self, task: str, metrics: dict[str, dict[str, float]], metric: str | None = None):
        super().__init__(Config(), task_named(task), lambda cfg: None, metric)
        self.metrics, self.asked = metrics, []

    def _all_metrics(self, path, split, runtime):
        self.asked.append((str(path), split, runtime))
        return self.metrics[str(path)]


@pytest.mark.parametrize('task', TASKS)
def test_metrics_that_count_are_fractions(task):
    evaluator = Evaluator(task, {'a': TASKS[task], 'b': {}})
    found = evaluator.measure('a', 'val', 'onnxruntime')
    assert max(found.values()) == 0.5 and set(found) <= set(task_named(task).metrics)
    candidates = Candidates(evaluator, 'a', 'val', 'onnxruntime')
    assert candidates.change('b') == -0.5  # nothing found is everything lost
    assert candidates.measured == [{}] and candidates.change('a') == 0
    with pytest.raises(ValueError, match=r'none of .*nose.*name one of'):
        Evaluator(task, {'a': TASKS[task]}, 'nose').measure_reference('a', 'test', 'onnxruntime')


def test_what_is_known_is_not_measured_again(tmp_path):
    files = {name: str(tmp_path / f'{name}.onnx') for name in ('float', 'int8')}
    for path in files.values():
        (tmp_path / path).write_bytes(bytes(1000))
    metrics = {files['float']: {'mIoU': 50.0}, files['int8']: {'mIoU': 48.0}}
    evaluator = Evaluator('segmentation', metrics)
    known = {('float', 'onnxruntime'): {'mIoU': 0.5}, ('int8', 'onnxruntime'): {'mIoU': 0.48}}
    rows = measure_files(files, evaluator, ['onnxruntime', 'openvino'], known)
    assert evaluator.asked == [(path, 'test', 'openvino') for path in files.values()]
    assert loss_summary(rows, 0.01) == dict(loss=pytest.approx(0.02), within_max_loss=False)
    assert loss_summary(rows, 0.03)['within_max_loss']
    rows['float']['metrics']['onnxruntime'] = {'mIoU': 0.0}
    assert loss_summary(rows, 0.03) == dict(loss=None, within_max_loss=False)
    speeds = {runtime: dict(float=10.0, int8=20.0) for runtime in ('onnxruntime', 'openvino')}
    lines = table_lines(rows | dict(images_per_second=speeds))
    assert len(lines) == 4 and 'mIoU 0.4800, 0.0 MB, 20.0 images/s, 2.00 x float' in lines[2]


def config(val: dict | None, test: dict) -> Config:
    loaders = {'test_dataloader': dict(dataset=test)}
    return Config(loaders | ({'val_dataloader': dict(dataset=val)} if val else {}))


def test_validation_decides_where_it_has_images_of_its_own():
    first, second = dict(data_root='a', ann_file='1'), dict(data_root='a', ann_file='2')
    assert deciding_split(config(first, second)) == 'val'
    assert deciding_split(config(first, first)) == 'test'
    assert deciding_split(config(None, first)) == 'test'
    some = dict(type='RepeatDataset', dataset=dict(first, indices=5))
    assert have_same_images(config(some, first), 'val', 'test')


@pytest.mark.parametrize(
    ('decided_on', 'loss', 'trials', 'words'),
    [
        ('val', 0.005, 3, None),
        ('val', 0.02, 3, 'loss on the test data is 0.0200'),
        ('test', 0.005, 1, None),
        ('test', 0.005, 3, 'chosen on the same images'),
        ('val', None, 1, 'cannot be measured'),
        (None, 0.5, 0, None),
    ],
)
def test_notes_say_what_the_table_does_not(decided_on, loss, trials, words):
    args = SimpleNamespace(model='m.onnx', max_loss=0.01)
    found = notes(args, dict(loss=loss, decided_on=decided_on, trials=[{}] * trials))
    assert (found == []) if words is None else (len(found) == 1 and words in found[0])


def test_a_search_names_its_data_and_what_it_did_not_reach():
    trials = [Trial((), -0.5), Trial(('head',), -0.2)]
    lines = search_lines(Search(trials, trials[1], {'head': 0.9}, False), 0.01, 'val')
    assert lines[0].endswith('-0.5000 with in float: none') and 'on the val data' in lines[1]
    assert '9.0e-01' in lines[2] and lines[3].startswith('NOT REACHED')
