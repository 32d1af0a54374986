"""What every tool says to a wrong usage: one line, and the status of one."""

import pytest
from commands import TOOLS

USAGES = {
    'analyze.py': ['missing.py', 'any.pth'],
    'benchmark.py': ['missing.py'],
    'benchmark_gpu.py': ['--budget', '-1'],
    'check_dataset.py': ['missing.py'],
    'check_target.py': ['missing.onnx', '--target', 'tensorrt'],
    'compare_formats.py': ['missing.py'],
    'convert_checkpoint.py': ['missing.pth', 'x.pth'],
    'convert_dataset.py': ['missing', '--from', 'masks', '--output', 'data'],
    'demo.py': ['--work-dir', 'any.pth/inside'],
    'experiment.py': ['missing.py'],
    'export.py': ['missing.py', 'any.pth', '--output', 'x.onnx'],
    'model_zoo.py': ['--results', 'missing.json'],
    'predict.py': ['missing.onnx', 'any.pth', '--output', 'found'],
    'prepare_data.py': ['nuclei', 'missing.tar.gz'],
    'prune.py': ['missing.py', 'any.pth', '--ratio', '0.3', '--output', 'x.pth'],
    'quantize.py': ['missing.py', 'missing.onnx', '--output', 'x.onnx'],
    'reparameterize.py': ['missing.py', 'any.pth', 'x.pth'],
    'run.py': ['missing.py'],
    'show_features.py': ['missing.py', 'any.pth', 'any.pth', '--output', 'shown'],
    'test.py': ['missing.py', 'any.pth'],
    'train.py': ['missing.py'],
}
"""A wrong value for each tool that argparse does not find."""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'any.pth').write_text('x')
    return tmp_path


def test_every_tool_is_asked():
    assert set(USAGES) == {path.name for path in TOOLS.glob('*.py')}


@pytest.mark.parametrize('name', USAGES)
def test_wrong_usage_is_one_line_and_status_2(name, inside, folder):
    result = inside(name, *USAGES[name])
    lines = result.stderr.strip().splitlines()
    assert result.returncode == 2, result.stderr[-2000:]
    assert 'Traceback' not in result.stderr and 'Error: ' in lines[-1], lines
    words = [word for word in USAGES[name] if 'missing' in word] or ['plan', 'any.pth']
    assert any(word in lines[-1] for word in words), lines[-1]
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == ['any.pth']


@pytest.mark.parametrize('name', USAGES)
def test_wrong_usage_shows_where_it_was_found_with_debug(name, inside):
    result = inside(name, *USAGES[name], '--debug')
    assert result.returncode == 1 and 'Traceback (most recent call last)' in result.stderr
    assert 'unrecognized' not in result.stderr
