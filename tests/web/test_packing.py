"""The folder with the network in the browser: what is in it, and what is refused."""

import io
import json
import shutil
import subprocess
import tarfile

import pytest
from tiny_networks import tiny_detector, write_network

from repnext_mm.runtime import open_reader
from repnext_mm.viewer import IN_BROWSER
from repnext_mm.web import download_package, onnxruntime_web, pack, read_package
from repnext_mm.web.__main__ import run_packing
from repnext_mm.web.packing import check_rules

CONTENTS = {name: name.encode() for name in onnxruntime_web.RUNTIME_FILES}


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    return tiny_detector(tmp_path_factory.mktemp('tiny') / 'finder.onnx')


@pytest.fixture
def archive(tmp_path):
    """What ``npm pack`` writes, with other files in it too."""
    path = tmp_path / 'package.tgz'
    with tarfile.open(path, 'w:gz') as archive:
        files = {f'package/dist/{name}': content for name, content in CONTENTS.items()}
        files |= {'package/package.json': b'{}', 'package/dist/other.js': b'', '../evil': b'x'}
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_the_folder_is_complete(model, archive, tmp_path, capsys):
    folder = tmp_path / 'web'
    run_packing([str(model), '--output', str(folder), '--onnxruntime-web', str(archive)])
    names = {path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file()}
    runtime = {f'onnxruntime/{name}' for name in [*CONTENTS, 'package.json']}
    assert names == {*IN_BROWSER, *runtime, 'model.json', 'model.onnx'}
    assert (folder / 'model.onnx').read_bytes() == model.read_bytes()
    description = json.loads((folder / 'model.json').read_text())
    assert description['name'] == 'finder' and description['classes'] == ['round', 'square']
    assert description['spec'] == open_reader(model).metadata
    assert f'http.server --bind 127.0.0.1 --directory {folder}' in capsys.readouterr().out


def test_a_folder_that_is_there_stays(model, tmp_path):
    folder = tmp_path / 'web'
    folder.mkdir()
    (folder / 'mine').touch()
    with pytest.raises(FileExistsError, match='name another folder'):
        pack(model, CONTENTS, folder)
    assert [path.name for path in folder.iterdir()] == ['mine']


def test_nothing_is_written_if_a_file_cannot_be(model, tmp_path):
    with pytest.raises(OSError):
        pack(model, CONTENTS | {'no/folder.mjs': b''}, tmp_path / 'web')
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('inner', ['.', 'dist', 'node_modules/onnxruntime-web/dist'])
def test_the_package_is_found_in_folders(tmp_path, inner):
    folder = tmp_path / inner
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in CONTENTS.items():
        (folder / name).write_bytes(content)
    assert read_package(tmp_path) == CONTENTS
    (folder / onnxruntime_web.RUNTIME_FILES[2]).unlink()
    with pytest.raises(FileNotFoundError, match=r'has no ort-wasm-simd-threaded\.wasm.*npm pack'):
        read_package(tmp_path)


def test_what_is_no_package_is_told(tmp_path, archive):
    with pytest.raises(FileNotFoundError, match='npm pack onnxruntime-web'):
        read_package(tmp_path / 'missing')
    broken = tmp_path / 'broken.tgz'
    broken.write_bytes(archive.read_bytes()[:100])
    with pytest.raises(ValueError, match='no archive of npm'):
        read_package(broken)


def test_nothing_is_downloaded_unasked(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, 'run', None)
    with pytest.raises(FileNotFoundError, match='--onnxruntime-web; or let --download'):
        run_packing([str(model), '--output', 'web'])


def test_npm_downloads_where_it_is_asked(monkeypatch, archive):
    commands = []

    def npm(command, **options):
        commands.append(command)
        shutil.copy(archive, command[3].partition('=')[2])
        return subprocess.CompletedProcess(command, 0, '', '')

    monkeypatch.setattr(onnxruntime_web.shutil, 'which', lambda name: f'/usr/bin/{name}')
    monkeypatch.setattr(onnxruntime_web.subprocess, 'run', npm)
    assert set(download_package()) == {*CONTENTS, 'package.json'}
    assert commands[0][-1] == f'onnxruntime-web@{onnxruntime_web.TESTED}'
    monkeypatch.setattr(onnxruntime_web.shutil, 'which', lambda name: None)
    with pytest.raises(FileNotFoundError, match='npm is not installed'):
        download_package()


def test_npm_that_fails_is_quoted(monkeypatch):
    failed = subprocess.CompletedProcess([], 1, '', 'npm error network unreachable')
    monkeypatch.setattr(onnxruntime_web.shutil, 'which', lambda name: f'/usr/bin/{name}')
    monkeypatch.setattr(onnxruntime_web.subprocess, 'run', lambda *a, **k: failed)
    with pytest.raises(RuntimeError, match='network unreachable'):
        download_package()


def test_other_interpolations_are_refused(model):
    rule = dict(type='resize', backend='cv2', interpolation='area', keep_ratio=True, scale=[8, 8])
    with pytest.raises(ValueError, match="'area' of cv2"):
        check_rules(open_reader(model).metadata | dict(resize=[rule]), model)


def test_masks_of_whole_images_are_refused(model):
    metadata = open_reader(model).metadata | dict(mask_frame='image')
    with pytest.raises(ValueError, match=r'masks of whole images.*repnext_mm\.serve'):
        check_rules(metadata, model)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match='no exported file'):
        pack(tmp_path / 'missing.onnx', CONTENTS, tmp_path / 'web')
    with pytest.raises(ValueError, match='no ONNX file'):
        pack(tmp_path / 'model.xml', CONTENTS, tmp_path / 'web')
    features = write_network(tmp_path / 'features.onnx', 'features', [], {}, {}, ())
    with pytest.raises(ValueError):
        pack(features, CONTENTS, tmp_path / 'web')
