"""Converting and merging checkpoints on the command line."""

import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from commands import CONFIG, ROOT, SLIM
from official_files import IMAGENET_LAYOUTS, detector, save, segmentor

from repnext_mm.checkpoints.files import load_from_local, sha256
from repnext_mm.reparam import fastest

REAL = Path(os.environ.get('REPNEXT_TEST_DATA', ROOT.parent / 'shared' / 'data'))
COCO = ROOT / 'configs' / 'mask_rcnn_repnext_m0_coco.py'
ADE = ROOT / 'configs' / 'fpn_repnext_m0_ade20k.py'
WITHOUT_WORKERS = ('test_dataloader.num_workers=0', 'test_dataloader.persistent_workers=False')


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_convert_writes_what_it_read_and_is_idempotent(suffix, inside, tmp_path):
    source = save(IMAGENET_LAYOUTS['model']('m0'), tmp_path / 'official.pth')
    once, twice = tmp_path / f'once{suffix}', tmp_path / f'twice{suffix}'
    for first, second in ((source, once), (once, twice)):
        result = inside('convert_checkpoint.py', first, second)
        assert result.returncode == 0, result.stderr[-2000:]
        assert 'RepNeXt m0, training form, complete' in result.stdout
    states = [load_from_local(str(path))['state_dict'] for path in (source, once, twice)]
    for state in states[1:]:
        assert state.keys() == states[0].keys()
        assert all(torch.equal(state[name], value) for name, value in states[0].items())
    meta = load_from_local(str(once))['meta']
    assert meta['arch'] == 'm0' and meta['source_sha256'] == sha256(source)


def test_convert_compares_with_a_config_and_writes_nothing_incomplete(inside, tmp_path):
    source = save(detector('m0'), tmp_path / 'old.pth')
    target = tmp_path / 'new.pth'
    result = inside('convert_checkpoint.py', source, target, '--config', COCO)
    assert result.returncode == 0, result.stderr[-2000:]
    assert '0 missing, 0 unexpected' in result.stdout
    assert load_from_local(str(target))['meta']['dataset_meta']['classes'] == ['person', 'bicycle']

    content = detector('m0')
    del content['state_dict']['neck.fpn_convs.0.conv.bias']
    source, target = save(content, tmp_path / 'torn.pth'), tmp_path / 'never.pth'
    result = inside('convert_checkpoint.py', source, target, '--config', COCO)
    assert result.returncode == 1 and '1 missing (neck.fpn_convs.0.conv.bias)' in result.stdout
    assert not target.exists()
    result = inside(
        'convert_checkpoint.py', source, target, '--config', COCO, '--allow-partial-load'
    )
    assert result.returncode == 0 and target.exists()


def test_convert_says_what_it_cannot_read(inside, tmp_path):
    other = save({'layer1.weight': torch.ones(1)}, tmp_path / 'resnet.pth')
    for arguments, words in (
        ((other, tmp_path / 'x.pth'), ['no complete checkpoint', 'tiny', 'm5']),
        ((other, tmp_path / 'x.pth', '--config', COCO), ['It holds no RepNeXt']),
        ((tmp_path / 'missing.pth', tmp_path / 'x.pth'), ['missing.pth']),
        ((other, tmp_path / 'x.onnx'), ['.safetensors', 'x.onnx']),
        ((other, other), ['same file']),
    ):
        result = inside('convert_checkpoint.py', *arguments)
        assert result.returncode != 0
        said = result.stdout + result.stderr
        assert all(word in said for word in words), said[-2000:]
    assert sorted(path.name for path in tmp_path.iterdir()) == ['resnet.pth']


@pytest.mark.distribution
def test_merged_checkpoint_tests_like_the_training_form(
    inside, data, checkpoint, tmp_path, monkeypatch
):
    monkeypatch.setattr(fastest, 'fastest', lambda timings: 'plain')
    form, target = 'plain', tmp_path / 'merged.safetensors'
    options = ['--cfg-options', *SLIM, 'model.test_cfg.rcnn.score_thr=0.0']
    command = ['reparameterize.py', CONFIG, checkpoint, target, '--form', 'auto']
    result = inside(*command, '--shape', 64, 96, *options, data=data)
    assert result.returncode == 0, result.stderr[-2000:]
    content = load_from_local(str(target))
    meta = content['meta']
    assert meta['form'] == form and meta['source_sha256'] == sha256(checkpoint)
    assert meta['choice']['form'] == form
    assert meta['choice']['target']['shape'] == [1, 3, 64, 96]
    assert meta['arch']['channels'] == [8, 8, 16, 16] and meta['difference'] < 1e-4
    assert not [n for n in content['state_dict'] if n.startswith('backbone') and 'norm' in n]

    reports = {}
    deployed = [*options, f'model.backbone.deploy={form}']
    for name, source, arguments in (
        ('training', checkpoint, ['--form', 'training', *options]),
        ('merged', target, deployed),
    ):
        work_dir = tmp_path / name
        command = ['test.py', CONFIG, source, '--work-dir', work_dir, *arguments]
        result = inside(*command, data=data)
        assert result.returncode == 0, result.stderr[-2000:]
        assert 'do not match exactly' not in result.stdout
        reports[name] = json.loads((work_dir / 'metrics.json').read_text())
    assert reports['merged']['form'] == form
    for key, value in reports['training']['metrics'].items():
        assert reports['merged']['metrics'][key] == pytest.approx(value, abs=1e-3)


def test_reparameterize_writes_nothing_when_it_fails(inside, data, checkpoint, tmp_path):
    merged, target = tmp_path / 'merged.pth', tmp_path / 'never.pth'
    options = ['--cfg-options', *SLIM]
    result = inside('reparameterize.py', CONFIG, checkpoint, merged, *options, data=data)
    assert result.returncode == 0, result.stderr[-2000:]
    content = load_from_local(str(checkpoint))
    torn = save(
        dict(state_dict=dict(list(content['state_dict'].items())[5:])), tmp_path / 'torn.pth'
    )
    deployed = [*options, 'model.backbone.deploy=fused']
    for source, arguments, words in (
        (checkpoint, ['--tolerance', '0', *options], ['differs', 'tolerance']),
        (torn, options, ['missing', 'allow_partial_load']),
        (merged, options, ["merged ('fused')", 'model.backbone.deploy=fused']),
        (merged, deployed, ['leave deploy out']),
        (checkpoint, ['--form', 'plane'], ["'plane'", 'fused', 'plain']),
        ('missing.pth', options, ["'missing.pth'"]),
    ):
        result = inside('reparameterize.py', CONFIG, source, target, *arguments, data=data)
        assert result.returncode != 0
        assert all(word in result.stderr for word in words), result.stderr[-2000:]
        assert not target.exists() and not list(tmp_path.glob('.*'))


def test_merged_checkpoint_in_the_training_config_is_an_error(inside, data, checkpoint, tmp_path):
    options = ['--cfg-options', *SLIM]
    merged = tmp_path / 'merged.pth'
    inside('reparameterize.py', CONFIG, checkpoint, merged, *options, data=data)
    for name, arguments in (
        ('test.py', [CONFIG, merged]),
        ('benchmark.py', [CONFIG, merged]),
    ):
        command = [*arguments, '--work-dir', tmp_path / 'run', *options]
        result = inside(name, *command, data=data)
        assert result.returncode != 0
        assert 'model.backbone.deploy=fused' in result.stderr, result.stderr[-2000:]
    deployed = [*options, 'model.backbone.deploy=fused', f'load_from={merged}']
    command = [CONFIG, '--work-dir', tmp_path / 'run', *deployed, 'train_cfg.max_iters=1']
    result = inside('train.py', *command, data=data)
    assert result.returncode != 0 and 'finetune_deployed=True' in result.stderr


@pytest.mark.distribution
@pytest.mark.skipif(not (REAL / 'tiny_coco').is_dir(), reason='no real data')
def test_detector_in_the_old_layout_runs_on_real_images(inside, tmp_path):
    content = json.loads((REAL / 'tiny_coco/annotations/instances_train2017.json').read_text())
    numbers = [image['id'] for image in content['images'][:3]]
    content['images'] = content['images'][:3]
    content['annotations'] = [a for a in content['annotations'] if a['image_id'] in numbers]
    (tmp_path / 'annotations').mkdir()
    (tmp_path / 'annotations' / 'instances_val2017.json').write_text(json.dumps(content))
    (tmp_path / 'val2017').symlink_to(REAL / 'tiny_coco' / 'train2017')
    old = save(detector('m0'), tmp_path / 'old.pth')
    converted = tmp_path / 'new.safetensors'
    assert inside('convert_checkpoint.py', old, converted, '--config', COCO).returncode == 0
    options = [
        *WITHOUT_WORKERS,
        'test_dataloader.dataset.pipeline.1.scale=(320,192)',
        'model.test_cfg.rcnn.score_thr=0.0',
        'model.test_cfg.rcnn.max_per_img=40',
    ]
    found = []
    for source, extra in (
        (old, ['--form', 'training', '--cfg-options', *options]),
        (converted, ['--cfg-options', *options, 'model.backbone.deploy=fused']),
    ):
        out = tmp_path / 'predictions.pkl'
        command = ['test.py', COCO, source, '--work-dir', tmp_path / 'run', '--out', out]
        result = inside(*command, *extra, COCO_ROOT=tmp_path)
        assert result.returncode == 0, result.stderr[-2000:]
        assert 'do not match exactly' not in result.stdout
        predictions = pickle.loads(out.read_bytes())
        found.append(torch.cat([p['pred_instances']['scores'] for p in predictions]))
    assert len(found[0]) > 100 and found[0].std() > 0
    # Random heads score many boxes alike, so that rounding changes which of them survive.
    assert ((found[1] - found[0]).abs() < 1e-4).float().mean() > 0.9


@pytest.mark.distribution
@pytest.mark.skipif(not (REAL / 'tiny_ade20k').is_dir(), reason='no real data')
@pytest.mark.filterwarnings('ignore:The draw is False')  # as mmseg's own default is
def test_segmentor_in_the_old_layout_runs_on_real_images(inside, tmp_path):
    old = save(segmentor('m0'), tmp_path / 'old.pth')
    found = []
    for form in ('training', 'fused'):
        out = tmp_path / f'{form}.pkl'
        command = ['test.py', ADE, old, '--work-dir', tmp_path / 'run', '--out', out]
        options = [*WITHOUT_WORKERS, 'test_dataloader.dataset.pipeline.1.scale=(512,128)']
        extra = ['--form', form, '--cfg-options', *options]
        result = inside(*command, *extra, ADE_ROOT=REAL / 'tiny_ade20k')
        assert result.returncode == 0, result.stderr[-2000:]
        assert 'do not match exactly' not in result.stdout
        metrics = json.loads((tmp_path / 'run' / 'metrics.json').read_text())['metrics']
        assert {'mIoU', 'aAcc', 'mAcc'} == set(metrics)
        predictions = pickle.loads(out.read_bytes())
        found.append([p['pred_sem_seg']['data'] for p in predictions])
    assert len(found[0]) == 2 and out.stat().st_size < 50e6  # labels, not the scores of 150 classes
    for merged, training in zip(found[1], found[0], strict=True):
        assert len(training.unique()) > 1
        assert (merged != training).float().mean() < 1e-3
