"""The scripts of mmdet, mmseg and mmpretrain with RepNeXt in a config of theirs."""

import importlib.machinery
import re
import sys
from pathlib import Path

import mmcv
import pytest
from examples import run_process, script

from repnext_mm.__main__ import main

pytestmark = pytest.mark.distribution

COMPILED = importlib.machinery.PathFinder.find_spec('mmcv._ext', mmcv.__path__) is not None
SCRIPT = """
import sys
assert __name__ == '__main__' and sys.modules['__main__'].__dict__ is globals()
import mmcv.ops
print(sys.argv, sys.path[0])
"""


def log_of(work_dir: Path) -> str:
    return ''.join(path.read_text() for path in work_dir.rglob('*.log'))


def test_detector_trains_and_tests_merged(project):
    """In a process of its own: the script for training alone, and that for tests as documented."""
    config, train, test = 'mask_rcnn_repnext.py', *(project / 'own' / n for n in ('train', 'test'))
    code = """
import runpy, sys
train, test, config, trained, tested = sys.argv[1:]
sys.argv = [train, config, '--work-dir', trained]
runpy.run_path(train, run_name='__main__')
sys.argv = ['', test, config, f'{trained}/epoch_1.pth', '--work-dir', tested]
runpy.run_module('repnext_mm', run_name='__main__')
"""
    scripts = [script('mmdet', f'{name}.py') for name in ('train', 'test')]
    result = run_process(['-W', 'ignore', '-c', code, *scripts, config, train, test], project)
    assert result.returncode == 0, result.stderr[-3000:]
    log = log_of(test)
    assert "Evaluating a merged copy, form 'fused'" in log and 'coco/segm_mAP' in log


def test_segmentor_trains_and_tests_merged(project, segmentor, inside):
    work_dir = project / 'work_dirs' / 'test_segmentor'
    inside(script('mmseg', 'test.py'), 'fpn_repnext.py', segmentor, '--work-dir', work_dir)
    log = log_of(work_dir)
    assert "Evaluating a merged copy, form 'fused'" in log and 'mIoU' in log


def test_classifier_trains_and_tests_merged(project, classifier, inside):
    work_dir = project / 'work_dirs' / 'test_classifier'
    inside(script('mmpretrain', 'test.py'), 'repnext_m1.py', classifier, '--work-dir', work_dir)
    log = log_of(work_dir)
    assert "Evaluating a merged copy, form 'fused'" in log and 'accuracy/top1' in log


def test_the_document_names_the_scripts_that_need_the_launcher(project):
    scripts = [
        script(package, f'{name}.py')
        for package in ('mmseg', 'mmpretrain', 'mmdet')
        for name in ('train', 'test')
    ]
    code = """
import runpy, sys
for path in sys.argv[1:]:
    try:
        runpy.run_path(path, run_name='only_its_imports')
    except ModuleNotFoundError as error:
        print('needs', error.name, path)
"""
    result = run_process(['-W', 'ignore', '-c', code, *scripts], project)
    assert result.returncode == 0, result.stderr[-2000:]
    found = [line for line in result.stdout.splitlines() if line.startswith('needs')]
    assert found == ([] if COMPILED else [f'needs mmcv._ext {script("mmdet", "test.py")}'])


def test_launcher_is_like_python_itself(tmp_path, monkeypatch, capsys):
    path = tmp_path / 'scripts' / 'probe.py'
    path.parent.mkdir()
    path.write_text(SCRIPT)
    arguments = ['scripts/probe.py', '--config', 'a b', '--help']
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'path', ['', *sys.path])
    monkeypatch.setattr(sys, 'argv', ['repnext_mm', *arguments])
    main()
    assert capsys.readouterr().out == f'{arguments} {path.parent.resolve()}\n'


@pytest.mark.parametrize(
    ('arguments', 'code', 'words'),
    [
        ([], 2, ['usage: python -m repnext_mm SCRIPT', 'required: SCRIPT']),
        (['missing.py', 'x'], 2, ["no script 'missing.py'", 'path of a Python file']),
        (['.'], 2, ["no script '.'"]),
        (['--help'], 0, ['usage: python -m repnext_mm SCRIPT', 'tools/test.py']),
    ],
)
def test_launcher_says_what_is_wrong(arguments, code, words, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['repnext_mm', *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    output = ''.join(capsys.readouterr())
    assert stop.value.code == code
    assert all(word in re.sub(r'\s+', ' ', output) for word in words), output
