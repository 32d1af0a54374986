"""Files that can run code are opened for those who trust them, and looked into before."""

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from repnext_mm.runtime import FileSpec, InputSpec, open_reader, open_session
from repnext_mm.runtime.programs import check_program, is_arithmetic
from repnext_mm.runtime.spec import KEY


class Halved(nn.Module):
    """Images ``(N, H, W, 3)`` to features of half the size, with sizes that are expressions."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3, padding=1)

    def forward(self, images):
        features = self.conv(images.permute(0, 3, 1, 2).float())
        size = (features.shape[2] // 2, max(features.shape[3] // 2, 1))
        return nn.functional.interpolate(features, size)


@pytest.fixture(scope='module')
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp('program') / 'model.pt2'
    spec = FileSpec(
        'features', 'backbone', 'fused', 'float32', ('features_0',), InputSpec((0,), (1,))
    )
    images = torch.zeros((2, 32, 48, 3), dtype=torch.uint8)
    dynamic = torch.export.Dim.DYNAMIC
    shapes = ({0: dynamic, 1: dynamic, 2: dynamic},)
    exported = torch.export.export(Halved().eval(), (images,), dynamic_shapes=shapes, strict=False)
    torch.export.save(exported, str(path), extra_files={KEY: spec.to_text()})
    return path


def changed(program: Path, path: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """A copy of an archive in which the content of each entry is what ``change`` makes of it."""
    with zipfile.ZipFile(program) as source, zipfile.ZipFile(path, 'w') as target:
        for name in source.namelist():
            target.writestr(name, change(name, source.read(name)))
    return path


def replacing(old: str, new: object) -> Callable[[str, bytes], bytes]:
    """Replaces the first value of a key anywhere in the archive's JSON."""

    def change(name: str, content: bytes) -> bytes:
        if not name.endswith('.json') or '/extra/' in name:
            return content
        tree = json.loads(content)
        _replace(tree, old, new)
        return json.dumps(tree).encode()

    return change


def _replace(part: object, key: str, new: object) -> bool:
    if isinstance(part, dict):
        if key in part:
            part[key] = new
            return True
        return any(_replace(value, key, new) for value in part.values())
    return isinstance(part, list) and any(_replace(value, key, new) for value in part)


class Touch:
    """A pickle that makes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_programs_are_opened_for_those_who_trust_them(program):
    advice = r'model\.pt2 was not opened.*can run code.*trust=True.*ONNX and OpenVINO'
    for opened in (open_session, open_reader):
        with pytest.raises(ValueError, match=advice):
            opened(program)
    session = open_session(program, trust=True)
    images = torch.randint(0, 255, (3, 40, 56, 3), dtype=torch.uint8).numpy()
    assert session(images)['features_0'].shape == (3, 2, 20, 28)


def attacks(mark: Path) -> dict[str, tuple[str, object, str]]:
    code = f'__import__("os").mkdir({str(mark)!r})'
    return {
        'size': ('expr_str', code, 'a size that is no arithmetic'),
        'weights': ('use_pickle', True, 'pickled weights'),
        'object': ('path_name', 'custom_obj_0', 'a pickled object'),
        'call': ('target', 'torch.serialization.os.mkdir', 'a call of'),
        'file': ('target', 'torch.ops.aten.from_file.default', 'a call of'),
        'name': ('name', f'x): {code} #', 'a name that is none'),
        'class': ('in_spec', '[1, {"__enum__": true, "fqn": "this:x"}]', 'a class that would be'),
    }


@pytest.mark.parametrize('kind', attacks(Path()))
def test_programs_are_looked_into_before_they_are_opened(program, tmp_path, kind):
    mark = tmp_path / 'mark'
    key, value, problem = attacks(mark)[kind]
    path = changed(program, tmp_path / 'model.pt2', replacing(key, value))
    with pytest.raises(ValueError, match=rf'model\.pt2 was not opened, .*: {problem}'):
        open_session(path, trust=True)
    assert not mark.exists()


def test_pickles_in_programs_may_hold_data_only(program, tmp_path):
    mark, pickled = tmp_path / 'mark', io.BytesIO()
    torch.save(Touch(mark), pickled)

    def change(name: str, content: bytes) -> bytes:
        return pickled.getvalue() if name.endswith('.pt') else content

    path = changed(program, tmp_path / 'model.pt2', change)
    with pytest.raises(ValueError, match='is a pickle of more than tensors and numbers'):
        open_session(path, trust=True)
    assert not mark.exists()


def test_compiled_code_and_what_is_no_archive_are_named(program, tmp_path):
    path = changed(program, tmp_path / 'model.pt2', lambda name, content: content)
    check_program(path)
    with zipfile.ZipFile(path, 'a') as archive:
        archive.writestr('model/data/aotinductor/model/model.so', b'')
    with pytest.raises(ValueError, match='it holds compiled code'):
        check_program(path)
    path.write_bytes(b'PK')
    with pytest.raises(ValueError, match=r'model\.pt2 cannot be opened'):
        check_program(path)


@pytest.mark.parametrize(
    ('expression', 'allowed'),
    [
        ('s0', True),
        ('-1 + 2*s77//(s1 % 3)', True),
        ('Max(1, FloorDiv(s0, 2)) >= 3', True),
        ('Eq(Mod(s0, 32), 0)', True),
        ('__import__("os")', False),
        ('().__class__', False),
        ('s0.func("x")', False),
        ('s0.func(1)', False),
        ('Max(s0, "x")', False),
        ('eval(s0)', False),
        ('Max(*s0)', False),
        ('Max(**s0)', False),
        ("Symbol('s34', positive=True, integer=True)", True),
        ("FloorDiv(Add(Symbol('s1'), Integer(-1)), Integer(2))", True),
        ("Symbol('__import__(1)')", False),
        ('[s0 for s0 in s1]', False),
        ('lambda: s0', False),
        ('s0 := 3', False),
        ('s0 +', False),
    ],
)
def test_sizes_are_numbers_names_and_arithmetic(expression, allowed):
    assert is_arithmetic(expression) is allowed


@pytest.mark.parametrize('suffix', ['.torchscript', '.pt', '.ptl'])
def test_torchscript_is_no_exported_file_whether_trusted_or_not(tmp_path, suffix):
    path = tmp_path / f'model{suffix}'
    path.touch()
    with pytest.raises(ValueError, match='is no exported file: those end in'):
        open_session(path, trust=True)
