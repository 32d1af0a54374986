"""The inferencers of mmdet, mmseg and mmpretrain with RepNeXt, in training form and merged."""

import shutil
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from commands import TOOLS
from examples import documented
from mmengine.registry import DefaultScope

import repnext_mm  # noqa: F401 (before mmdet)

pytestmark = [
    pytest.mark.distribution,
    pytest.mark.filterwarnings('ignore'),  # those of other projects are theirs
]


@pytest.fixture
def here(project, monkeypatch) -> Path:
    """The project's folder, and no default scope, as in a new process."""
    monkeypatch.chdir(project)
    monkeypatch.setattr(DefaultScope, '_instance_dict', OrderedDict())
    return project


def both_forms(here: Path, inside, stem: str, checkpoint: Path) -> Iterator[tuple[str, str]]:
    """Config and checkpoint of the training form, of the merged one, and of one on its way."""
    name = 'mask_rcnn_repnext'
    config, merged = here / f'{stem}_merged.py', here / f'{stem}_merged.pth'
    config.write_text(documented()[f'{name}_merged.py'].replace(f'{name}.py', f'{stem}.py'))
    inside(TOOLS / 'reparameterize.py', f'{stem}.py', checkpoint, merged)
    yield f'{stem}.py', str(checkpoint)
    yield str(config), str(merged)
    yield str(config), str(checkpoint)


def test_detectors_of_both_forms_find_the_same(here, detector, inside):
    from mmdet.apis import DetInferencer

    found = []
    for config, checkpoint in both_forms(here, inside, 'mask_rcnn_repnext', detector):
        inferencer = DetInferencer(config, checkpoint, device='cpu', show_progress=False)
        assert inferencer.model.backbone.deploy == ('fused' if 'merged' in config else None)
        samples = inferencer('shapes/val', return_datasamples=True)['predictions']
        found.append([sample.pred_instances for sample in samples])
    for others in found[1:]:
        for expected, actual in zip(found[0], others, strict=True):
            assert len(expected) == len(actual) == 10
            ranked = [instances.scores.sort().values for instances in (actual, expected)]
            torch.testing.assert_close(*ranked, atol=1e-4, rtol=0)
            # Equal scores may change places, so each box is looked up among all.
            distances = torch.cdist(expected.bboxes, actual.bboxes, p=torch.inf)
            assert distances.min(1).values.max() < 0.1


def test_segmentors_of_both_forms_see_the_same(here, segmentor, inside):
    from mmseg.apis import MMSegInferencer

    seen = []
    for config, checkpoint in both_forms(here, inside, 'fpn_repnext', segmentor):
        inferencer = MMSegInferencer(config, checkpoint, dataset_name='ade20k', device='cpu')
        sample = inferencer('images/0.png', return_datasamples=True)
        seen.append(sample.seg_logits.data)
    assert seen[0].shape == (150, 64, 64)
    for logits in seen[1:]:
        torch.testing.assert_close(logits, seen[0], atol=1e-4, rtol=1e-4)


def test_classifiers_of_both_forms_say_the_same(here, classifier, inside):
    from mmpretrain import ImageClassificationInferencer

    said = []
    for config, checkpoint in both_forms(here, inside, 'repnext_m1', classifier):
        inferencer = ImageClassificationInferencer(config, checkpoint, device='cpu')
        (result,) = inferencer('images/0.png')
        said.append(torch.tensor(result['pred_scores']))
    assert said[0].shape == (2,)
    for scores in said[1:]:
        torch.testing.assert_close(scores, said[0], atol=1e-5, rtol=1e-4)


def test_documented_inferencers_write_pictures(here, detector, segmentor, classifier, inside):
    for checkpoint, name in (
        (detector, 'epoch_12.pth'),
        (segmentor, 'iter_160000.pth'),
        (classifier, 'epoch_100.pth'),
    ):
        shutil.copy(checkpoint, here / name)
    for script, folder, pictures in (
        ('detect.py', 'detected/vis', 4),
        ('segment.py', 'segmented/vis', 4),
        ('classify.py', 'classified', 1),
    ):
        inside(here / script)
        assert len(list((here / folder).glob('*.png'))) == pictures
    assert len(list((here / 'detected' / 'preds').glob('*.json'))) == 4
