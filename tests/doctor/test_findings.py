"""Findings of the doctor on simulated environments: one broken thing at a time."""

import re
from pathlib import Path

import pytest

from repnext_mm.compat.packages import INSTALL
from repnext_mm.doctor.diagnosis import FLOORS, is_older, release
from repnext_mm.doctor.examination import as_json, as_text, examine, works
from repnext_mm.doctor.facts import Facts, Imported
from repnext_mm.doctor.mm_packages import CLASSIC, ONEDL
from repnext_mm.doctor.probe import PROBED

ABSENT = Imported(error='ModuleNotFoundError: No module', absent=True)
TORCH = {
    'torch': '2.11.0',
    'torchvision': '0.26.0',
    'numpy': '2.2.6',
    'setuptools': '80.0.0',
    'timm': '1.0.31',
    'onnxruntime': '1.31.1',
    'openvino': '2026.4.1',
}
FINE_ONEDL = TORCH | {
    'onedl-mmengine': '0.10.12',
    'onedl-mmcv': '2.3.6',
    'onedl-mmdetection': '3.5.1',
    'onedl-mmsegmentation': '1.4.2',
    'onedl-mmpretrain': '1.3.6',
    'opencv-python': '4.12.0.88',
}
FINE_CLASSIC = TORCH | {
    'mmengine': '0.10.7',
    'mmcv': '2.1.0',
    'mmdet': '3.3.0',
    'mmsegmentation': '1.2.2',
    'mmpretrain': '1.2.0',
    'opencv-python': '4.12.0.88',
}


def facts(base=FINE_ONEDL, without=(), imports=None, **changes) -> Facts:
    """A stack that works, with other distributions, imports or fields."""
    distributions = {
        name: version
        for name, version in (base | changes.pop('distributions', {})).items()
        if name not in without
    }
    working = {name: Imported('1.0') for name in (*PROBED, 'mmcv._ext', 'torchvision.ops')}
    fields = dict(python='3.11.7', system='Linux x86_64', cuda='13.0') | changes
    return Facts(distributions=distributions, imports=working | (imports or {}), **fields)


def broken(text: str) -> Imported:
    return Imported(error=text)


NO_MM = dict.fromkeys(CLASSIC, ABSENT) | {'mmcv._ext': ABSENT}
ONLY_TORCH = facts(TORCH, imports=NO_MM)
CASES = {
    'old_python': (facts(python='3.9.2'), 'error', 'python-version', 'python3.12 -m venv'),
    'new_python': (facts(python='3.14.0'), 'warning', 'python-version', 'python3.12 -m venv'),
    'no_torch': (
        facts(without=['torch'], imports=dict(torch=ABSENT)),
        'error',
        'missing',
        "pip install 'torch>=2.4'",
    ),
    'no_torchvision': (
        facts(without=['torchvision'], imports=dict(torchvision=ABSENT)),
        'error',
        'missing',
        "pip install 'torchvision==0.26.*'",
    ),
    'no_numpy': (facts(imports=dict(numpy=ABSENT)), 'error', 'missing', "pip install 'numpy'"),
    'old_torch': (
        facts(distributions=dict(torch='2.3.1'), without=['torchvision']),
        'error',
        'too-old',
        "pip install --upgrade 'torch>=2.4'",
    ),
    'old_onnxruntime': (
        facts(distributions=dict(onnxruntime='1.18.1')),
        'error',
        'too-old',
        "pip install --upgrade 'onnxruntime>=1.20'",
    ),
    'old_openvino': (
        facts(distributions=dict(openvino='2024.3.0')),
        'error',
        'too-old',
        "pip install --upgrade 'openvino>=2026.1'",
    ),
    'another_torchvision': (
        facts(distributions=dict(torchvision='0.25.0')),
        'error',
        'torchvision-of-another-torch',
        "pip install 'torchvision==0.26.*'",
    ),
    'another_build': (
        facts(distributions=dict(torch='2.11.0+cu130', torchvision='0.26.0+cpu')),
        'error',
        'torchvision-of-another-torch',
        "pip install --force-reinstall --no-deps 'torchvision==0.26.*' --index-url "
        'https://download.pytorch.org/whl/cu130',
    ),
    'unsafe_torch': (
        facts(distributions=dict(torch='2.9.1', torchvision='0.24.1')),
        'warning',
        'unsafe-loader',
        "pip install --upgrade 'torch>=2.10' 'torchvision>=0.25'",
    ),
    'torch_for_cpus': (
        facts(driver_cuda='12.4', cuda=None),
        'warning',
        'gpu-not-used',
        'pip install --force-reinstall torch torchvision --index-url '
        'https://download.pytorch.org/whl/cu126',
    ),
    'old_driver': (
        facts(driver_cuda='12.8'),
        'warning',
        'gpu-not-used',
        'pip install --force-reinstall torch torchvision --index-url '
        'https://download.pytorch.org/whl/cu126',
    ),
    'hidden_gpu': (
        facts(driver_cuda='13.1'),
        'warning',
        'gpu-not-used',
        'nvidia-smi && env | grep CUDA_VISIBLE_DEVICES',
    ),
    'two_versions_of_opencv': (
        facts(distributions={'opencv-python-headless': '4.9.0.80'}),
        'error',
        'opencv-twice',
        'pip install --force-reinstall --no-deps opencv-python==4.12.0.88 '
        'opencv-python-headless==4.12.0.88',
    ),
    'opencv_uninstalled': (
        facts(lost_files={'opencv-python': 30}),
        'error',
        'opencv-twice',
        'pip install --force-reinstall --no-deps opencv-python==4.12.0.88',
    ),
    'opencv_twice': (
        facts(distributions={'opencv-python-headless': '4.12.0.88'}),
        'note',
        'opencv-twice',
        'pip install --force-reinstall --no-deps opencv-python==4.12.0.88 '
        'opencv-python-headless==4.12.0.88',
    ),
    'opencv_without_display': (
        facts(imports=dict(cv2=broken('ImportError: libGL.so.1: cannot open shared object'))),
        'error',
        'opencv-without-display',
        'pip install --force-reinstall --no-deps opencv-python-headless==4.12.0.88',
    ),
    'onnxruntime_twice': (
        facts(distributions={'onnxruntime-gpu': '1.31.1'}),
        'error',
        'onnxruntime-twice',
        "pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'onnxruntime-gpu>=1.20'",
    ),
    'both_distributions': (
        facts(distributions=dict(mmengine='0.10.7')),
        'error',
        'mixed-mm',
        'pip uninstall -y mmengine onedl-mmcv onedl-mmdetection onedl-mmengine onedl-mmpretrain '
        f'onedl-mmsegmentation && {INSTALL}',
    ),
    'parts_of_both': (
        facts(distributions=dict(mmdet='3.3.0'), without=['onedl-mmdetection']),
        'warning',
        'mixed-mm',
        'pip uninstall -y mmdet onedl-mmcv onedl-mmengine onedl-mmpretrain onedl-mmsegmentation && '
        + INSTALL,
    ),
    'mmcv_twice': (
        facts(FINE_CLASSIC, distributions={'mmcv-lite': '2.1.0'}),
        'error',
        'mmcv-twice',
        'pip uninstall -y mmcv mmcv-lite mmdet mmengine mmpretrain mmsegmentation && '
        "pip install 'repnext-mm[openmmlab]'",
    ),
    'lost_files': (
        facts(lost_files={'onedl-mmcv': 12}),
        'error',
        'lost-files',
        'pip install --force-reinstall --no-deps onedl-mmcv==2.3.6',
    ),
    'no_mm': (ONLY_TORCH, 'note', 'no-mm', INSTALL),
    'no_mmcv': (
        facts(without=['onedl-mmcv'], imports={'mmcv': ABSENT, 'mmcv._ext': ABSENT}),
        'error',
        'missing-mm',
        INSTALL,
    ),
    'no_mmseg': (
        facts(FINE_CLASSIC, without=['mmsegmentation'], imports=dict(mmseg=ABSENT)),
        'note',
        'missing-mm',
        "pip install 'repnext-mm[openmmlab]'",
    ),
    'new_mmcv': (
        facts(FINE_CLASSIC, distributions=dict(mmcv='2.2.0')),
        'error',
        'mmcv-too-new',
        "pip install 'mmcv>=2.1.0,<2.2'",
    ),
    'new_setuptools': (
        facts(
            FINE_CLASSIC,
            distributions=dict(setuptools='82.0.0'),
            imports=dict(pkg_resources=ABSENT),
        ),
        'error',
        'setuptools',
        "pip install 'setuptools>=66,<82'",
    ),
    'no_setuptools': (
        facts(FINE_CLASSIC, without=['setuptools'], imports=dict(pkg_resources=ABSENT)),
        'error',
        'setuptools',
        "pip install 'setuptools>=66,<82'",
    ),
    'old_setuptools': (
        facts(
            FINE_CLASSIC,
            python='3.12.4',
            distributions=dict(setuptools='60.2.0'),
            imports=dict(pkg_resources=broken("AttributeError: module 'pkgutil' has no ...")),
        ),
        'error',
        'setuptools',
        "pip install 'setuptools>=66,<82'",
    ),
    'openmim': (
        facts(distributions=dict(openmim='0.3.9', openxlab='0.1.2', setuptools='60.2.0')),
        'warning',
        'openmim',
        'pip uninstall -y openmim openxlab && pip install --upgrade requests tqdm rich '
        "'setuptools>=66,<82'",
    ),
    'transformers': (
        facts(distributions=dict(transformers='5.1.0'), imports=dict(mmpretrain=broken('X: y'))),
        'error',
        'transformers',
        "pip install 'transformers<5'",
    ),
    'operators_of_another_torch': (
        facts(imports={'mmcv._ext': broken('ImportError: undefined symbol')}),
        'error',
        'operators',
        "pip install 'setuptools<82' ninja && MMCV_WITH_OPS=1 pip install --force-reinstall "
        '--no-deps --no-build-isolation --no-binary onedl-mmcv onedl-mmcv',
    ),
    'operators_stood_in_for': (
        facts(imports={'mmcv._ext': ABSENT}),
        'note',
        'operators',
        "pip install 'setuptools<82' ninja && MMCV_WITH_OPS=1 pip install --force-reinstall "
        '--no-deps --no-build-isolation --no-binary onedl-mmcv onedl-mmcv',
    ),
    'broken_import': (
        facts(imports=dict(mmdet=broken('AttributeError: no attribute'))),
        'error',
        'broken-import',
        'pip install --force-reinstall onedl-mmdetection==3.5.1',
    ),
    'broken_torch': (
        facts(imports=dict(torch=broken('OSError: libcudart.so.13: cannot open'))),
        'error',
        'broken-import',
        'pip install --force-reinstall torch==2.11.0',
    ),
}


@pytest.mark.parametrize('name', CASES)
def test_one_broken_thing_is_found_with_the_line_that_mends_it(name):
    environment, level, kind, mend = CASES[name]
    findings = [finding for finding in examine(environment) if finding.kind == kind]
    assert [finding.level for finding in findings] == [level]
    assert (
        findings[0].mend.startswith(mend)
        if kind == 'python-version'
        else (findings[0].mend == mend)
    )
    worse = [f for f in examine(environment) if f.level == 'error' and f.kind != kind]
    assert worse == [], 'one cause, one error'
    assert works(examine(environment)) == (level != 'error')


@pytest.mark.parametrize('base', [FINE_ONEDL, FINE_CLASSIC], ids=['onedl', 'classic'])
def test_nothing_is_found_where_all_is_well(base):
    assert examine(facts(base)) == []


def test_what_follows_from_a_missing_package_is_told_once():
    cause = broken("ModuleNotFoundError: No module named 'torch'")
    environment = facts(
        without=['torch'], imports=dict(torch=ABSENT, mmengine=cause, repnext_mm=cause)
    )
    assert [f.packages for f in examine(environment) if f.level == 'error'] == [('torch',)]


def test_report_says_what_there_is_and_each_line_that_mends():
    environment = facts(
        distributions=dict(torchvision='0.25.0'), imports={'mmcv._ext': ABSENT}, gpus=('A GPU',)
    )
    findings = examine(environment)
    text = as_text(environment, findings)
    assert 'Python 3.11.7' in text and '(onedl-mmcv)' in text and 'A GPU' in text
    assert all(f'\n    {finding.mend}\n' in text for finding in findings) and '1 error(s)' in text
    assert text.index('error:') < text.index('note:')
    told = as_json(environment, findings)
    assert not told['works'] and told['facts']['distributions']['torchvision'] == '0.25.0'


def test_versions_are_compared_by_their_numbers():
    assert release('2.11.0+cu130') == (2, 11, 0) and release('') == ()
    assert is_older('1.9', '1.19') and not is_older('1.19.2', '1.19')


def test_floors_are_those_of_the_packaging():
    text = Path(__file__).parents[2].joinpath('setup.py').read_text()
    required = dict(re.findall(r"'([\w-]+)>=([\d.]+)'", text))
    assert {name: required[name] for name in FLOORS} == FLOORS
    named = {
        name for name in required if name.startswith(('mm', 'onedl-mm')) or name == 'mmcv-lite'
    }
    known = {name for table in (CLASSIC, ONEDL) for names in table.values() for name in names}
    assert named <= known
