"""Importing with any subset of the mm packages, and registration in every scope."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from copies import Run, copies_of
from missing import without

PACKAGES = ('mmdet', 'mmseg', 'mmpretrain', 'mmcv', 'mmengine')

# What takes seconds to import, and is none of the packages that the tests are about.
OTHERS = f"""
import sys
import matplotlib.pyplot, scipy.stats, timm, torch.distributed.optim, torchvision
assert {{*{PACKAGES!r}, 'repnext_mm'}}.isdisjoint(sys.modules)
"""


@pytest.fixture(scope='module')
def run() -> Iterator[Run]:
    """Runs code in a process that has imported neither our package nor an mm package."""
    with copies_of(OTHERS) as run:
        yield run


@pytest.fixture(scope='module')
def imported() -> dict[str, list[str]]:
    """The modules of a new process after importing the package, and its networks after that."""
    code = """
import json, sys
import repnext_mm
package = sorted(sys.modules)
import repnext_mm.networks, repnext_mm.reparam
print(json.dumps(dict(package=package, networks=sorted(sys.modules))))
"""
    command = [sys.executable, '-W', 'ignore', '-c', code]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.distribution
def test_import_is_light(imported):
    heavy = {'mmdet', 'mmseg', 'mmpretrain', 'matplotlib', 'pycocotools'}
    assert 'repnext_mm' in imported['package'] and heavy.isdisjoint(imported['package'])


@pytest.mark.distribution
def test_networks_import_no_more_of_openmmlab_than_the_package_does(imported):
    added = set(imported['networks']) - set(imported['package'])
    assert 'repnext_mm.networks' in imported['networks']
    assert not [name for name in added if name.split('.')[0] in PACKAGES]


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
