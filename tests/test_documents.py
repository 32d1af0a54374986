"""What README.md and the pages say: commands that parse, code that is tested, numbers that were measured."""

import importlib
import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from repnext_mm.commands.table import COMMANDS, TOOLS
from repnext_mm.experiments.specification import read_experiment

ROOT = Path(__file__).parents[1]
DOCS = ROOT / 'docs'
PAGES = sorted(
    [*ROOT.glob('*.md'), *(path for path in DOCS.rglob('*.md') if path.parent.name != 'results')]
)


def read(*parts: str) -> str:
    return ROOT.joinpath(*parts).read_text(encoding='utf-8')


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf'```{language}\n(.*?)```', text, re.DOTALL)


def commands_of(text: str) -> list[list[str]]:
    """The lines of its bash blocks that run one of our tools: its name, and the arguments."""
    found = []
    for block in blocks(text, '(?:bash|shell)'):
        for line in block.replace('\\\n', ' ').splitlines():
            words = shlex.split(re.sub(r'[\[\]]|\.\.\.', '', line), comments=True)
            while words and re.fullmatch(r'[A-Z_]+=\S+', words[0]):
                words = words[1:]
            if words[:1] == ['repnext-mm']:
                found.append(words[1:])
            elif words[:1] == ['python'] and len(words) > 1 and words[1].startswith('tools/'):
                found.append([Path(words[1]).stem, *words[2:]])
    return found


COMMAND_LINES = sorted(
    {tuple(command) for page in PAGES for command in commands_of(page.read_text(encoding='utf-8'))}
)


def value_of(word: str) -> str:
    """What a word in capitals stands for, where a tool wants a number or a name of its list."""
    return dict(RATIO='0.3', FORM='training').get(word, word)


def test_there_are_commands_to_look_at():
    assert len(COMMAND_LINES) > 60
    assert len(commands_of(read('README.md'))) > 12


@pytest.mark.parametrize('line', COMMAND_LINES, ids=' '.join)
def test_documented_commands_parse(line, monkeypatch, tmp_path):
    """Every option is one of the tool's, and none is missing; all files that are named are there."""
    name, *arguments = (value_of(word) for word in line)
    name = TOOLS.get(name, name)
    if name not in COMMANDS:  # the tools of the clone alone have their own tests
        assert (ROOT / 'tools' / f'{name}.py').is_file(), name
        return
    module = importlib.import_module(COMMANDS[name].module)
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'configs').symlink_to(ROOT / 'configs')
    for word in arguments:
        if re.search(r'CHECKPOINT$|^[^=]+\.(?!py$)\w+$', word):
            path = tmp_path / word
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    monkeypatch.setattr(sys, 'argv', [name, *arguments])
    if hasattr(module, 'parse_args'):
        module.parse_args()


def test_extras_to_install_are_there():
    setup = read('setup.py')
    known = set(re.findall(r"^        '(\w+)': ", setup, re.MULTILINE)) | {
        'tensorboard', 'wandb', 'mlflow', 'swanlab'
    }  # fmt: skip
    for page in PAGES:
        text = page.read_text(encoding='utf-8')
        for extras in re.findall(r"pip install '[\w.-]+\[([\w,]+)\]'", text):
            assert set(extras.split(',')) <= known, f'{page}: {extras}'


def test_code_of_the_mmdet_tutorial_is_that_of_the_tested_page():
    tested = blocks(read('docs', 'existing_projects.md'), 'python')
    shown = blocks(read('docs', 'tutorials', 'backbone.md'), 'python')
    assert len(shown) == 3 and [block for block in shown if block not in tested] == []


def test_channels_of_the_mmdet_tutorial_are_those_of_the_networks():
    from repnext_mm.networks import ARCHITECTURES

    rows = re.findall(r'^\| (`.*?) \| ([\d, ]+) \|', read('docs', 'tutorials', 'backbone.md'), re.M)
    assert len(rows) > 5
    for names, channels in rows:
        for name in re.findall(r'`(\w+)`', names):
            assert channels == ', '.join(map(str, ARCHITECTURES[name].channels)), name


def test_commands_of_the_detector_tutorial_are_those_of_the_tested_page():
    tested = commands_of(read('docs', 'own_data.md'))
    shown = commands_of(read('docs', 'tutorials', 'detector.md'))
    known = [command for command in shown if command[0] != 'run']
    assert len(known) == 7 and [command for command in known if command not in tested] == []


def test_numbers_of_the_detector_tutorial_are_those_that_are_reported():
    page = read('docs', 'own_data.md').replace('\n', ' ')
    found = re.search(r'box and mask AP ([\d.]+) and ([\d.]+) on (\d+) test tiles in all', page)
    eight = re.search(r'and in ONNX, ([\d.]+) and ([\d.]+) in INT8', page)
    assert found and eight
    tutorial = read('docs', 'tutorials', 'detector.md')
    assert f'on the {found[3]} tiles' in tutorial
    for kind, float32, int8 in zip(('box', 'mask'), found.groups(), eight.groups(), strict=False):
        assert f'| {kind} AP |{f" {float32} |" * 4} {int8} |' in tutorial


def test_the_experiment_of_the_tutorial_can_be_read(tmp_path):
    (block,) = blocks(read('docs', 'tutorials', 'table.md'), 'python')
    config = tmp_path / 'work_dirs' / 'mine' / 'mask_rcnn_repnext.py'
    config.parent.mkdir(parents=True)
    config.touch()
    path = tmp_path / 'mine.py'
    path.write_text(block.replace("'./configs", f"'{ROOT}/configs"))
    experiment = read_experiment(path)
    assert [row.backbone for row in experiment.rows][-1] == 'mobilenet_v2'
    assert experiment.metrics and experiment.files == ('onnx', 'int8')


def table(text: str, first: str) -> list[list[str]]:
    """The rows of the one table whose first heading is this, without heading and rule."""
    found: list[list[str]] = []
    inside = False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split('|')[1:-1]]
        inside = bool(cells) and (inside or cells[0] == first)
        if inside:
            found.append(cells)
    assert found, first
    return [found[0], *found[2:]]


ROWS = {
    'RepNeXt-T': 'Mask-RepNeXt',
    'RepNeXt-M': 'Mask-RepNeXt_M0',
    'ResNet-18': 'Mask-ResNet18',
    'MobileNetV2': 'Mask-MobileNetV2',
}


def test_accuracies_of_the_readme_are_those_of_the_results():
    heading, *rows = table(read('README.md'), 'backbone')
    assert heading[1:] == ['training', 'fused', 'plain', 'ONNX', 'INT8']
    page = read('docs', 'results.md').split('**AP(box) of all forms and files.**')[1]
    page = page.split('**Images per second')[0]
    measured = {name: cells for name, *cells in table(page, 'model')}
    assert {name for name, *_ in rows} == set(ROWS)
    for name, *cells in rows:
        assert cells == [cell.removesuffix(' (2)') for cell in measured[ROWS[name]]], name


NETWORKS = {
    'RepNeXt-T': 'mask_rcnn_repnext_tiny_coco',
    'M0': 'mask_rcnn_repnext_m0_coco',
    'M3': 'mask_rcnn_repnext_m3_coco',
    'M5': 'mask_rcnn_repnext_m5_coco',
    'ResNet-50': 'mask_rcnn_resnet50_coco',
    'RepVGG-A2': 'mask_rcnn_repvgg_a2_coco',
    'Swin-T': 'mask_rcnn_swin_tiny_coco',
    'MobileNetV2': 'mask_rcnn_mobilenet_v2_coco',
}


def test_speeds_of_the_readme_are_those_of_the_model_zoo():
    heading, training, merged = table(read('README.md'), 'form')
    ratios = json.loads(read('docs', 'model_zoo_speed.json'))['ratios']
    assert heading[1:] == list(NETWORKS)
    for name, before, after in zip(heading[1:], training[1:], merged[1:], strict=True):
        forms = ratios[NETWORKS[name]]
        assert before == f'{forms["training"]:.2f}', name
        assert after == (f'{forms["fused"]:.2f}' if 'fused' in forms else ''), name
