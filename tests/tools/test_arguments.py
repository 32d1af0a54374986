"""What the command line makes of a config, without running it."""

import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import EMAHook

from repnext_mm.border import DEBUG
from repnext_mm.commands import test, train
from repnext_mm.config_dicts import type_name
from repnext_mm.hooks import ReparameterizeHook
from repnext_mm.launch import device

TOOLS = Path(__file__).parents[2] / 'tools'
HOOK = 'repnext_mm.ReparameterizeHook'


class Built(Exception):  # noqa: N818 (it carries a result)
    """Carries the config that a Runner would be built from."""


@pytest.fixture
def configure(tmp_path, monkeypatch):
    """Calls a tool with arguments and returns the config that it arrives at."""
    for name in ('LOCAL_RANK', 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'):
        monkeypatch.setenv(name, '0')
    monkeypatch.setenv(DEBUG, '1')  # errors come through as they are

    def stop(cfg, summary=True):
        raise Built(cfg)

    commands = {'test.py': test, 'train.py': train}

    def call(tool: str, text: str, *arguments: str) -> Config:
        path = tmp_path / 'config.py'
        path.write_text(text)
        monkeypatch.setattr(commands[tool], 'build_runner', stop)
        monkeypatch.setattr(sys, 'argv', [tool, str(path), *arguments])
        with pytest.raises(Built) as info:
            runpy.run_path(str(TOOLS / tool), run_name='__main__')
        return info.value.args[0]

    return call


TRAIN = """
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1))
auto_scale_lr = dict(enable=False, base_batch_size=16)
"""


def test_train_arguments_reach_the_config(configure, monkeypatch):
    monkeypatch.setattr(device, 'get_device', lambda: 'cuda')
    cfg = configure('train.py', TRAIN, '--amp', '--auto-scale-lr', '--work-dir', 'here')
    assert (cfg.optim_wrapper.type, cfg.optim_wrapper.loss_scale) == ('AmpOptimWrapper', 'dynamic')
    assert cfg.auto_scale_lr.enable and cfg.work_dir == 'here'
    assert not cfg.get('resume')


def test_checks_of_the_command_line_and_the_config_are_skipped(configure):
    text = TRAIN + "checks = dict(skip=['orientation'])\n"
    cfg = configure('train.py', text, '--skip-checks', 'topk', 'image-size')
    assert cfg.checks.skip == ['orientation', 'topk', 'image-size']


def test_resume_takes_the_latest_or_a_named_checkpoint(configure, tmp_path):
    paths = [tmp_path / name for name in ('epoch_1.pth', 'epoch_2.pth')]
    content = dict(meta={}, message_hub={}, optimizer={})
    work_dir = ['--work-dir', str(tmp_path)]
    cfg = configure('train.py', TRAIN, *work_dir, '--resume')
    assert not cfg.resume and cfg.get('load_from') is None
    for path in paths:
        torch.save(content, path)
    cfg = configure('train.py', TRAIN, *work_dir, '--resume')
    assert cfg.resume and cfg.load_from == str(paths[1])
    cfg = configure('train.py', TRAIN, *work_dir, '--resume', str(paths[0]))
    assert cfg.resume and cfg.load_from == str(paths[0])


def test_deterministic_training_is_resumable(configure):
    options = ['randomness.deterministic=True', 'randomness.seed=0']
    cfg = configure('train.py', TRAIN, '--cfg-options', *options)
    assert cfg.custom_hooks == [dict(type='repnext_mm.ReseedHook')]


ADAPTIVE = TRAIN.replace("'OptimWrapper'", "'repnext_mm.AdaptiveClipOptimWrapper'")


@pytest.mark.parametrize(
    ('text', 'kind'),
    [
        (ADAPTIVE, 'AdaptiveClipAmpOptimWrapper'),
        (TRAIN.replace('Optim', 'AmpOptim', 1), 'AmpOptimWrapper'),
    ],
)
def test_amp_keeps_the_kind_of_optimizer_wrapper(configure, monkeypatch, text, kind):
    monkeypatch.setattr(device, 'get_device', lambda: 'cuda')
    cfg = configure('train.py', text, '--amp')
    assert (cfg.optim_wrapper.type, cfg.optim_wrapper.loss_scale) == (kind, 'dynamic')


@pytest.mark.parametrize('launcher', ['slurm', 'mpi'])
def test_other_launchers_reach_the_config(configure, launcher, monkeypatch):
    monkeypatch.setattr(device, 'get_device', lambda: 'cuda')
    assert configure('train.py', TRAIN, '--launcher', launcher).launcher == launcher


def test_auto_scale_lr_needs_a_base_batch_size(configure):
    with pytest.raises(ValueError, match='base_batch_size'):
        configure('train.py', '', '--auto-scale-lr')


@pytest.mark.parametrize(
    ('hooks', 'arguments', 'expected'),
    [
        ('[]', [], [dict(type=HOOK, form='fused')]),
        ('[]', ['--form', 'plain'], [dict(type=HOOK, form='plain')]),
        ('[]', ['--form', 'training'], []),
        (
            f"[dict(type='{HOOK}', form='plain', verify=None)]",
            [],
            [dict(type=HOOK, form='plain', verify=None)],
        ),
        (
            f"[dict(type='{HOOK}', form='plain', verify=None)]",
            ['--form', 'fused'],
            [dict(type=HOOK, form='fused', verify=None)],
        ),
        (f"[dict(type='{HOOK}')]", ['--form', 'training'], []),
        (f"[dict(type='{HOOK}', mode='plain')]", [], [dict(type=HOOK, form='plain')]),
        (
            f"[dict(type='{HOOK}', mode='plain')]",
            ['--form', 'fused'],
            [dict(type=HOOK, form='fused')],
        ),
    ],
    ids=str,
)
def test_option_chooses_the_form_and_keeps_the_options_of_the_hook(
    configure, tmp_path, hooks, arguments, expected
):
    (tmp_path / 'any.pth').touch()
    cfg = configure('test.py', f'custom_hooks = {hooks}', str(tmp_path / 'any.pth'), *arguments)
    assert cfg.custom_hooks == expected


@pytest.mark.parametrize(
    ('value', 'expected'), [('none', []), ('plain', [dict(type=HOOK, form='plain')])]
)
def test_old_option_still_works_and_names_the_new_one(configure, tmp_path, value, expected):
    (tmp_path / 'any.pth').touch()
    checkpoint = str(tmp_path / 'any.pth')
    with pytest.warns(DeprecationWarning, match='--deploy is an old name.*--form') as warned:
        cfg = configure('test.py', 'custom_hooks = []', checkpoint, '--deploy', value)
    assert cfg.custom_hooks == expected
    assert [Path(found.filename) for found in warned] == [TOOLS / 'test.py']


MERGED = "model = dict(backbone=dict(deploy='plain'))"


@pytest.mark.parametrize('hooks', ['[]', f"[dict(type='{HOOK}', form='fused')]"])
def test_backbone_that_is_built_merged_decides_the_form(configure, tmp_path, hooks):
    (tmp_path / 'any.pth').touch()
    text = f'{MERGED}\ncustom_hooks = {hooks}'
    cfg = configure('test.py', text, str(tmp_path / 'any.pth'))
    assert cfg.custom_hooks == [dict(type=HOOK, form='plain')]
    arguments = [str(tmp_path / 'any.pth'), '--form', 'training']
    (tmp_path / 'config.py').write_text(text)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(ValueError, match=r"'plain'.: leave"):
        patch.setattr(sys, 'argv', ['test.py', str(tmp_path / 'config.py'), *arguments])
        runpy.run_path(str(TOOLS / 'test.py'), run_name='__main__')


def test_types_may_be_classes():
    names = [type_name(dict(type=kind)) for kind in (EMAHook, 'mmengine.EMAHook', HOOK)]
    assert names == ['EMAHook', 'EMAHook', 'ReparameterizeHook']
    assert type_name(dict(type=ReparameterizeHook)) == 'ReparameterizeHook'


PIPELINE = """
default_scope = '{scope}'
model = dict(type='Any')
test_dataloader = dict(dataset=dict(type='Wrapper', dataset=dict(type='Inner', pipeline=[
    dict(type='LoadImageFromFile'), dict(type='Resize', scale=(100, 60), keep_ratio=True),
    dict(type='LoadAnnotations'), dict(type='Pack', meta_keys=('img_id',))])))
"""


@pytest.mark.parametrize(
    ('scope', 'scales'),
    [
        ('mmdet', [(50, 30), (100, 60), (150, 90)]),
        ('mmseg', [(50, 30), (75, 45), (100, 60), (125, 75), (150, 90), (175, 105)]),
        ('mmpretrain', []),
    ],
)
def test_tta_resizes_and_flips(configure, tmp_path, scope, scales):
    (tmp_path / 'any.pth').touch()
    cfg = configure('test.py', PIPELINE.format(scope=scope), str(tmp_path / 'any.pth'), '--tta')
    load, *single, views = cfg.test_dataloader.dataset.dataset.pipeline
    *variants, flips, pack = views.transforms
    assert (load.type, views.type) == ('LoadImageFromFile', 'TestTimeAug')
    assert [flip.prob for flip in flips] == [0.0, 1.0]
    assert pack[0].meta_keys == ('img_id', 'flip', 'flip_direction')
    if scales:
        assert not single and [resize.scale for resize in variants[0]] == scales
        assert variants[1][0].type == 'LoadAnnotations'
    else:
        assert not variants and [step.type for step in single] == ['Resize', 'LoadAnnotations']
    assert cfg.model.module.type == 'Any' and 'TTA' in cfg.model.type
