"""The wheel, used from an empty folder, and what the repository says of itself."""

import email
import functools
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
import yaml
from complexity import size_of

ROOT = Path(__file__).parents[1]
DOCS = [
    ROOT / 'README.md',
    ROOT / 'README_zh-CN.md',
    ROOT / 'CHANGELOG.md',
    ROOT / 'CODE_OF_CONDUCT.md',
    ROOT / 'CONTRIBUTING.md',
    ROOT / 'SECURITY.md',
    *sorted(path for path in (ROOT / 'docs').rglob('*.md') if path.parent.name != 'results'),
]


@pytest.fixture(scope='module')
def wheel(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp('wheel')
    command = [sys.executable, '-m', 'build', '--outdir', out, ROOT]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    return next(out.glob('*.whl'))


def test_wheel_carries_configs_tools_and_index(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        'repnext_mm/.mim/model-index.yml',
        'repnext_mm/.mim/configs/metafile.yml',
        'repnext_mm/.mim/configs/mask_rcnn_repnext_tiny_coco.py',
        'repnext_mm/.mim/configs/_base_/default_runtime.py',
        'repnext_mm/.mim/tools/train.py',
        'repnext_mm/.mim/tools/dist_train.sh',
        'repnext_mm/networks/repnext_t.py',
        'repnext_mm/viewer/assets/index.html',
    }
    assert expected <= names
    assert not [name for name in names if name.startswith('tests') or '__pycache__' in name]


def test_wheel_has_the_command(wheel):
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith('entry_points.txt'))
        text = archive.read(name).decode()
    assert 'repnext-mm = repnext_mm.commands.__main__:main' in text


def test_lower_bounds_of_runtimes_are_those_that_are_tested():
    setup = (ROOT / 'setup.py').read_text()
    bounds = re.findall(r"'(onnx|onnxruntime|openvino)>=([\d.]+)'", setup)
    text = (ROOT / 'requirements' / 'lowest.txt').read_text()
    tested = dict(re.findall(r'^([\w-]+)==([\d.]+)$', text, re.M))
    assert len(dict(bounds)) == 3
    for name, bound in bounds:  # some stand in several extras
        assert f'{tested[name]}.'.startswith(f'{bound}.'), f'{name}>={bound} is not tested'


def test_wheel_requires_neither_distribution_nor_torch(wheel):
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith('METADATA'))
        lines = archive.read(name).decode().splitlines()
    required = [line for line in lines if line.startswith('Requires-Dist')]
    hard = [line for line in required if 'extra ==' not in line]
    assert sorted(re.split(r'[ ><=;]', line.split(': ')[1])[0] for line in hard) == [
        'filelock',
        'numpy',
        'safetensors',
    ]
    assert 'Requires-Python: >=3.10' in lines
    for extra in ('onedl', 'openmmlab', 'dev'):
        assert f'Provides-Extra: {extra}' in lines


def test_metadata_is_complete_for_an_index(wheel):
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith('METADATA'))
        metadata = email.message_from_bytes(archive.read(name))
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    assert metadata['Version'] == str(citation['version'])
    assert (metadata['License-Expression'] or metadata['License']) == citation['license']
    assert metadata['Description-Content-Type'] == 'text/markdown'
    assert metadata['Summary'] and 'OpenMMLab' in metadata['Keywords']
    urls = {line.split(', ')[1] for line in metadata.get_all('Project-URL')}
    assert urls <= {reference['url'] for reference in citation['references']}
    prefix = 'Programming Language :: Python :: '
    stated = {line.removeprefix(prefix) for line in metadata.get_all('Classifier')}
    workflow = yaml.safe_load((ROOT / '.github' / 'workflows' / 'test.yml').read_text())
    assert set(workflow['jobs']['install']['strategy']['matrix']['python']) <= stated
    assert wheel.stat().st_size < 1e6


def test_an_index_shows_the_readme_without_links_that_lead_nowhere(wheel):
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith('METADATA'))
        text = email.message_from_bytes(archive.read(name)).get_payload(decode=True).decode()
    readme = (ROOT / 'README.md').read_text(encoding='utf-8')
    assert '](docs/' in readme and '![' in readme and 'README_zh-CN.md' in readme
    assert re.findall(r'!\[|\]\((?!https?:)|<!--|README_zh', text) == []
    for pattern in (r'^#+ .*$', r'^```.*?^```$', r'https?:[^)\s]*'):
        flags = re.MULTILINE | (re.DOTALL if '```' in pattern else 0)
        assert re.findall(pattern, text, flags) == re.findall(pattern, readme, flags)


def test_every_extra_is_described():
    described = ''.join(path.read_text() for path in DOCS)
    setup = (ROOT / 'setup.py').read_text()
    extras = re.findall(r"^        '(\w+)': [A-Z]+,$", setup, re.MULTILINE)
    assert len(extras) > 8
    for extra in extras:
        assert re.search(rf'\[[\w,]*\b{extra}\b[\w,]*\]', described), extra


def test_installed_wheel_works_from_an_empty_folder(wheel, tmp_path):
    """Unpacked in front of everything, so that the checkout is out of the game."""
    site, empty = tmp_path / 'site', tmp_path / 'empty'
    zipfile.ZipFile(wheel).extractall(site)
    empty.mkdir()
    code = """
import pathlib, runpy, sys
import repnext_mm
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
folder = pathlib.Path(repnext_mm.__file__).parent
cfg = Config.fromfile(folder / '.mim/configs/mask_rcnn_repnext_tiny_coco.py')
init_default_scope('mmdet')
print(folder, type(MODELS.build(cfg.model).backbone).__name__)
pathlib.Path('mine.py').write_text("_base_ = 'repnext_mm::own/fpn_repnext.py'")
print(Config.fromfile('mine.py').default_scope)
sys.argv = [str(folder / '.mim/tools/train.py'), '--help']
try:
    runpy.run_path(sys.argv[0], run_name='__main__')
except SystemExit:
    pass
from repnext_mm.commands.__main__ import main
sys.argv = ['repnext-mm', 'train', 'mask_rcnn_repnext_tiny_coco']
main()
"""
    environment = os.environ | dict(PYTHONPATH=str(site), PYTHONWARNINGS='ignore')
    options = dict(env=environment, cwd=empty, capture_output=True, text=True, check=False)
    result = subprocess.run([sys.executable, '-c', code], **options)
    lines = result.stdout.splitlines()
    assert f'{site}/repnext_mm RepNeXt' in lines and 'mmseg' in lines, result.stderr[-2000:]
    assert any(line.startswith('usage: train.py') for line in lines)
    assert f'{empty}/data/coco' in result.stderr and 'cocodataset.org' in result.stderr


def metafile_models() -> list[dict]:
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    files = [yaml.safe_load((ROOT / path).read_text()) for path in index['Import']]
    return [model for file in files for model in file['Models']]


@pytest.mark.parametrize('model', metafile_models(), ids=lambda model: model['Name'])
def test_metafile_agrees_with_the_code(model):
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    cfg = Config.fromfile(ROOT / model['Config'])
    init_default_scope(cfg.default_scope)
    assert Path(model['Config']).stem == model['Name']
    metadata = model['Metadata']
    stated = {
        key.partition('Backbone')[0].strip().lower(): (
            metadata[key],
            metadata[key.replace('Parameters', 'FLOPs')],
        )
        for key in metadata
        if key.endswith('Backbone Parameters')
    }
    assert stated == sizes_by_form(json.dumps(sized(cfg.model.backbone)))
    length = cfg.train_cfg.get('max_epochs') or cfg.train_cfg.max_iters
    assert length == metadata.get('Epochs', metadata.get('Iterations'))


def sized(backbone: dict) -> dict:
    """The part of a backbone's config that decides on its parameters and operations."""
    neutral = ('init_cfg', 'drop_path_rate', 'norm_eval', 'merge_frozen_norms')
    # Operations as those of BN, and as those of all features up to the last.
    alike = dict(norm_cfg=dict(type='SyncBN', requires_grad=True), out_indices=-1)
    return {k: v for k, v in backbone.items() if k not in neutral and v != alike.get(k)}


@functools.cache
def sizes_by_form(backbone: str) -> dict[str, tuple[int, int]]:
    from repnext_mm.models import RepNeXt
    from repnext_mm.reparam import inference_forms

    cfg = json.loads(backbone)
    if cfg['type'] != 'repnext_mm.RepNeXt':
        forms = ['fused'] if 'repvgg' in cfg.get('name', cfg['type']) else []
        return {form: size_of(cfg, form) for form in ('', *forms)}
    with torch.device('meta'):
        forms = inference_forms(RepNeXt(cfg['arch']))
    return {form: size_of(cfg, form) for form in ('', *forms)}


@pytest.mark.parametrize('model', metafile_models(), ids=lambda model: model['Name'])
def test_results_in_metafiles_name_their_source(model):
    assert ('Results' in model) == ('Source of Results' in model['Metadata'])
    for result in model.get('Results', []):
        assert set(result) == {'Task', 'Dataset', 'Metrics'}
        assert all(0 < value < 100 for value in result['Metrics'].values())


def table_cell(name: str, row: str, column: str) -> str:
    """The one cell of the tables in a document whose row and column begin like this."""
    header: list[str] = []
    found = []
    for line in (ROOT / 'docs' / name).read_text().splitlines():
        cells = [cell.strip().strip('`') for cell in line.split('|')[1:-1]]
        if not cells:
            header = []
        elif not header:
            header = cells
        elif cells[0].startswith(row):
            found += [c for c, h in zip(cells, header, strict=True) if h.startswith(column)]
    assert len(found) == 1, (name, row, column, found)
    return found[0]


def documented_results(name: str) -> list[float]:
    """What the docs say of a config's published results."""
    arch = re.search(r'm\d', name)
    if name.startswith('pspnet'):
        return [float(table_cell('baselines.md', f'[{name}]', 'published mIoU'))]
    if arch is None:
        method = {'mask': 'Mask R-CNN 3x', 'cascade': 'Cascade', 'upernet': 'UperNet 160k'}
        network = 'ConvNeXt-T' if 'convnext' in name else 'Swin-T'
        text = table_cell('baselines.md', method[name.split('_')[0]], network)
        return [float(value) for value in text.split(' / ')]
    if name.startswith('mask'):
        columns = ('Mask R-CNN 1x', 'mask AP')
        cells = [table_cell('repnext_m.md', arch[0], column) for column in columns]
        return [float(text.split(' / ')[0]) for text in cells]
    if name.startswith('fpn'):
        return [float(table_cell('repnext_m.md', arch[0], 'Semantic FPN'))]
    accuracies = table_cell('repnext_m.md', arch[0], 'published').split(', ')[-1].split(' / ')
    return [float(accuracies['distill' in name])]


@pytest.mark.parametrize(
    'model',
    [model for model in metafile_models() if 'Results' in model],
    ids=lambda model: model['Name'],
)
def test_results_in_metafiles_are_those_of_the_docs(model):
    stated = [value for result in model['Results'] for value in result['Metrics'].values()]
    assert stated == documented_results(model['Name'])


@pytest.mark.parametrize('arch', ['m0', 'm1', 'm2', 'm3', 'm4', 'm5'])
def test_parameters_in_the_docs_are_those_of_the_code(arch):
    from repnext_mm.models import RepNeXt

    row = next(
        line
        for line in (ROOT / 'docs' / 'repnext_m.md').read_text().splitlines()
        if line.startswith(f'| `{arch}`')
    )
    stated = re.search(r'([\d.]+) M / ([\d.]+) M', row)
    assert stated
    for number, deploy in zip(stated.groups(), (None, 'fused'), strict=True):
        with torch.device('meta'):
            parameters = sum(p.numel() for p in RepNeXt(arch, deploy=deploy).parameters())
        assert f'{parameters / 1e6:.2f}' == number


def test_every_config_is_in_the_model_zoo_and_in_a_metafile():
    """Experiments and the small recipes, which are for experiments, have their own page, and so have the
    templates for own data.
    """
    zoo = (ROOT / 'docs' / 'model_zoo.md').read_text()
    known = {model['Config'] for model in metafile_models()}
    for path in (ROOT / 'configs').rglob('*.py'):
        name = path.relative_to(ROOT).as_posix()
        if not {'_base_', 'experiments', 'small', 'own'} & set(path.parts):
            assert f'](../{name})' in zoo, name
            assert name in known or 'demo' in path.parts, name


@pytest.mark.parametrize('path', DOCS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_and_commands_of_the_docs_lead_somewhere(path):
    text = path.read_text()
    for target in re.findall(r'\]\(([^)#]+)\)', text):
        if not target.startswith('http'):
            assert (path.parent / target).exists(), target
    for script in re.findall(r'(?:python |\b)((?:tools|configs)/[\w/]+\.(?:py|sh))', text):
        assert (ROOT / script).exists(), script
    makefile = (ROOT / 'Makefile').read_text()
    for target in re.findall(r'^make ([\w-]+)', text, re.MULTILINE):
        assert re.search(rf'^[\w -]*\b{target}\b[\w -]*:', makefile, re.MULTILINE), target


def test_python_examples_of_the_readme_run(tmp_path, monkeypatch):
    blocks = re.findall(r'```python\n(.*?)```', (ROOT / 'README.md').read_text(), re.DOTALL)
    runnable = [block for block in blocks if 'import torch' in block]
    assert runnable
    monkeypatch.chdir(tmp_path)
    for block in runnable:
        exec(block, dict(__name__='__main__'))
