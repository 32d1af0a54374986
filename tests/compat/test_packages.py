"""Importing with any subset of the mm packages, and registration in every scope."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from missing import without

PACKAGES = ('mmdet', 'mmseg', 'mmpretrain', 'mmcv', 'mmengine')

# Imports what takes seconds and is none of the packages that the tests are about. Then each line
# of input, code and files for what it writes, is run in a copy of this process.
SERVER = """
import json, os, sys, traceback
import matplotlib.pyplot, scipy.stats, timm, torch.distributed.optim, torchvision

packages = {'mmdet', 'mmseg', 'mmpretrain', 'mmcv', 'mmengine', 'repnext_mm'}
assert packages.isdisjoint(sys.modules)
for line in sys.stdin:
    code, *files = json.loads(line)
    if os.fork() == 0:
        for stream, file in enumerate(files, start=1):
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), stream)
        try:
            exec(code, dict(__name__='__main__'))
            status = 0
        except BaseException:
            traceback.print_exc()
            status = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""


@pytest.fixture(scope='module')
def server() -> Iterator[subprocess.Popen]:
    """A Python that has imported neither our package nor an mm package."""
    command = [sys.executable, '-W', 'ignore', '-c', SERVER]
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with subprocess.Popen(command, **pipes) as process:
        yield process
        process.kill()


@pytest.fixture
def run(server, tmp_path) -> Callable[[str], str]:
    """Returns the output of code in a process of its own."""

    def output(code: str) -> str:
        files = tmp_path / 'output', tmp_path / 'errors'
        for file in files:
            file.write_text('')
        print(json.dumps([code, *map(str, files)]), file=server.stdin, flush=True)
        assert server.stdout.readline() == '0\n', files[1].read_text()
        return files[0].read_text().strip()

    return output


@pytest.mark.distribution
def test_import_is_light():
    heavy = ('mmdet', 'mmseg', 'mmpretrain', 'matplotlib', 'pycocotools')
    code = f'import sys, repnext_mm; print([n for n in {heavy} if n in sys.modules])'
    command = [sys.executable, '-W', 'ignore', '-c', code]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, '[]\n'), result.stderr


@pytest.mark.parametrize('missing', [*[(name,) for name in PACKAGES], PACKAGES], ids=str)
def test_import_works_without(missing, run):
    merge = """
import torch
from torch import nn
import repnext_mm
model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)).eval()
print(len([m for m in repnext_mm.reparameterize_model(model).modules()
           if isinstance(m, nn.BatchNorm2d)]))
"""
    assert run(without(*missing) + merge) == '0'


def test_missing_mmengine_is_reported_with_the_install_line(run):
    code = """
import repnext_mm
for access in (lambda: repnext_mm.models.RepNeXt, lambda: __import__('repnext_mm.hooks')):
    try:
        access()
    except ImportError as error:
        print("pip install 'repnext-mm[onedl]'" in str(error))
"""
    assert run(without('mmengine') + code).split() == ['True', 'True']
    assert run(without('mmcv') + code).split() == ['True', 'True']


@pytest.mark.parametrize('tool', ['train', 'test', 'benchmark'])
def test_tools_without_mmengine_say_how_to_install_it(tool, run):
    path = Path(__file__).parents[2] / 'tools' / f'{tool}.py'
    code = f"""
import runpy
try:
    runpy.run_path({str(path)!r})
except ImportError as error:
    print(error)
"""
    assert "pip install 'repnext-mm[onedl]'" in run(without('mmengine') + code)


def test_missing_task_package_is_reported_with_the_install_line(tmp_path, run):
    (tmp_path / 'config.py').write_text("default_scope = 'mmdet'")
    code = f"""
from repnext_mm.launch.command_line import build_parser, load_config
try:
    load_config(build_parser('A tool.').parse_args([{str(tmp_path / 'config.py')!r}]))
except ImportError as error:
    print(error)
"""
    message = run(without('mmdet') + code)
    assert 'mmdet' in message and "pip install 'repnext-mm[onedl]'" in message


BUILD = """
from mmengine.registry import DefaultScope
{before}
scope = {scope!r}
DefaultScope.get_instance('test', scope_name=scope)
import importlib
registry = importlib.import_module(scope + '.registry').MODELS
arch = dict(channels=[8, 8, 8, 8], depths=[1, 1, 1, 1])
print(type(registry.build(dict(type={type!r}, arch=arch))).__module__)
"""
# Without mmcv's extension mmdet can only be imported after repnext_mm, so here it is there.
COMPILED = """
import sys, types
extension = sys.modules['mmcv._ext'] = types.ModuleType('mmcv._ext')
def operator(name):
    if name.startswith('__'):
        raise AttributeError(name)
    return print
extension.__getattr__ = operator
assert 'repnext_mm' not in sys.modules
"""
SCOPES = ('mmdet', 'mmseg', 'mmpretrain', 'mmengine')


@pytest.mark.distribution
@pytest.mark.parametrize('scope', SCOPES)
def test_scoped_type_needs_no_custom_imports(scope, run):
    code = BUILD.format(before=COMPILED, scope=scope, type='repnext_mm.RepNeXt')
    assert run(code).endswith('repnext_mm.models.repnext')


@pytest.mark.distribution
@pytest.mark.parametrize('scope', SCOPES)
def test_plain_type_works_after_custom_imports(scope, run):
    before = """
from mmengine.config import Config
Config.fromstring("custom_imports = dict(imports=['repnext_mm'])", '.py')
"""
    code = BUILD.format(before=before, scope=scope, type='RepNeXt')
    assert run(code).endswith('repnext_mm.models.repnext')


@pytest.mark.distribution
def test_hook_and_constructor_are_found_by_their_scoped_names(run):
    code = """
from mmengine.registry import HOOKS, OPTIM_WRAPPER_CONSTRUCTORS
print(HOOKS.get('repnext_mm.ReparameterizeHook').__name__,
      OPTIM_WRAPPER_CONSTRUCTORS.get('repnext_mm.LayerDecayOptimWrapperConstructor').__name__)
"""
    assert run(code) == 'ReparameterizeHook LayerDecayOptimWrapperConstructor'
