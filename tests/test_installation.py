"""The changes that ``import repnext_mm`` makes in a process, and how to leave them out."""

import inspect
import json
from collections.abc import Iterator

import pytest
from copies import Run, copies_of
from mmengine.fileio import io as file_io
from mmengine.fileio.backends import backends
from runners import build_runner

import repnext_mm
from repnext_mm.hooks.checkpoint_hook import WHOLE_FILES, WholeFileBackend
from repnext_mm.installation import VARIABLE

pytestmark = pytest.mark.distribution

MMENGINE = """
import json, sys
import torch, torchvision
from mmengine.config import Config
from mmengine.fileio.backends import backends
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader

assert 'repnext_mm' not in sys.modules
"""
# Prints which of the five things are as mmengine and Python made them.
STATE = """
loaders = [CheckpointLoader._get_checkpoint_loader(path).__module__.split('.')[0]
           for path in ('x.pth', 'http://x/y.pth', 'https://x/y.pth', 's3://x/y.pth')]
print(json.dumps(dict(
    mmcv_ops=sum(type(finder).__name__ == '_ExtensionFinder' for finder in sys.meta_path),
    checkpoint_loaders=loaders,
    log_history=HistoryBuffer in torch.serialization.get_safe_globals(),
    file_backend='repnext_mm.whole_files' in backends,
    config_bases=Config._get_cfg_path.__module__ != 'mmengine.config.config')))
"""
REPLACED = ['repnext_mm'] * 3 + ['mmengine']
INSTALLED = dict(
    mmcv_ops=1, checkpoint_loaders=REPLACED, log_history=True, file_backend=True, config_bases=True
)
UNTOUCHED = dict(
    mmcv_ops=0,
    checkpoint_loaders=['mmengine'] * 4,
    log_history=False,
    file_backend=False,
    config_bases=False,
)
MODULES = 'checkpoints.files, checkpoints.merging, hooks, models, training, launch.command_line'


@pytest.fixture(scope='module')
def run() -> Iterator[Run]:
    """Runs code in a process that has imported mmengine, and not our package."""
    with copies_of(MMENGINE) as run:
        yield run


def state_after(run: Run, code: str, value: str | None) -> dict:
    """The state of a process that ran the code, with this value of the variable."""
    return json.loads(run(code + STATE, **{VARIABLE: value}).splitlines()[-1])


ONE_BY_ONE = 'import repnext_mm; repnext_mm.install(checkpoint_loaders=False, file_backend=False)'
OTHER_HALF = (
    'import repnext_mm; repnext_mm.install(mmcv_ops=False, log_history=False, config_bases=False)'
)


@pytest.mark.parametrize(
    ('code', 'value', 'expected'),
    [
        ('', None, UNTOUCHED),
        ('import repnext_mm', None, INSTALLED),
        ('import repnext_mm; repnext_mm.install()', '1', INSTALLED),
        (f'import {", ".join(f"repnext_mm.{m}" for m in MODULES.split(", "))}', '0', UNTOUCHED),
        ('import repnext_mm; repnext_mm.install()', '0', INSTALLED),
        (
            ONE_BY_ONE,
            '0',
            INSTALLED | dict(checkpoint_loaders=['mmengine'] * 4, file_backend=False),
        ),
        (OTHER_HALF, '0', INSTALLED | dict(mmcv_ops=0, log_history=False, config_bases=False)),
    ],
    ids=['nothing', 'import', 'twice', 'left_out', 'by_hand', 'two', 'the_other_two'],
)
def test_import_changes_what_it_says_and_nothing_when_told_so(code, value, expected, run):
    assert state_after(run, code, value) == expected


def test_scoped_types_are_registered_all_the_same(run):
    code = """
from mmengine.registry import MODELS
assert MODELS.get('repnext_mm.RepNeXt').__name__ == 'RepNeXt'
"""
    assert state_after(run, code, '0') == UNTOUCHED


def test_every_change_is_listed_where_users_look():
    for name in inspect.signature(repnext_mm.install).parameters:
        assert f'- ``{name}``: ' in repnext_mm.__doc__
        assert f'\n        {name}: ' in repnext_mm.install.__doc__


def test_checkpoint_hook_brings_its_file_backend(tmp_path, monkeypatch):
    monkeypatch.delitem(backends, WHOLE_FILES)
    monkeypatch.setattr(file_io, 'backend_instances', {})
    hook = dict(checkpoint=dict(type='repnext_mm.SafeCheckpointHook', interval=1))
    runner = build_runner(tmp_path, 'backend', default_hooks=hook, custom_hooks=[])
    runner.train()
    assert backends[WHOLE_FILES] is WholeFileBackend and (tmp_path / 'epoch_2.pth').is_file()
