"""The analysis of classifiers: accuracies, confusions, and the images that are surely wrong."""

import pickle
import shutil
import subprocess

import numpy as np
import pytest
import torch
from mmengine.config import Config
from own_data import NAMES, classifier, write_folders

from repnext_mm.analysis.report import write_analysis
from repnext_mm.analysis.samples import read_predictions
from repnext_mm.analysis.settings import AnalysisSettings
from repnext_mm.analysis.tasks import build_analysis

LABELS = (0, 0, 1, 1, 2, 2)
"""Nuts, screws and washers, as CustomDataset sorts the folders."""

SCORES = torch.tensor([
    [0.8, 0.1, 0.1],
    [0.2, 0.7, 0.1],  # a nut that is surely a screw
    [0.1, 0.8, 0.1],
    [0.3, 0.6, 0.1],
    [0.5, 0.1, 0.4],  # a washer that may be a nut
    [0.0, 0.1, 0.9],
])  # fmt: skip
CHROMIUM = next(filter(shutil.which, ('chromium', 'chromium-browser', 'google-chrome')), None)


def samples(root) -> list[dict]:
    paths = sorted((root / 'val').rglob('*.jpg'))
    return [
        dict(img_path=str(path), gt_label=torch.tensor([label]), pred_score=scores)
        for path, label, scores in zip(paths, LABELS, SCORES, strict=True)
    ]


def prepared(root, names=NAMES):
    write_folders(root, 'val', names)
    cfg = classifier(root)
    cfg.test_dataloader = cfg.val_dataloader
    return build_analysis(cfg, AnalysisSettings(pictures=1))


@pytest.fixture
def report(tmp_path):
    analysis = prepared(tmp_path)
    for sample in samples(tmp_path):
        analysis.take(sample)
    return analysis.report()


def test_accuracies_confusions_and_worst_images(report):
    numbers = report.numbers
    assert numbers['top1'] == pytest.approx(4 / 6) and 'top5' not in numbers
    assert [own['accuracy'] for own in numbers['per_class']] == [0.5, 1, 0.5]
    assert [own['precision'] for own in numbers['per_class']] == [0.5, 2 / 3, 1]
    assert numbers['confusion_matrix']['counts'].tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 1]]
    best = numbers['per_class'][2]['best_threshold']
    assert best == pytest.approx(dict(threshold=0.4, precision=1, recall=1, f1=1))
    first, second = numbers['worst_images']
    assert (first['true'], first['predicted'], first['image']) == ('nut', 'screw', 'nut/1.jpg')
    assert second['score'] == pytest.approx(0.5)
    gaps = [0.7 - 0, 0.6 - 1, 0.5 - 0, 0.9 - 1, 2 * 0.8 - 2]  # of the bins, times their images
    error = numbers['calibration']['expected_calibration_error']
    assert error == pytest.approx(np.abs(gaps).sum() / 6, abs=1e-6)


def test_predictions_of_a_file_are_those_of_a_run(report, tmp_path):
    path = tmp_path / 'found.pkl'
    path.write_bytes(pickle.dumps(samples(tmp_path)))
    found = list(read_predictions(path))
    assert [sample['img_path'] for sample in found] == [s['img_path'] for s in samples(tmp_path)]
    assert torch.equal(found[1]['pred_score'], SCORES[1])


@pytest.mark.parametrize('content', [b'no pickle', pickle.dumps(dict(a=1)), b''])
def test_files_of_something_else_are_named(content, tmp_path):
    path = tmp_path / 'found.pkl'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'found.pkl .*tools/test.py --out'):
        list(read_predictions(path))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(gt_label=None), 'have no classes to compare predictions with'),
        (dict(pred_score=None), 'a sample without scores of classes, it has img_path'),
        (dict(gt_label=torch.tensor([0, 2])), 'an image has 2 classes'),
    ],
)
def test_samples_that_do_not_fit_are_named(change, message, tmp_path):
    analysis = prepared(tmp_path)
    given = samples(tmp_path)[0] | change
    with pytest.raises(ValueError, match=message):
        analysis.take({key: value for key, value in given.items() if value is not None})


def test_predictions_of_other_classes_are_named(tmp_path):
    analysis = prepared(tmp_path)
    analysis.take(samples(tmp_path)[0] | dict(pred_score=torch.rand(7)))
    with pytest.raises(ValueError, match='7 classes are predicted, and the test data have 3'):
        analysis.report()


def test_configs_without_an_analysis_are_named():
    with pytest.raises(ValueError, match="this one has default_scope='mmrotate'"):
        build_analysis(Config(dict(default_scope='mmrotate')), AnalysisSettings())
    with pytest.raises(ValueError, match='has no test data to analyse'):
        build_analysis(Config(dict(default_scope='mmpretrain')), AnalysisSettings())


def test_many_classes_with_long_names_make_a_page(tmp_path):
    count = 60
    names = [f'class {number} with $a long_name$ <b>' for number in range(count)]
    root = tmp_path / 'data'
    write_folders(root, 'val')
    cfg = classifier(root)
    cfg.test_dataloader = cfg.val_dataloader
    analysis = build_analysis(cfg, AnalysisSettings(pictures=1))
    analysis.names = names
    random = np.random.default_rng(0)
    path = str(root / 'val' / 'nut' / '0.jpg')
    for label in range(count):
        scores = random.dirichlet(np.ones(count)).astype(np.float32)
        analysis.take(dict(img_path=path, gt_label=[label], pred_score=scores))
    report = analysis.report()
    assert 0 < report.numbers['top5'] < 1
    page = write_analysis(report, tmp_path / 'out', 'page', {}).read_text()
    assert 'The plot has the 40 of 60 rows' in page and '<b>' not in page.replace('<body>', '')


@pytest.mark.skipif(CHROMIUM is None, reason='there is no Chromium')
def test_a_browser_sorts_the_table(report, tmp_path):
    path = write_analysis(report, tmp_path / 'out', 'page', {})
    script = (
        'addEventListener("load", () => {'
        'document.querySelectorAll("table.sortable th")[2].click();'  # accuracy
        'const rows = [...document.querySelector("table.sortable").tBodies[0].rows];'
        'const shown = [...document.images].map((image) => image.naturalWidth > 0);'
        'document.title = [...rows.map((row) => row.cells[0].textContent), ...shown].join(" ");'
        '})'
    )
    path.write_text(path.read_text().replace('</body>', f'<script>{script}</script></body>'))
    options = [
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        f'--user-data-dir={tmp_path / "chromium"}',
    ]
    command = [CHROMIUM, *options, '--dump-dom', path.as_uri()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert '<title>screw nut washer true true true true</title>' in result.stdout, result.stderr[
        -2000:
    ]
