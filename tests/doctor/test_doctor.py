"""The doctor in real environments, whole and broken."""

import json
import os
import subprocess
import sys
from importlib.metadata import version

import pytest
from missing import without

from repnext_mm.compat import is_installed
from repnext_mm.doctor import facts as gathering


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, '-W', 'ignore', '-m', 'repnext_mm.doctor', *arguments]
    variables = os.environ | environment
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


@pytest.mark.distribution
def test_this_environment_is_seen_as_it_is():
    result = run('--json')
    told = json.loads(result.stdout)
    assert result.returncode == 0 and told['works'], told['findings']
    assert 'error' not in {finding['level'] for finding in told['findings']}
    facts = told['facts']
    for name in ('torch', 'torchvision', 'onnxruntime', 'openvino'):
        assert facts['distributions'][name] == version(name)
        assert facts['imports'][name]['error'] is None
    for name in ('mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain', 'repnext_mm'):
        assert facts['imports'][name]['error'] is None, facts['imports'][name]
    kinds = {finding['kind'] for finding in told['findings']}
    assert ('operators' in kinds) == facts['imports']['mmcv._ext']['absent']
    assert 'mixed-mm' not in kinds and not facts['lost_files']


def test_it_runs_where_torch_and_mmengine_are_missing(tmp_path):
    hidden = ('torch', 'torchvision', 'mmengine', 'openvino', 'onnxruntime')
    (tmp_path / 'sitecustomize.py').write_text(without(*hidden))
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get('PYTHONPATH')])])
    result = run(PYTHONPATH=path)
    assert result.returncode == 1, result.stderr[-2000:]
    assert 'torch is not installed' in result.stdout and "pip install 'torch>=2.4'" in result.stdout
    assert 'mmengine are missing' in result.stdout or 'mmengine is' in result.stdout
    assert 'Traceback' not in result.stdout + result.stderr


DEADLY = """
import json, os, sys
for name in ('numpy', 'torch', 'mmcv'):
    if name not in sys.argv[1:]:
        print(json.dumps(dict(begin=name)), flush=True)
        if name == 'torch':
            os._exit(139)
        print(json.dumps(dict(name=name, version='1')), flush=True)
"""


def test_an_import_that_kills_python_is_told_and_the_others_are_tried(tmp_path, monkeypatch):
    (tmp_path / 'probe.py').write_text(DEADLY)
    monkeypatch.setattr(gathering, 'PROBE', tmp_path / 'probe.py')
    told = {e['name']: e.get('error') for e in gathering.run_probe(sys.executable) if 'name' in e}
    assert told['numpy'] is None and told['mmcv'] is None
    assert 'ended Python with status 139' in told['torch']


def test_a_probe_that_cannot_start_is_told(tmp_path, monkeypatch):
    (tmp_path / 'probe.py').write_text('raise SystemExit(3)')
    monkeypatch.setattr(gathering, 'PROBE', tmp_path / 'probe.py')
    (entry,) = gathering.run_probe(sys.executable)
    assert 'status 3' in entry['error']


def test_the_package_still_imports_everything_for_anyone_else():
    assert is_installed('repnext_mm')
    import repnext_mm

    assert {'install', 'reparameterize_model', 'models', 'hooks'} <= set(repnext_mm.__all__)
