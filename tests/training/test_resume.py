"""Which checkpoint a training resumes from, and what makes it deterministic."""

import os
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from interrupted import runner
from mmengine.config import Config

from repnext_mm.checkpoints.files import load_from_local, write_checkpoint
from repnext_mm.training import resume
from repnext_mm.training.resume import (
    check_training_state,
    latest_checkpoint,
    make_deterministic,
    prepare_resume,
)


@pytest.fixture
def log(monkeypatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(resume, 'print_log', lambda message, logger, level: lines.append(message))
    return lines


def save(path: Path, whole: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(state_dict=dict(weight=torch.zeros(100))), path)
    if not whole:
        path.write_bytes(path.read_bytes()[:-100])
    return path


def point(work_dir: Path, path: object) -> None:
    (work_dir / 'last_checkpoint').write_text(str(path))


def test_named_checkpoint_comes_before_higher_numbers(tmp_path, log):
    paths = [save(tmp_path / f'epoch_{step}.pth') for step in (2, 9)]
    point(tmp_path, paths[0])
    assert latest_checkpoint(tmp_path) == str(paths[0]) and log == []


@pytest.mark.parametrize('pointer', [None, '', 'epoch_11.pth', 'epoch_12.pth'])
def test_newest_complete_one_is_found_and_others_are_named(pointer, tmp_path, log):
    for step in (2, 9, 10):
        save(tmp_path / f'epoch_{step}.pth')
    save(tmp_path / 'epoch_11.pth', whole=False)
    for name in ('best_mAP_epoch_12.pth', 'epoch_13-0123abcd.pth', 'epoch_14.pt'):
        save(tmp_path / name)
    if pointer is not None:
        point(tmp_path, tmp_path / pointer if pointer else '')
    assert latest_checkpoint(str(tmp_path)) == str(tmp_path / 'epoch_10.pth')
    skipped = {'epoch_11.pth: it is incomplete'} | (
        {'epoch_12.pth: there is no such file'} if pointer == 'epoch_12.pth' else set()
    )
    assert all(any(text in line for line in log) for text in skipped)


def test_work_dir_may_have_moved_and_out_dir_be_another(tmp_path, log):
    save(tmp_path / 'moved' / 'iter_3.pth')
    point(tmp_path / 'moved', '/nowhere/run/iter_3.pth')
    assert latest_checkpoint(tmp_path / 'moved') == str(tmp_path / 'moved' / 'iter_3.pth')
    broken = save(tmp_path / 'out' / 'iter_6.pth', whole=False)
    save(tmp_path / 'out' / 'iter_4.pth')
    point(tmp_path / 'moved', broken)
    assert latest_checkpoint(tmp_path / 'moved') == str(tmp_path / 'out' / 'iter_4.pth')
    point(tmp_path / 'moved', 's3://bucket/run/iter_4.pth')
    assert latest_checkpoint(tmp_path / 'moved') == 's3://bucket/run/iter_4.pth'


def punch(path: Path, value: float = 7.0) -> None:
    """Changes a weight in the file, whose structure stays whole."""
    content = path.read_bytes()
    start = content.index(bytes(400))
    path.write_bytes(content[:start] + torch.tensor(value).numpy().tobytes() + content[start + 4 :])


def test_a_copy_of_a_work_dir_is_resumed_from_its_own_files(tmp_path, log):
    first, copy = tmp_path / 'first', tmp_path / 'copy'
    save(first / 'epoch_3.pth')
    point(first, first / 'epoch_3.pth')
    shutil.copytree(first, copy)
    assert latest_checkpoint(copy) == str(copy / 'epoch_3.pth')
    save(first / 'epoch_4.pth')
    point(first, first / 'epoch_4.pth')
    point(copy, first / 'epoch_4.pth')  # copied while the first went on
    assert latest_checkpoint(copy) == str(copy / 'epoch_3.pth')
    assert 'epoch_4.pth: there is no such file' in log[-1]
    (copy / 'epoch_3.pth').unlink()
    assert latest_checkpoint(copy) is None
    assert latest_checkpoint(first) == str(first / 'epoch_4.pth')


def test_damaged_checkpoints_are_skipped_and_refused(tmp_path, log):
    paths = [save(tmp_path / f'iter_{step}.pth') for step in (2, 4)]
    point(tmp_path, paths[1])
    assert latest_checkpoint(tmp_path) == str(paths[1])
    punch(paths[1])
    assert torch.load(paths[1], weights_only=True)['state_dict']['weight'][0] == 7
    assert latest_checkpoint(tmp_path) == str(paths[0])
    assert len(log) == 1 and 'iter_4.pth: it is damaged: its part' in log[0]
    with pytest.raises(ValueError, match='damaged'):
        check_training_state(str(paths[1]))
    with pytest.raises(ValueError, match=r'iter_4\.pth cannot be loaded: it is damaged'):
        load_from_local(str(paths[1]))


@pytest.mark.parametrize('key', ['state_dict', 'ema_state_dict', 'optimizer'])
def test_training_is_not_resumed_from_weights_that_are_not_finite(key, tmp_path, log):
    good = save(tmp_path / 'iter_2.pth')
    bad = dict(state_dict=dict(weight=torch.zeros(2)), meta={}, message_hub={}, optimizer={})
    bad[key] = dict(weight=torch.zeros(2), bias=torch.tensor([0, float('nan')]))
    torch.save(bad, tmp_path / 'iter_4.pth')
    assert latest_checkpoint(tmp_path) == str(good)
    assert f"iter_4.pth: it is not finite in '{key}.bias'" in log[0]
    with pytest.raises(ValueError, match=rf"'{key}\.bias'.*earlier checkpoint"):
        check_training_state(str(tmp_path / 'iter_4.pth'))
    good.unlink()
    with pytest.raises(ValueError, match=r'no checkpoint in .* has weights that are finite'):
        latest_checkpoint(tmp_path)


def test_there_may_be_none(tmp_path, log):
    assert latest_checkpoint(tmp_path / 'missing') is None
    with zipfile.ZipFile(tmp_path / 'epoch_1.pth', 'w') as archive:
        archive.writestr('readme.txt', 'no checkpoint')
    assert latest_checkpoint(tmp_path) is None
    assert len(log) == 1 and 'not a file of torch.save' in log[0]


def test_every_cut_of_a_checkpoint_is_seen(tmp_path, log):
    content = save(tmp_path / 'epoch_1.pth').read_bytes()
    for size in range(0, len(content), 7):
        (tmp_path / 'epoch_1.pth').write_bytes(content[:size])
        assert latest_checkpoint(tmp_path) is None


def test_latest_is_resumed_and_without_one_training_starts_as_configured(tmp_path, log):
    cfg = Config(dict(work_dir=str(tmp_path), load_from='pretrained.pth', resume=True))
    prepare_resume(cfg, 'auto')
    assert (cfg.resume, cfg.load_from) == (False, 'pretrained.pth')
    assert 'starts from the beginning' in log[-1]
    cfg = Config(dict(work_dir=str(tmp_path), resume=True))
    prepare_resume(cfg, None)
    assert not cfg.resume
    path = str(save(tmp_path / 'epoch_1.pth'))
    for source, options in (('auto', dict(load_from='pretrained.pth')), (None, dict(resume=True))):
        cfg = Config(dict(work_dir=str(tmp_path)) | options)
        prepare_resume(cfg, source)
        assert (cfg.resume, cfg.load_from) == (True, path)
    cfg = Config(dict(work_dir=str(tmp_path), load_from='pretrained.pth'))
    prepare_resume(cfg, None)
    assert dict(cfg) == dict(work_dir=str(tmp_path), load_from='pretrained.pth')


@pytest.mark.distribution
def test_only_the_state_of_a_training_can_be_resumed(tmp_path):
    runner(tmp_path, train_cfg=dict(by_epoch=True, max_epochs=1)).train()
    check_training_state(str(tmp_path / 'epoch_1.pth'))
    check_training_state('https://somewhere/epoch_1.pth')
    write_checkpoint(tmp_path / 'published.pth', dict(weight=torch.zeros(1)), {})
    write_checkpoint(tmp_path / 'weights.safetensors', dict(weight=torch.zeros(1)), {})
    torch.save([1], tmp_path / 'list.pth')
    save(tmp_path / 'half.pth', whole=False)
    for name, words in (
        ('published.pth', "lacks 'message_hub', 'optimizer'"),
        ('list.pth', "lacks 'meta'"),
        ('weights.safetensors', 'not a file of torch.save'),
        ('half.pth', 'incomplete'),
    ):
        path = str(tmp_path / name)
        with pytest.raises(ValueError, match=words) as info:
            prepare_resume(Config(dict(work_dir='.')), path)
        assert f'set load_from={path!r} in the config' in str(info.value)
    with pytest.raises(FileNotFoundError, match=r"'missing\.pth'"):
        check_training_state('missing.pth')


def test_determinism_adds_the_hook_once_and_lets_workers_end(monkeypatch, log):
    monkeypatch.delenv('CUBLAS_WORKSPACE_CONFIG', raising=False)
    cfg = Config(
        dict(
            randomness=dict(seed=0, deterministic=True),
            train_dataloader=dict(persistent_workers=True),
            custom_hooks=[dict(type='EMAHook')],
        )
    )
    for _ in range(2):
        make_deterministic(cfg)
        hooks = [dict(type='EMAHook'), dict(type='repnext_mm.ReseedHook')]
        assert cfg.custom_hooks == hooks
        assert cfg.train_dataloader.persistent_workers is False
    assert len(log) == 1 and 'persistent_workers' in log[0]
    assert os.environ.pop('CUBLAS_WORKSPACE_CONFIG') == ':4096:8'


@pytest.mark.parametrize('randomness', [None, dict(seed=0), dict(deterministic=False)])
def test_other_configs_are_left_alone(randomness, log):
    options = dict(train_dataloader=dict(persistent_workers=True), randomness=randomness)
    cfg = Config(options)
    make_deterministic(cfg)
    assert dict(cfg) == options and log == []


def test_determinism_needs_a_seed():
    with pytest.raises(ValueError, match=r'randomness\.seed'):
        make_deterministic(Config(dict(randomness=dict(deterministic=True, seed=None))))
