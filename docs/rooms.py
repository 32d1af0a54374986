"""The rooms of the package, read from its imports and docstrings, and the floors they lie on.

Nothing of the package is imported. Only the floors are written by hand; tests/test_architecture.py
compares them with the imports.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = 'repnext_mm'

FLOORS = (
    ('reparam', 'registry', 'progress', 'doctor'),
    ('networks', 'trained', 'training', 'visualization', 'distillation'),
    ('timm', 'models', 'hooks', 'runtime', 'datasets'),
    ('viewer', 'checkpoints', 'classification', 'configs', 'export', 'quantization'),
    ('checks', 'own_data', 'serve', 'web'),
    ('launch', 'installation', 'demo', 'evaluation'),
    ('pruning', 'experiments', 'prediction', 'analysis'),
    ('feature_maps',),
    ('commands',),
)
"""From the bottom: a room imports rooms of the floors below it, and of the ground."""

GROUND = (
    'compat',
    'border',
    'files',
    'places',
    'html_page',
    'integrity',
    'config_dicts',
    'timing',
    'deprecation',
    'version',
)
"""Rooms that every other may import, and that import none but each other."""

MM_PACKAGES = frozenset({'mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain'})


class Room(NamedTuple):
    """A folder or a file of the package."""

    name: str
    sentence: str
    """The first one of its docstring."""

    imports: frozenset[str]
    """Names of the other rooms that it imports, anywhere in its files."""

    needs_mm: bool
    """Whether a file of it, or one that such a file imports outside ``compat``, imports OpenMMLab."""


def read_rooms(package: Path = ROOT / PACKAGE) -> dict[str, Room]:
    """Reads the rooms of a package by name; ``__init__`` and ``__main__`` are none."""
    paths = {
        path.stem if path.is_file() else path.name: path
        for path in sorted(package.iterdir())
        if path.suffix == '.py' or any(path.glob('*.py'))
    }
    rooms = {}
    for name, path in paths.items():
        if name.startswith('__'):
            continue
        files = [path] if path.is_file() else sorted(path.rglob('*.py'))
        found = {module.split('.')[1] for file in files for module in own_imports(file)}
        needs_mm = any(imported_mm_packages(file) for file in files)
        sentence = first_sentence(path if path.is_file() else path / '__init__.py')
        rooms[name] = Room(name, sentence, frozenset(found & set(paths)) - {name}, needs_mm)
    return rooms


def imported_modules(file: Path) -> Iterator[str]:
    """Full names of all that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(file.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


def own_imports(file: Path) -> list[str]:
    """What a file imports of our package, such as ``repnext_mm.files.replaced``."""
    return [name for name in imported_modules(file) if name.startswith(f'{PACKAGE}.')]


def own_file(module: str) -> Path | None:
    """The file of ours in which an imported name lies; None for a name of the package itself."""
    parts = module.split('.')
    while len(parts) > 1:
        path = ROOT.joinpath(*parts)
        for candidate in (path.with_suffix('.py'), path / '__init__.py'):
            if candidate.is_file():
                return candidate
        parts.pop()
    return None


def with_imported_files(file: Path) -> set[Path]:
    """A file and all files of ours that it imports, at any number of steps, ``compat`` left out.

    That room finds out whether a package is there, so it may name those that are not.
    """
    found, waiting = set(), [file]
    while waiting:
        current = waiting.pop()
        if current not in found and 'compat' not in current.relative_to(ROOT).parts:
            found.add(current)
            waiting += [path for name in own_imports(current) if (path := own_file(name))]
    return found


def imported_mm_packages(file: Path) -> set[str]:
    """Packages of OpenMMLab that a file, or one that it imports, imports."""
    names = {
        name.split('.')[0] for path in with_imported_files(file) for name in imported_modules(path)
    }
    return names & MM_PACKAGES


def first_sentence(file: Path) -> str:
    """The first sentence of a file's docstring, without its full stop; empty if there is none."""
    text = file.read_text(encoding='utf-8') if file.is_file() else ''
    docstring = ast.get_docstring(ast.parse(text)) or ''
    text = ' '.join(docstring.split('\n\n')[0].split()).replace('``', '')
    return text.split('. ')[0].removesuffix('.')


def floor_of(name: str) -> int:
    """The floor of a room: 0 for the ground, 1 for the one above it.

    Raises:
        ValueError: If the room has none.
    """
    for number, floor in enumerate((GROUND, *FLOORS)):
        if name in floor:
            return number
    raise ValueError(
        f'the room {name!r} is on no floor: add it to FLOORS in docs/{Path(__file__).name}'
    )
