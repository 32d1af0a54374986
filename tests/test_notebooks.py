"""The notebooks run, and what is stored in them is of the cells that are there."""

import importlib
import json
import os
import re
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / 'docs' / 'notebooks').glob('*.ipynb'))
FEWER = {'PICTURES': 20, 'ITERATIONS': 2, 'CALIBRATION': 2}
"""What makes a notebook short."""


@pytest.fixture(scope='module')
def notebooks():
    """The script that executes them."""
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(str(ROOT / 'docs'))
        yield importlib.import_module('notebooks')
    sys.modules.pop('notebooks', None)


def code(path: Path) -> list[dict]:
    return [c for c in json.loads(path.read_text())['cells'] if c['cell_type'] == 'code']


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_of_the_cells_that_are_stored(path, notebooks):
    content = json.loads(path.read_text())
    stored = content['metadata'].get(notebooks.SOURCES)
    assert stored == notebooks.sources_hash(content), 'python docs/notebooks.py executes it again'
    assert [cell['execution_count'] for cell in code(path)] == list(range(1, len(code(path)) + 1))
    kinds = {output['output_type'] for cell in code(path) for output in cell['outputs']}
    assert kinds <= {'stream', 'display_data', 'execute_result'} and 'display_data' in kinds
    assert path.stat().st_size < 600_000
    assert not re.search(r'/(?:tmp|home|root|work)/', path.read_text()), 'a path of this machine'


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run(path, notebooks, tmp_path):
    """They compare and assert themselves; here with less data."""
    nbformat, nbclient = pytest.importorskip('nbformat'), pytest.importorskip('nbclient')
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if notebooks.PARAMETERS in cell.metadata.get('tags', ()):
            names = cell.source.partition(' = ')[0].split(', ')
            cell.source = '\n'.join(f'{name} = {FEWER[name]}' for name in names)
    paths = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
    with patch.dict(os.environ, PYTHONPATH=paths, OMP_NUM_THREADS='1'):
        client = nbclient.NotebookClient(
            notebook, timeout=300, resources=dict(metadata=dict(path=tmp_path))
        )
        client.execute()


def test_a_cell_that_changed_is_seen(notebooks):
    content = json.loads(NOTEBOOKS[0].read_text())
    before = notebooks.sources_hash(content)
    content['cells'][1]['source'] = [*content['cells'][1]['source'], ' ']
    assert notebooks.sources_hash(content) != before


def test_pages_have_cells_outputs_and_pictures(notebooks, tmp_path):
    outputs = [
        dict(output_type='stream', text=['1e-16\n']),
        dict(output_type='display_data', data={'image/png': 'aGVsbG8=', 'text/plain': 'Figure'}),
    ]
    cells = [
        dict(cell_type='markdown', source=['# Title\n', 'text']),
        dict(cell_type='code', source='print(x)', outputs=outputs),
    ]
    page = notebooks.notebook_page(json.dumps(dict(cells=cells)), tmp_path / 'page.md')
    assert page.startswith('# Title\ntext\n\n```python\nprint(x)\n```\n\n```text\n1e-16\n```')
    assert '](page_1.png)' in page and (tmp_path / 'page_1.png').read_bytes() == b'hello'
    cells[1]['outputs'] = [dict(data={'text/html': '<b>'})]
    with pytest.raises(ValueError, match='page: an output is neither text nor a PNG'):
        notebooks.notebook_page(json.dumps(dict(cells=cells)), tmp_path / 'page.md')
