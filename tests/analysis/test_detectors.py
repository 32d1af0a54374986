"""The analysis of detectors: COCO's AP, TIDE's kinds of errors, thresholds, confusions, pictures."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from own_data import HEIGHT, NAMES, WIDTH, detector, write_coco
from pycocotools import mask as mask_coding
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from repnext_mm.analysis.coco_truth import read_truth
from repnext_mm.analysis.report import write_analysis
from repnext_mm.analysis.settings import AnalysisSettings
from repnext_mm.analysis.tasks import build_analysis

pytest.importorskip('hotcoco', reason='the extra analysis is not installed')

FIRST, SECOND, THIRD = ((2, 3, 6, 11), (7, 3, 11, 11), (12, 3, 16, 11))
"""Where own_data.write_coco puts the objects of its three classes, as x1, y1, x2, y2."""

SHIFTED = (4, 3, 8, 11)
"""An IoU of 1/3 with the first."""

FOUND = {
    1: [(0, FIRST, 0.9), (1, SECOND, 0.8), (2, THIRD, 0.7)],
    2: [(0, FIRST, 0.95), (2, SECOND, 0.6)],  # the wrong class
    3: [(0, SHIFTED, 0.85), (1, SECOND, 0.88), (1, SECOND, 0.7)],  # beside it, and twice
    4: [(0, (18, 1, 22, 6), 0.92), (2, THIRD, 0.65)],  # on the background
    5: [],
    6: [(1, SECOND, 0.55), (2, SHIFTED, 0.68)],  # beside it, and the wrong class
}


TWO_PICTURES = AnalysisSettings(pictures=2)


def sample(number: int, objects: list) -> dict:
    """A data sample as mmdet's metrics get it."""
    masks = np.zeros((len(objects), HEIGHT, WIDTH), np.uint8)
    for mask, (_, (left, top, right, bottom), _) in zip(masks, objects, strict=True):
        mask[top:bottom, left:right] = 1
    coded = [mask_coding.encode(np.asfortranarray(mask)) for mask in masks]
    labels, boxes, scores = zip(*objects, strict=True) if objects else ((), (), ())
    instances = dict(
        bboxes=torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4),
        scores=torch.tensor(scores, dtype=torch.float64),
        labels=torch.tensor(labels, dtype=torch.int64),
        masks=coded,
    )
    return dict(img_id=number, img_path=None, pred_instances=instances)


def config(root, classes=NAMES):
    cfg = detector(root, classes, len(classes))
    cfg.test_dataloader = cfg.val_dataloader
    return cfg


def analysis(root, found=None, settings=TWO_PICTURES, edit=None):
    write_coco(root, 'val', edit, count=len(FOUND))
    made = build_analysis(config(root), settings)
    for number, objects in (FOUND if found is None else found).items():
        made.take(sample(number, objects) | dict(img_path=str(root / 'val' / f'{number - 1}.jpg')))
    return made


@pytest.fixture(scope='module')
def report(tmp_path_factory):
    return analysis(tmp_path_factory.mktemp('data')).report()


def reference(root, kind: str, label: int, made) -> np.ndarray:
    """COCO's numbers of a class, by pycocotools with mmdet's numbers of detections."""
    truth = COCO(str(root / 'val.json'))
    found = made.found.masks if kind == 'segm' else made.found.boxes
    evaluator = COCOeval(truth, truth.loadRes([dict(entry) for entry in found]), kind)
    evaluator.params.maxDets = [100, 300, 1000]
    evaluator.params.catIds = [label + 1]
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    return evaluator.stats[:6]


@pytest.mark.filterwarnings('ignore:__array__ implementation:DeprecationWarning')
@pytest.mark.parametrize('kind', ['bbox', 'segm'])
def test_ap_of_each_class_and_size_is_that_of_pycocotools(kind, tmp_path):
    def of_several_sizes(content):
        for number, annotation in enumerate(content['annotations']):
            annotation['area'] = (32, 2000, 20000)[number % 2]

    made = analysis(tmp_path, edit=of_several_sizes)
    numbers = made.report().numbers[kind]
    keys = ('AP', 'AP50', 'AP75', 'AP_small', 'AP_medium', 'AP_large')
    for label, own in enumerate(numbers['per_class']):
        expected = reference(tmp_path, kind, label, made)
        found = [-1 if own[key] is None else own[key] for key in keys]
        assert found == pytest.approx(expected.tolist(), abs=1e-12)
        assert own['AP_medium'] is not None and own['AP_large'] is None
    assert numbers['AP'] == pytest.approx(np.mean([c['AP'] for c in numbers['per_class']]))


def test_errors_are_those_of_tide(report):
    tide = report.numbers['bbox']['tide']
    counts = {name: kind['count'] for name, kind in tide['kinds'].items()}
    assert counts == TIDE_COUNTS
    gains = {name: kind['delta_AP50'] for name, kind in tide['kinds'].items()}
    assert {name: 100 * gain for name, gain in gains.items()} == pytest.approx(TIDE_GAINS, abs=1e-4)


def test_best_thresholds_have_the_largest_f1(report):
    first, second, third = (c['best_threshold'] for c in report.numbers['bbox']['per_class'])
    assert first == pytest.approx(dict(threshold=0.9, precision=2 / 3, recall=2 / 6, f1=4 / 9))
    assert second == pytest.approx(dict(threshold=0.55, precision=3 / 4, recall=3 / 6, f1=0.6))
    assert third == pytest.approx(dict(threshold=0.65, precision=2 / 3, recall=2 / 6, f1=4 / 9))


def test_confusions_and_images_count_what_is_certain_enough(tmp_path):
    numbers = analysis(tmp_path, settings=AnalysisSettings(2, 0.3)).report().numbers['segm']
    matrix = numbers['confusion_matrix']['counts']
    assert matrix.tolist() == [[2, 0, 0, 4], [0, 3, 1, 2], [0, 0, 2, 4], [2, 1, 1, 0]]
    worst, *_, best = numbers['per_image']
    assert (worst['img_id'], worst['f1'], worst['missed']) == (5, 0, 3)
    assert (best['img_id'], best['right'], best['f1']) == (1, 3, 1)


def test_numbers_pictures_and_a_page_are_written(report, tmp_path):
    page = write_analysis(report, tmp_path / 'out', '<b>', dict(config='a & b.py')).read_text()
    assert '<h1>&lt;b&gt;</h1>' in page and 'a &amp; b.py' in page
    numbers = json.loads((tmp_path / 'out' / 'analysis.json').read_text())
    assert numbers['segm']['per_class'][0]['name'] == 'screw' and numbers['images'] == 6
    pictures = {path.name for path in (tmp_path / 'out').iterdir() if path.suffix == '.png'}
    kinds = ('precision_recall', 'errors', 'confusion', 'calibration')
    assert pictures == {f'{part}_{kind}.png' for part in ('bbox', 'segm') for kind in kinds}
    assert len(list((tmp_path / 'out' / 'segm_worst').iterdir())) == 2
    assert page.count('<img') == 2 * (len(kinds) + 4) and 'http' not in page


def test_a_class_without_objects_has_no_ap(tmp_path):
    def without_third(content):
        kept = [entry for entry in content['annotations'] if entry['category_id'] != 3]
        return dict(content, annotations=kept)

    report = analysis(tmp_path, edit=without_third).report()
    third = report.numbers['bbox']['per_class'][2]
    assert (third['AP'], third['objects'], third['best_threshold']) == (None, 0, None)
    assert 'no AP: washer' in report.sections[0].parts[0]


def test_a_split_without_annotations_is_named(tmp_path):
    with pytest.raises(ValueError, match=r'val.json has no objects of screw, nut, washer in 6'):
        analysis(tmp_path, edit=lambda content: dict(content, annotations=[]))


def test_other_formats_are_named():
    with pytest.raises(ValueError, match="data in COCO's format, the test data are of Simple"):
        read_truth(SimpleNamespace())


@pytest.mark.parametrize(
    ('found', 'message'),
    [
        ({}, 'there are no predictions'),
        ({1: [], 2: []}, '4 of 6 images have no predictions'),
        (dict.fromkeys(FOUND, ()), 'has found nothing on any of 6 images'),
        (FOUND | {9: []}, 'are of image 9, which'),
        ({1: [(3, FIRST, 0.5)]}, 'class 3 is predicted, and the test data have 3 classes'),
    ],
)
def test_predictions_that_do_not_fit_are_named(found, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        analysis(tmp_path, {number: list(objects) for number, objects in found.items()}).report()


def test_a_sample_of_another_task_is_named(tmp_path):
    with pytest.raises(ValueError, match='a sample without detections, it has pred_score'):
        analysis(tmp_path, {}).take(dict(pred_score=1))


TIDE_COUNTS = dict(classification=1, localisation=1, both=1, duplicate=1, background=1, missed=9)
TIDE_GAINS = dict(
    classification=4.5050,
    localisation=4.6755,
    both=1.8702,
    duplicate=1.4026,
    background=1.8702,
    missed=35.2035,
)
"""From tidecv 1.0.1 on the same boxes, in points of AP50."""
