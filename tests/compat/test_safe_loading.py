"""What other projects read through mmengine runs no code, once somebody has said so."""

import json
import os
import sys
from pathlib import Path

import pytest
import torch
from commands import run_inside
from mmengine.config import Config
from mmengine.fileio.handlers import yaml_handler
from mmengine.runner import load_checkpoint

from repnext_mm.__main__ import run_script
from repnext_mm.compat import forbid_code_in_checkpoints
from repnext_mm.compat.checkpoints import SAFE, UNSAFE
from repnext_mm.compat.configs import read_config
from repnext_mm.distillation.teacher import Teacher
from repnext_mm.installation import install

pytestmark = pytest.mark.distribution


class MakeFolder:
    """Pickles as a call that makes a folder."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture(autouse=True)
def loader(monkeypatch):
    """The readers as they were, whatever a test makes of them."""
    monkeypatch.setattr(yaml_handler, 'Loader', yaml_handler.Loader)


@pytest.fixture
def attack(tmp_path):
    """A checkpoint and a YAML file that both make the folder ``mark``."""
    mark = tmp_path / 'mark'
    torch.save(dict(state_dict={}, meta=MakeFolder(mark)), tmp_path / 'evil.pth')
    tag = f'evil: !!python/object/apply:os.mkdir [{json.dumps(str(mark))}]\n'
    (tmp_path / 'evil.yaml').write_text(tag)
    return tmp_path


READ = """
import sys
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from torch import nn
failures = []
for read in (lambda: load_checkpoint(nn.Linear(1, 1), 'evil.pth', 'cpu', True), lambda: Config.fromfile('evil.yaml')):
    try:
        read()
    except Exception as error:
        failures.append(str(error))
with open('failures.txt', 'w') as file:
    print(*failures, sep='\\n---\\n', file=file)
"""
"""As mmdet's ``init_detector`` and mmseg's ``init_model`` read what they are given."""


def test_scripts_of_other_projects_read_data_only(attack, monkeypatch):
    monkeypatch.chdir(attack)
    monkeypatch.setattr(sys, 'argv', ['x'])
    monkeypatch.setattr(sys, 'path', [*sys.path])
    Path('script.py').write_text(READ)
    run_script('script.py', [])
    first, second = Path('failures.txt').read_text().split('\n---\n')
    assert 'evil.pth' in first and 'could run code' in first
    assert 'object of Python' in second
    assert not (attack / 'mark').exists()


def test_nobody_says_that_code_will_run_where_it_will_not(attack, monkeypatch, capfd):
    monkeypatch.setenv(SAFE, '1')
    with pytest.raises(ValueError, match='could run code'):
        load_checkpoint(torch.nn.Linear(1, 1), str(attack / 'evil.pth'), 'cpu')
    assert 'alling back' not in ''.join(capfd.readouterr()) and not (attack / 'mark').exists()


def test_projects_that_import_us_can_ask_for_it(attack, monkeypatch):
    monkeypatch.chdir(attack)
    install(safe_loading=True)
    exec(compile(READ, 'script', 'exec'), {})
    assert len(Path('failures.txt').read_text().split('\n---\n')) == 2
    assert not (attack / 'mark').exists()


def test_the_import_leaves_readers_of_others_alone(monkeypatch):
    before = yaml_handler.Loader
    monkeypatch.delenv(SAFE, raising=False)
    install()
    assert yaml_handler.Loader is before and SAFE not in os.environ


def test_torch_is_never_told_both(attack, monkeypatch, caplog):
    """With both variables torch raises, and good files seem to be no checkpoints."""
    monkeypatch.delenv(SAFE, raising=False)
    monkeypatch.setenv(UNSAFE, '1')
    forbid_code_in_checkpoints()
    assert os.environ[SAFE] == '1' and UNSAFE not in os.environ
    assert f'{UNSAFE} is ignored' in caplog.text
    torch.save(dict(weight=torch.ones(1)), attack / 'good.pth')
    assert torch.load(attack / 'good.pth')['weight'] == 1
    monkeypatch.setenv(UNSAFE, '1')
    monkeypatch.setenv(SAFE, '0')
    forbid_code_in_checkpoints()
    assert os.environ[SAFE] == '0' and os.environ[UNSAFE] == '1'


PLAIN = dict(
    custom_imports=dict(imports=['repnext_mm']),
    model=dict(type='mmpretrain.ImageClassifier', backbone=dict(type='repnext_mm.RepNeXt')),
    iou_type='segm',
    betas=[0.9, 0.999],
)


@pytest.mark.parametrize('suffix', ['.json', '.yaml', '.yml'])
def test_configs_of_data_are_read(tmp_path, suffix):
    path = tmp_path / f'plain{suffix}'
    path.write_text(json.dumps(PLAIN))
    assert read_config(path).to_dict() == PLAIN
    if suffix != '.json':
        path.write_text('size: !!python/tuple [3, 4]\n_base_: base.yaml\n')
        (tmp_path / 'base.yaml').write_text("path: '{{$NOWHERE:data}}'\n")
        assert read_config(path).to_dict() == dict(size=(3, 4), path='data')


@pytest.mark.parametrize(
    ('key', 'value', 'problem'),
    [
        ('custom_imports', dict(imports=['evil_module']), "custom_imports of 'evil_module'"),
        ('custom_imports', dict(imports='os.path'), "custom_imports of 'os.path'"),
        ('model', dict(type='os.mkdir', path='x'), "type='os.mkdir'"),
        (
            'hooks',
            [dict(type='mmengine.utils.path.os.mkdir')],
            "type='mmengine.utils.path.os.mkdir'",
        ),
        ('runner_type', 'subprocess.run', "runner_type='subprocess.run'"),
        ('optim_wrapper', dict(constructor='os.system'), "constructor='os.system'"),
    ],
)
@pytest.mark.parametrize('suffix', ['.json', '.yaml'])
def test_configs_of_data_name_nothing_to_run(tmp_path, suffix, key, value, problem):
    path = tmp_path / f'evil{suffix}'
    path.write_text(json.dumps({key: value}))
    with pytest.raises(ValueError) as refused:
        read_config(path)
    said = str(refused.value)
    assert f'has {problem}, which would be imported' in said and '.py config' in said


def test_objects_of_python_are_refused_in_bases_too(attack):
    (attack / 'leaf.yml').write_text('_base_: evil.yaml\n')
    for name in ('evil.yaml', 'leaf.yml'):
        with pytest.raises(
            ValueError,
            match=r'cannot be read: line 1 has an object of Python, .*plain YAML, or as a \.py config',
        ):
            read_config(attack / name)
    assert not (attack / 'mark').exists()
    (attack / 'code.py').write_text('value = [1 + 1]\n')
    assert read_config(attack / 'code.py').value == [2]
    assert isinstance(read_config(attack / 'code.py'), Config)


@pytest.mark.parametrize(
    'command',
    [
        ['check_dataset.py', 'evil.yaml'],
        ['experiment.py', 'evil.yaml'],
        ['convert_checkpoint.py', 'good.pth', 'new.pth', '--config', 'evil.yaml'],
    ],
    ids=lambda command: command[0],
)
def test_tools_read_configs_of_data_as_such(command, attack, monkeypatch):
    monkeypatch.chdir(attack)
    torch.save(dict(state_dict=dict(weight=torch.ones(1))), 'good.pth')
    refused = run_inside(*command)
    assert refused.returncode == 2 and 'has an object of Python' in refused.stderr
    assert not Path('mark').exists() and not Path('new.pth').exists()


def test_teachers_are_built_of_data_too(attack):
    with pytest.raises(ValueError, match='has an object of Python'):
        Teacher(str(attack / 'evil.yaml'), None).ready_for(torch.zeros(1))
    assert not (attack / 'mark').exists()


def test_converting_reads_data_only(attack, monkeypatch):
    monkeypatch.chdir(attack)
    refused = run_inside('convert_checkpoint.py', 'evil.pth', 'new.pth')
    assert refused.returncode == 2 and 'could run code' in refused.stderr
    assert not Path('mark').exists() and not Path('new.pth').exists()
