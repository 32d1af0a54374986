"""The notebooks of docs/notebooks: executed, and as pages of the site.

``python docs/notebooks.py`` executes them and stores what they put out; it needs the packages of
requirements/dev.txt. The site shows what is stored.
"""

import base64
import hashlib
import io
import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / 'notebooks'
SOURCES = 'executed_sources_sha256'
"""Entry of a notebook's metadata: the hash of the cells that its outputs are of."""

PARAMETERS = 'parameters'
"""Tag of the cell whose numbers say how long a notebook takes."""

COLOURS = 96
"""Of a picture in a notebook."""

Notebook = dict[str, Any]


def sources_hash(notebook: Notebook) -> str:
    """The hash of all cells, without what they put out."""
    cells = [[cell['cell_type'], source_of(cell)] for cell in notebook['cells']]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def source_of(cell: Notebook) -> str:
    """A cell's text, which files keep as lines."""
    source = cell['source']
    return source if isinstance(source, str) else ''.join(source)


def notebook_page(text: str, target: Path) -> str:
    """A notebook in Markdown.

    Args:
        text: The content of the file.
        target: The page; its pictures are written beside it.

    Raises:
        ValueError: If an output is neither text nor a PNG.
    """
    parts = []
    pictures = 0
    for cell in json.loads(text)['cells']:
        if cell['cell_type'] == 'markdown':
            parts.append(source_of(cell))
            continue
        parts.append(fenced(source_of(cell), 'python'))
        for output in cell['outputs']:
            data = output.get('data', {})
            if 'image/png' in data:
                pictures += 1
                name = f'{target.stem}_{pictures}.png'
                target.with_name(name).write_bytes(base64.b64decode(data['image/png']))
                parts.append(f'![Output of the cell above]({name})')
            elif 'text/plain' in data or 'text' in output:
                parts.append(fenced(''.join(output.get('text') or data['text/plain']), 'text'))
            else:
                raise ValueError(f'{target.stem}: an output is neither text nor a PNG: {output}')
    return '\n\n'.join(parts) + '\n'


def fenced(code: str, language: str) -> str:
    """A code block."""
    return f'```{language}\n{code.rstrip()}\n```'


def is_shown(output: Notebook) -> bool:
    """Whether an output is text or a picture, which is then stored with fewer colours.

    A bar that has reached its end leaves an empty text behind.
    """
    data = output.get('data', {})
    if 'image/png' in data:
        data['image/png'] = with_fewer_colours(data['image/png'])
        return True
    return bool(str(output.get('text') or data.get('text/plain', '')).strip())


def with_fewer_colours(picture: str) -> str:
    """A PNG with a palette of :data:`COLOURS`; both in base64."""
    from PIL import Image

    with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
        reduced = image.convert('RGB').quantize(COLOURS, dither=Image.Dither.NONE)
    content = io.BytesIO()
    reduced.save(content, format='png', optimize=True)
    return base64.b64encode(content.getvalue()).decode()


def execute(path: Path) -> None:
    """Runs a notebook from its first cell to its last, and stores it with what it puts out.

    Args:
        path: The file; it is replaced when all cells have run.

    Raises:
        nbclient.exceptions.CellExecutionError: If a cell fails.
    """
    import tempfile

    import nbclient
    import nbformat

    from repnext_mm.files import write_text

    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        nbclient.NotebookClient(notebook, resources=dict(metadata=dict(path=folder))).execute()
    for cell in notebook.cells:
        cell.metadata.pop('execution', None)  # times, which differ from run to run
        if cell.cell_type == 'code':
            cell.outputs = [output for output in cell.outputs if is_shown(output)]
    notebook.metadata = dict(kernelspec=notebook.metadata.kernelspec)
    notebook.metadata[SOURCES] = sources_hash(notebook)
    write_text(path, nbformat.writes(notebook) + '\n')


if __name__ == '__main__':
    for path in sorted(FOLDER.glob('*.ipynb')):
        print(path)
        execute(path)
