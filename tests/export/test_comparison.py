"""What counts as the same prediction, and what does not."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from repnext_mm.export.comparison import Comparison, compare_arrays
from repnext_mm.export.tasks import task_named
from repnext_mm.export.tasks.detection import compare_detections
from repnext_mm.runtime import Detections


def detections(count=20, seed=0):
    random = np.random.default_rng(seed)
    corners = random.uniform(0, 80, (count, 2))
    boxes = np.concatenate([corners, corners + random.uniform(20, 40, (count, 2))], 1)
    masks = np.zeros((count, 128, 128), bool)
    for mask, (left, top, right, bottom) in zip(masks, boxes.astype(int), strict=True):
        mask[top:bottom, left:right] = True
    scores = np.sort(random.uniform(0.1, 1.0, count))[::-1]
    labels = random.integers(0, 4, count)
    return Detections(boxes.astype(np.float32), scores.astype(np.float32), labels, masks)


def failures(reference, candidate, precision='float32', **instability):
    task = task_named('detection')
    count = task.count(reference, candidate)
    limits = task.allowed(precision, count, instability)
    row = Comparison('here', task.compare(reference, candidate), limits, count, instability)
    return [text.split()[0] for text in row.failures()]


def test_order_does_not_matter():
    found = detections()
    order = np.random.default_rng(1).permutation(len(found.scores))
    assert failures(found, found[order]) == []


def test_one_detection_may_be_missing_or_added_but_not_three():
    found = detections()
    for count, expected in ((19, []), (18, []), (17, ['unmatched'])):
        fewer = found[:count]
        assert failures(found, fewer) == failures(fewer, found) == expected
    assert failures(found, fewer, unmatched=0.1) == []


@pytest.mark.parametrize('count', [1, 2])
def test_few_detections_must_be_found_again(count):
    found, none = detections(count), detections(0)
    elsewhere = replace(found, boxes=found.boxes + 60)
    many = detections(50, seed=1)
    for other in (elsewhere, none, many):
        assert failures(found, other) == failures(other, found) == ['unmatched']
        assert failures(found, other, unmatched=1.0) == ['unmatched']
    assert failures(found, found) == []


def test_what_moves_in_torch_too_may_move():
    found = detections()
    moved = replace(found, boxes=found.boxes + 0.5)
    assert failures(found, moved) == failures(found, moved, score=1.0) == ['box']
    assert failures(found, moved, box=0.25) == []


@pytest.mark.parametrize(
    ('change', 'expected'),
    [
        (dict(boxes=lambda boxes: boxes + 0.05), []),
        (dict(boxes=lambda boxes: boxes + 0.5), ['box']),
        (dict(boxes=lambda boxes: boxes + 60), ['unmatched']),
        (dict(scores=lambda scores: scores - 0.01), ['score']),
        (dict(labels=lambda labels: (labels + 1) % 4), ['unmatched']),
        (dict(masks=lambda masks: np.roll(masks, 2, 1)), ['mask']),
        (dict(scores=lambda scores: scores * np.nan), ['score']),
    ],
)
def test_other_values_are_noticed(change, expected):
    found = detections()
    ((name, function),) = change.items()
    changed = replace(found, **{name: function(getattr(found, name))})
    assert failures(found, changed) == expected


def test_no_detections_on_both_sides_are_equal():
    nothing = detections()[:0]
    assert compare_detections(nothing, nothing) == {'unmatched': 0.0}
    assert failures(nothing, detections()) == ['unmatched']


def test_logits_differ_by_value_and_by_class():
    task = task_named('segmentation')
    logits = torch.randn(5, 30, 40, generator=torch.Generator().manual_seed(0))
    assert task.compare(logits, logits) == {'pixels': 0.0, 'logits': 0.0}
    labels = logits.argmax(0, keepdim=True)
    assert task.compare(logits, labels) == {'pixels': 0.0}
    labels[0, 0, :12] = (labels[0, 0, :12] + 1) % 5
    assert task.compare(logits, labels) == {'pixels': pytest.approx(0.01)}
    expected = {'float32': ['pixels at here: 1.00e-02, allowed 1e-03'], 'float16': []}
    for precision, failures in expected.items():
        limits = task.allowed(precision, None, {})
        assert Comparison('here', task.compare(logits, labels), limits).failures() == failures


def test_features_of_another_shape_differ():
    x = torch.ones(1, 2, 3, 4)
    assert compare_arrays([x], [x.numpy()]) == {'features': 0.0}
    assert compare_arrays([x, x], [x, x * 1.5]) == {'features': 0.5}
    assert compare_arrays([x], [x[..., :3]]) == {'features': float('inf')}
