"""The commands and configs of docs/own_data.md."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from commands import run_inside
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image
from small_configs import CONFIGS

from repnext_mm.checkpoints.loading import build_model

DOCUMENT = Path(__file__).parents[1] / 'docs' / 'own_data.md'
EXAMPLES = {
    block.splitlines()[0].removeprefix('# '): block
    for block in re.findall(r'```python\n(.*?)```', DOCUMENT.read_text(), re.DOTALL)
}


COMMANDS = [
    shlex.split(line, comments=True)
    for block in re.findall(r'```bash\n(.*?)```', DOCUMENT.read_text(), re.DOTALL)
    for line in block.replace('\\\n', ' ').splitlines()
    if line.startswith('python ')
]
QUICK = {
    'train.py': ['--iterations', '2', '--cfg-options', 'train_dataloader.batch_size=2'],
    'quantize.py': ['--images', '2', '--rounds', '1', '--no-search', '--max-loss', '1'],
}
"""What makes a command of the document short."""


def write_raw_data(folder: Path) -> None:
    """CamVid and nuclei in their folders, with few and small images."""
    random = np.random.default_rng(0)
    for number in range(10):
        split = 'val' if number < 2 else 'train'
        pixels = random.integers(0, 256, (48, 64, 3), np.uint8)
        labels = random.integers(0, 12, (48, 64), dtype=np.uint8)
        mask = np.zeros((48, 64), np.uint8)
        mask[10:30, 20:50] = 255
        for path, content in {
            f'camvid/images/{split}/{number}.png': pixels,
            f'camvid/annotations/{split}/{number}.png': labels,
            f'nuclei/{number}/images/{number}.png': pixels,
            f'nuclei/{number}/masks/0.png': mask,
        }.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(content).save(folder / path)


def run_command(command: list[str]) -> None:
    """A line of the document, with patterns expanded as a shell does."""
    script, *arguments = command[1:]
    arguments = [
        found
        for text in arguments
        for found in (sorted(map(str, Path().glob(text))) if '*' in text else [text])
    ]
    name = Path(script).name
    arguments = [text.replace('configs/', f'{CONFIGS}/') for text in arguments]
    result = run_inside(name, *arguments, *QUICK.get(name, []))
    assert result.returncode == 0, f'{command}: {result.stderr[-3000:]}'


@pytest.mark.filterwarnings('ignore:The draw is False:UserWarning')  # as mmseg's own default is
def test_the_chain_of_the_document_runs(tmp_path, monkeypatch):
    """Of the label maps, which are quick; the options of the others are the same."""
    write_raw_data(tmp_path / 'raw')
    monkeypatch.chdir(tmp_path)
    chosen = [command for command in COMMANDS if any('camvid' in part for part in command)]
    assert [Path(command[1]).name for command in chosen] == [
        'convert_dataset.py', 'train.py', 'test.py', 'export.py', 'quantize.py', 'analyze.py', 'predict.py'
    ]  # fmt: skip
    for command in chosen:
        run_command(command)
    assert (tmp_path / 'work_dirs' / 'camvid_int8.onnx').is_file()
    assert len(list((tmp_path / 'work_dirs' / 'labels' / 'pictures').rglob('*.png'))) == 10


def test_objects_of_the_document_are_converted_and_trained(tmp_path, monkeypatch):
    write_raw_data(tmp_path / 'raw')
    monkeypatch.chdir(tmp_path)
    chosen = [command for command in COMMANDS if any('nuclei' in part for part in command)]
    for command in chosen[:2]:
        # With ten images a tenth may be none.
        more = ['--val', '0.4'] if 'convert_dataset' in command[1] else []
        run_command([*command, *more])
    assert (tmp_path / 'work_dirs' / 'nuclei' / 'mask_rcnn_repnext.py').is_file()


@pytest.mark.distribution
@pytest.mark.parametrize(('name', 'heads'), [('mask', 2), ('cascade_mask', 6), ('upernet', 2)])
def test_every_head_has_the_classes_of_the_data(name, heads, tmp_path):
    block = next(text for file, text in EXAMPLES.items() if file.startswith(name))
    path = tmp_path / 'mine.py'
    path.write_text(block.replace("'./", f"'{CONFIGS}/"))
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    model = build_model(cfg)
    counts = [
        module.num_classes
        for part, module in model.named_modules()
        if part and hasattr(module, 'num_classes') and 'rpn' not in part
    ]
    assert counts == [3] * heads
    for split in ('train', 'val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        assert dataset.data_root.startswith('data/') and len(dataset.metainfo.classes) == 3
        assert 'ADE' not in str(dataset) and 'coco/' not in str(dataset)
