"""Who imports whom: as docs/rooms.svg draws it and docs/architecture.md says it."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / 'docs'


@pytest.fixture(scope='module')
def docs():
    """The folder with the script that draws the rooms, importable."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))
        yield
    for name in ('rooms', 'draw_rooms'):
        sys.modules.pop(name, None)


@pytest.fixture(scope='module')
def rooms(docs):
    """The rooms of the package by name."""
    import rooms

    return rooms.read_rooms()


def test_picture_is_that_of_the_code(rooms):
    import draw_rooms

    assert draw_rooms.draw(rooms) == draw_rooms.PICTURE.read_text(encoding='utf-8'), (
        'the imports or the first sentences of docstrings have changed: '
        'python docs/draw_rooms.py draws them again'
    )


def test_every_room_says_what_it_is_and_stands_in_the_document(rooms):
    from rooms import FLOORS, GROUND

    assert [name for name, room in rooms.items() if not room.sentence] == []
    table = re.findall(r'^\| `(\w+)', (DOCS / 'architecture.md').read_text(), re.MULTILINE)
    assert sorted(table) == sorted(name for floor in (GROUND, *FLOORS) for name in floor)


def test_floors_have_only_rooms_that_exist(rooms):
    from rooms import FLOORS, GROUND

    assert {name for floor in (GROUND, *FLOORS) for name in floor} == set(rooms)


def test_document_says_whom_each_room_knows(rooms):
    from rooms import FLOORS, GROUND

    lines = (DOCS / 'architecture.md').read_text().splitlines()
    rows = [line.strip('|').split('|') for line in lines if line.startswith('| `')]
    told = {
        row[0].strip(' `'): set(re.findall(r'`(\w+)`', row[2])) for row in rows if len(row) == 3
    }
    assert set(told) == {name for floor in FLOORS for name in floor}
    assert told == {name: set(rooms[name].imports) - set(GROUND) for name in told}


def upward(rooms) -> set[tuple[str, str]]:
    from rooms import floor_of

    edges = {(name, other) for name, room in rooms.items() for other in room.imports}
    return {edge for edge in edges if floor_of(edge[0]) <= floor_of(edge[1])}


def test_imports_lead_downwards(rooms):
    """So there is no circle between rooms either."""
    assert upward(rooms) == set()


def test_an_upward_import_is_found(rooms):
    changed = rooms['reparam']._replace(imports=frozenset({'models'}))
    assert ('reparam', 'models') in upward({**rooms, 'reparam': changed})


@pytest.mark.parametrize(
    'room', ['reparam', 'networks', 'runtime', 'quantization', 'viewer', 'serve', 'web']
)
def test_room_imports_no_mm_package(room, docs):
    """Nor does what it imports of ours, apart from ``compat``, which asks what is there."""
    from rooms import PACKAGE, imported_mm_packages

    files = list((ROOT / PACKAGE / room).rglob('*.py'))
    assert files and {path.name: imported_mm_packages(path) for path in files} == {
        path.name: set() for path in files
    }


def test_an_mm_package_is_found_behind_other_files(docs):
    from rooms import PACKAGE, imported_mm_packages

    assert imported_mm_packages(ROOT / PACKAGE / 'compat' / 'packages.py') == set()
    assert 'mmengine' in imported_mm_packages(ROOT / PACKAGE / 'trained.py')
    assert 'mmengine' in imported_mm_packages(ROOT / PACKAGE / 'models' / '__init__.py')


def test_quantization_knows_onnx_and_runtime_alone(rooms, docs):
    from rooms import GROUND, PACKAGE, imported_modules

    assert rooms['quantization'].imports <= {'runtime', *GROUND}
    imported = {
        name.split('.')[0]
        for path in (ROOT / PACKAGE / 'quantization').rglob('*.py')
        for name in imported_modules(path)
    }
    foreign = imported - sys.stdlib_module_names - {PACKAGE}
    assert foreign <= {'numpy', 'onnx', 'onnxruntime', 'google'}


def test_quantization_names_no_task(rooms):
    from repnext_mm.runtime import READERS

    constants = {
        node.value
        for path in (ROOT / 'repnext_mm' / 'quantization').rglob('*.py')
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
    }
    assert len(READERS) > 2 and not constants & {*READERS, 'features'}


def test_registry_names_rooms_above_only_as_the_places_of_classes():
    tree = ast.parse((ROOT / 'repnext_mm' / 'registry.py').read_text())
    allowed = {
        id(constant)
        for call in ast.walk(tree)
        if isinstance(call, ast.keyword) and call.arg == 'locations'
        for constant in ast.walk(call.value)
    }
    named = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and str(node.value).startswith('repnext_mm.')
        and id(node) not in allowed
    ]
    assert allowed and not named
