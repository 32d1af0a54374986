"""The analysis of segmentors: IoU, confusions, calibration and pictures from label maps."""

import json

import numpy as np
import pytest
import torch
from own_data import GROUND, labels_of, segmentor, write_maps

from repnext_mm.analysis.report import write_analysis
from repnext_mm.analysis.settings import AnalysisSettings
from repnext_mm.analysis.tasks import build_analysis

PALETTE = [[0, 0, 0], [0, 0, 255], [255, 0, 0]]


def found(number: int) -> np.ndarray:
    """The ground truth, with more errors on later images: road is taken for ground."""
    labels = labels_of(number).copy()
    labels[: 4 * number][labels[: 4 * number] == 1] = 0
    return labels


def sample(root, number: int, **changes) -> dict:
    truth, predicted = labels_of(number), found(number)
    logits = 4.0 * torch.nn.functional.one_hot(torch.tensor(predicted).long(), 3).permute(2, 0, 1)
    return (
        dict(
            img_path=str(root / 'val' / f'{number}.jpg'),
            gt_sem_seg=dict(data=torch.tensor(truth)[None]),
            pred_sem_seg=dict(data=torch.tensor(predicted)[None]),
            seg_logits=dict(data=logits),
        )
        | changes
    )


@pytest.fixture
def analysis(tmp_path):
    write_maps(tmp_path, 'val')
    cfg = segmentor(tmp_path)
    cfg.test_dataloader = cfg.val_dataloader
    cfg.test_dataloader.dataset.metainfo.palette = PALETTE
    return build_analysis(cfg, AnalysisSettings(pictures=1))


def test_iou_confusions_and_images(analysis, tmp_path):
    for number in range(3):
        analysis.take(sample(tmp_path, number))
    report = analysis.report()
    numbers = report.numbers
    truth, predicted = (np.stack([make(n) for n in range(3)]) for make in (labels_of, found))
    for label, own in enumerate(numbers['per_class']):
        both = ((truth == label) & (predicted == label)).sum()
        assert own['iou'] == pytest.approx(both / ((truth == label) | (predicted == label)).sum())
        assert own['accuracy'] == pytest.approx(both / (truth == label).sum())
    assert numbers['mIoU'] == pytest.approx(np.mean([c['iou'] for c in numbers['per_class']]))
    assert numbers['pixel_accuracy'] == pytest.approx((truth == predicted).mean())
    counts = numbers['confusion_matrix']['counts']
    assert counts.sum() == truth.size and counts[1, 0] == 4 * (4 + 8)
    assert [image['image'] for image in numbers['per_image']] == [
        'val/2.jpg',
        'val/1.jpg',
        'val/0.jpg',
    ]
    confidence = torch.tensor([4.0, 0, 0]).softmax(0)[0].item()
    expected = abs(confidence - numbers['pixel_accuracy'])
    error = numbers['calibration']['expected_calibration_error']
    assert error == pytest.approx(expected, abs=1e-5)
    page = write_analysis(report, tmp_path / 'out', 'page', {}).read_text()
    assert 'val/2.jpg: mIoU' in page and 'val/0.jpg: mIoU 100.0 %' in page
    assert 'val/1.jpg' not in page  # neither the worst nor the best
    assert json.loads((tmp_path / 'out' / 'analysis.json').read_text())['classes'] == list(GROUND)


def test_pixels_and_classes_that_are_not_there_count_nowhere(analysis, tmp_path):
    labels = labels_of(0)
    labels[labels == 2] = 255
    analysis.take(sample(tmp_path, 0, gt_sem_seg=dict(data=torch.tensor(labels)[None])))
    report = analysis.report()
    assert report.numbers['per_class'][2]['pixels'] == 0
    assert np.isnan(report.numbers['per_class'][2]['iou']) and report.numbers['mIoU'] == 1
    assert 'No pixels in the test data: roof' in report.sections[0].parts[0]


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(gt_sem_seg=None), 'have no label maps to compare predictions with'),
        (dict(pred_sem_seg=None), 'a sample without a label map, it has img_path'),
        (
            dict(pred_sem_seg=dict(data=torch.zeros(1, 8, 8))),
            '16 x 24 pixels, the prediction 8 x 8',
        ),
        (dict(pred_sem_seg=dict(data=torch.full((1, 16, 24), 7))), 'labels from 7 to 7'),
    ],
)
def test_samples_that_do_not_fit_are_named(change, message, analysis, tmp_path):
    given = {
        key: value for key, value in sample(tmp_path, 0, **change).items() if value is not None
    }
    with pytest.raises(ValueError, match=message):
        analysis.take(given)


def test_nothing_to_analyse_is_named(analysis, tmp_path):
    with pytest.raises(ValueError, match='there are no predictions'):
        analysis.report()
    analysis.take(sample(tmp_path, 0, gt_sem_seg=dict(data=torch.full((1, 16, 24), 255))))
    with pytest.raises(ValueError, match='no pixel of the label maps of 1 image'):
        analysis.report()
