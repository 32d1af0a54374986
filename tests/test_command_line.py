"""``repnext-mm``: its commands, and configs by their names."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ROOT, run_inside

from repnext_mm.border import run_tool
from repnext_mm.commands.__main__ import build_overview, run_command
from repnext_mm.commands.table import COMMANDS
from repnext_mm.compat import read_config
from repnext_mm.places import config_names, named_config, unknown_config

LIGHT = """
import json, sys
sys.argv = ['/usr/bin/repnext-mm', *{arguments!r}]
import repnext_mm.commands.__main__ as program
try:
    program.main()
finally:
    print({{'torch', 'mmengine', 'numpy'}} & set(sys.modules))
"""


def ask(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, '-c', LIGHT.format(arguments=arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_overview_names_every_command_without_torch():
    result = ask('--help')
    assert result.returncode == 0 and result.stdout.splitlines()[-1] == 'set()'
    for name, command in COMMANDS.items():
        assert re.search(rf'^  {name} +{command.help}$', result.stdout, re.M)


def test_an_unknown_command_is_told_with_the_closest():
    result = ask('trian', 'x.py')
    assert result.returncode == 2 and "no command 'trian': did you mean train?" in result.stderr
    assert result.stdout.strip() == 'set()'


def test_every_module_of_the_table_is_there():
    for command in COMMANDS.values():
        path = ROOT / command.module.replace('.', '/')
        assert f'def {command.function}(' in path.with_suffix('.py').read_text()


@pytest.mark.parametrize('name', ['train', 'check', 'check_dataset', 'predict', 'run', 'merge'])
def test_usage_says_what_to_type(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['repnext-mm', name, '--help'])
    with pytest.raises(SystemExit) as stop:
        run_tool(run_command)
    shown = name.removesuffix('_dataset')
    assert stop.value.code == 0 and capsys.readouterr().out.startswith(
        f'usage: repnext-mm {shown} '
    )


def test_overview_has_a_prog():
    assert build_overview().format_usage() == 'usage: repnext-mm COMMAND [arguments]\n'


@pytest.mark.parametrize(
    'name',
    [
        'mask_rcnn_repnext_tiny_coco',
        'own/mask_rcnn_repnext',
        'own/fpn_repnext.py',
        'configs/own/fpn_repnext',
    ],
)
def test_shipped_configs_are_found_by_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stem = name.removeprefix('configs/').removesuffix('.py')
    assert Path(named_config(name)) == ROOT / 'configs' / f'{stem}.py'


def test_a_file_that_is_there_wins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'own').mkdir()
    (tmp_path / 'own' / 'fpn_repnext.py').touch()
    assert named_config('own/fpn_repnext.py') == 'own/fpn_repnext.py'


def test_close_names_are_listed():
    assert 'own/mask_rcnn_repnext' in str(unknown_config('mask_rcn_repnext'))
    assert named_config('mask_rcn_repnext') == 'mask_rcn_repnext'
    result = run_inside('train.py', 'mask_rcn_repnext')
    assert result.returncode == 2 and 'own/mask_rcnn_repnext' in result.stderr


def test_configs_are_listed_by_a_part_of_their_names():
    assert (
        'own/fpn_repnext' in config_names('fpn') and 'mask_rcnn_repnext_tiny_coco' in config_names()
    )
    assert config_names('nothing_like_it') == []
    assert not any(name.startswith('_base_') for name in config_names())


@pytest.mark.distribution
def test_bases_of_other_scopes_are_found_as_before(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text("_base_ = 'mmdet::_base_/default_runtime.py'\n")
    assert read_config(path).default_scope == 'mmdet'
    path.write_text("_base_ = 'nobody::_base_/default_runtime.py'\n")
    with pytest.raises(AssertionError, match='nobody'):
        read_config(path)


@pytest.mark.distribution
def test_a_config_anywhere_inherits_from_a_shipped_one(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text("_base_ = 'repnext_mm::mask_rcnn_repnext_tiny_coco.py'\nwork_dir = 'here'\n")
    cfg = read_config(path)
    assert cfg.model.backbone.type == 'repnext_mm.RepNeXt' and cfg.work_dir == 'here'
    path.write_text("_base_ = 'repnext_mm::mask_rcn_repnext_tiny_coco.py'\n")
    with pytest.raises(FileNotFoundError, match='is it one of mask_rcnn_repnext_tiny_coco'):
        read_config(path)
