"""The configs of docs/own_data.md: every head has the classes of the data."""

import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from small_configs import CONFIGS

from repnext_mm.checkpoints.loading import build_model

pytestmark = pytest.mark.distribution

DOCUMENT = Path(__file__).parents[1] / 'docs' / 'own_data.md'
EXAMPLES = {
    block.splitlines()[0].removeprefix('# '): block
    for block in re.findall(r'```python\n(.*?)```', DOCUMENT.read_text(), re.DOTALL)
}


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
