"""Detectors for several images in one call find in each what they find in it alone."""

import numpy as np
import pytest
import torch
from dense_detectors import detector
from exports import DETECTORS, noise, predict, small_config, small_model

from repnext_mm.export import Detector, ExportOptions, export_model
from repnext_mm.export.tasks.batches import best_of_each, by_image, image_of_each
from repnext_mm.export.tasks.detection import compare_detections

pytestmark = pytest.mark.filterwarnings('ignore:DeprecationWarning. `num_anchors`:UserWarning')

SHAPE = (64, 96)


def test_the_best_of_each_image_are_kept_in_their_order():
    scores = torch.tensor([0.1, 0.9, 0.5, 0.7, 0.3, 0.8])
    images = torch.tensor([0, 2, 0, 2, 0, 2])
    count = torch.zeros(3)  # the second image has no row
    assert best_of_each(scores, images, count, 2).tolist() == [1, 5, 2, 4]
    assert best_of_each(scores, images, count, 0).tolist() == [1, 5, 3, 2, 4, 0]
    order, counts = by_image(images, count)
    assert order.tolist() == [0, 2, 4, 1, 3, 5] and counts.tolist() == [3, 0, 3]
    assert image_of_each(counts).tolist() == [0, 0, 0, 2, 2, 2]
    nothing = torch.zeros(0, dtype=torch.long)
    assert by_image(nothing, count)[1].tolist() == [0, 0, 0]


def check_together(model: torch.nn.Module, reader: Detector, number: int) -> None:
    """Images of one size, one of them black, give together what torch finds in each."""
    images = [noise(77, 101, seed) for seed in range(number - 1)] + [
        np.zeros((77, 101, 3), np.uint8)
    ]
    sizes, scales = [(77, 101)] * number, [(1.0, 1.0)] * number
    answers = reader.detect_together(np.stack(images), scales, sizes)
    assert len(answers) == number and len(answers[0].scores) > 0
    for image, found in zip(images, answers, strict=True):
        expected = predict(model, 'detection', image)
        differences = compare_detections(expected, found)
        assert differences['unmatched'] <= 0.1, (len(expected.scores), len(found.scores))
        assert differences.get('score', 0) < 1e-4 and differences.get('box', 0) < 1e-2
        assert differences.get('mask', 0) < 0.02


def two_stage() -> torch.nn.Module:
    return small_model(small_config(DETECTORS[0]))


@pytest.mark.parametrize('make', [lambda: detector('FCOS'), two_stage])
def test_any_number_of_images(make, tmp_path):
    model = make()
    options = ExportOptions(shape=SHAPE, batch='dynamic')
    report = export_model(model, tmp_path / 'model.onnx', options=options)
    assert report.spec.input.batch is None and report.spec.outputs[-1] == 'counts'
    places = [row.place for row in report.comparisons]
    assert places[-3:] == ['1 of 3 images', '2 of 3 images', '3 of 3 images']
    reader = Detector(report.path)
    for number in (1, 4):
        check_together(model, reader, number)


def test_a_fixed_number_of_images(tmp_path):
    """Of a head that predicts in a way of its own; fewer images are filled up, more take turns."""
    model = detector('GFL')
    report = export_model(
        model, tmp_path / 'model.onnx', options=ExportOptions(shape=SHAPE, batch=2)
    )
    assert report.spec.input.batch == 2
    check_together(model, Detector(report.path), 3)
    with pytest.raises(ValueError, match='give it as batch=4'):
        export_model(model, tmp_path / 'any.onnx', options=ExportOptions(batch='dynamic'))


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(batch=0), 'batch=0: choose a positive number'),
        (dict(batch='many'), "batch='many'"),
        (dict(batch='dynamic', static=True), 'a static file takes one number'),
    ],
)
def test_numbers_of_images_that_do_not_exist(options, words):
    with pytest.raises(ValueError, match=words):
        ExportOptions(**options)
