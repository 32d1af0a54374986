"""Files: what is read, what is written, and what is refused."""

import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy
import pytest
import safetensors.torch
import torch
from golden import official_state
from helpers import backbone, slim
from mmengine.runner import CheckpointLoader, Runner, load_checkpoint
from official_files import IMAGENET_LAYOUTS, save

from repnext_mm.border import is_foreseen
from repnext_mm.checkpoints import files as checkpoint_files
from repnext_mm.checkpoints.files import (
    load_from_http,
    load_from_local,
    sha256,
    write_checkpoint,
)
from repnext_mm.models import RepNeXt

pytestmark = pytest.mark.distribution


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_written_checkpoint_is_read_by_mmengine(suffix, tmp_path):
    source = backbone(slim('m1'))
    path = tmp_path / 'new' / f'model{suffix}'
    write_checkpoint(path, source.state_dict(), dict(arch='m1', classes=['a', 'b']))
    target = RepNeXt(slim('m1'))
    loaded = load_checkpoint(target, str(path))
    assert loaded['meta'] == dict(arch='m1', classes=['a', 'b'])
    state = target.state_dict()
    assert all(torch.equal(v, state[n]) for n, v in source.state_dict().items())
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_safetensors_of_others_load_without_metadata(tmp_path):
    path = tmp_path / 'official.safetensors'
    safetensors.torch.save_file(official_state('m0'), path)
    model = RepNeXt('m0', init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    model.init_weights()
    assert torch.equal(
        model.stem.stem[0].conv.weight, official_state('m0')['stem.stem.0.conv.weight']
    )


def test_foreign_metadata_and_tied_weights_are_no_obstacle(tmp_path):
    weight = torch.randn(2, 3)
    safetensors.torch.save_file({'w': weight}, tmp_path / 'x.safetensors', {'meta': 'hello'})
    assert load_from_local(str(tmp_path / 'x.safetensors'))['meta'] == {}
    palette = numpy.array([[1, 2, 3]])
    write_checkpoint(
        tmp_path / 'y.safetensors', {'a': weight, 'b': weight.T}, dict(palette=palette)
    )
    loaded = load_from_local(str(tmp_path / 'y.safetensors'))
    assert torch.equal(loaded['state_dict']['b'], weight.T)
    assert loaded['meta'] == dict(palette=[[1, 2, 3]])


def test_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / 'model.pth'
    path.write_text('precious')

    def fail(*args, **kwargs):
        args[1].write_text('half')
        raise OSError('no space left on device')

    monkeypatch.setattr(torch, 'save', fail)
    with pytest.raises(OSError, match='no space'):
        write_checkpoint(path, {}, {})
    assert path.read_text() == 'precious' and len(list(tmp_path.iterdir())) == 1


def zeroed(content: bytes, start: int, stop: int) -> bytes:
    """Bytes with a hole of zeros."""
    found = bytearray(content)
    found[start:stop] = bytes(stop - start)
    return bytes(found)


def test_what_is_no_checkpoint_is_named(tmp_path):
    torch.save(dict(state_dict=backbone(slim()).state_dict()), tmp_path / 'whole.pth')
    contents = {
        'text.pth': b'# RepNeXt',
        'empty.pth': b'',
        'half.pth': (tmp_path / 'whole.pth').read_bytes()[:5000],
        'index.pth': zeroed((tmp_path / 'whole.pth').read_bytes(), -400, -100),
        'text.safetensors': b'# RepNeXt-MM',
        'empty.safetensors': b'',
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        said = 'it is damaged' if name == 'index.pth' else 'it is no'
        with pytest.raises(ValueError, match=rf'{name} cannot be loaded.*: {said}'):
            load_from_local(str(tmp_path / name))
    for name in ('none.pth', 'none.safetensors'):
        with pytest.raises(FileNotFoundError, match=name):
            load_from_local(str(tmp_path / name))


def test_other_suffixes_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\.pth.*\.safetensors.*model\.onnx'"):
        write_checkpoint(tmp_path / 'model.onnx', {}, {})


@pytest.mark.filterwarnings('ignore:.*torch.jit:DeprecationWarning')
def test_torchscript_says_what_to_use_instead(tmp_path):
    path = tmp_path / 'repnext_m1_fused.pt'
    torch.jit.trace(torch.nn.Conv2d(3, 4, 1), torch.randn(1, 3, 8, 8)).save(path)
    model = RepNeXt('m1', init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    with pytest.raises(ValueError, match=r'TorchScript.*\.pth.*tools/reparameterize\.py'):
        model.init_weights()


def test_missing_files_are_named(tmp_path):
    for name in ('missing.pth', 'missing.safetensors'):
        with pytest.raises(FileNotFoundError, match='missing'):
            load_from_local(str(tmp_path / name))


def test_other_networks_load_as_ever(tmp_path):
    content = dict(state_dict={'layer1.weight': torch.ones(2)}, meta=dict(epoch=3))
    path = save(content, tmp_path / 'resnet.pth')
    loaded = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    assert loaded.keys() == content.keys() and loaded['meta'] == content['meta']


@pytest.fixture
def server(tmp_path):
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    handler.log_message = lambda *args: None
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f'http://127.0.0.1:{http.server_port}'
        http.shutdown()
        thread.join()


def test_urls_take_the_same_files(server, tmp_path, monkeypatch):
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path / 'home'))
    save(IMAGENET_LAYOUTS['model']('m0'), tmp_path / 'official.pth')
    safetensors.torch.save_file(official_state('m0'), tmp_path / 'official.safetensors')
    for name in ('official.pth', 'official.safetensors'):
        model = RepNeXt('m0', init_cfg=dict(type='Pretrained', checkpoint=f'{server}/{name}'))
        model.init_weights()
        assert torch.equal(
            model.stem.stem[0].conv.weight, official_state('m0')['stem.stem.0.conv.weight']
        )


def test_files_of_one_name_from_two_places_are_two_files(server, tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'home'))
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path / 'home'))
    places = ('first/model.pth', 'second/model.pth', 'first/model.pth?version=2')
    for number, place in enumerate(places[:2]):
        (tmp_path / place).parent.mkdir()
        save(dict(state_dict={'w': torch.tensor([float(number)])}), tmp_path / place)

    def read(place: str) -> float:
        loaded = CheckpointLoader.load_checkpoint(f'{server}/{place}', map_location='cpu')
        return loaded['state_dict']['w'].item()

    assert [read(place) for place in places] == [0.0, 1.0, 0.0]
    save(dict(state_dict={'w': torch.tensor([7.0])}), tmp_path / places[0])
    assert [read(place) for place in places] == [0.0, 1.0, 0.0]  # each is downloaded once
    kept = [path for path in (tmp_path / 'home').rglob('*') if path.is_file()]
    assert [path.name for path in kept] == ['model.pth'] * 3


@pytest.mark.parametrize('name', ['damaged.pth', 'cut.pth'])
def test_a_damaged_download_says_where_it_is_kept(name, server, tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'home'))
    content = bytearray(Path(save(dict(w=torch.ones(9999)), tmp_path / 'x.pth')).read_bytes())
    content[9000:9100] = bytes(100)
    (tmp_path / name).write_bytes(content if name == 'damaged.pth' else content[:20000])
    with pytest.raises(
        ValueError, match=rf'{name} cannot be loaded.*Remove .*{name}, where'
    ) as info:
        load_from_http(f'{server}/{name}', 'cpu')
    kept = Path(str(info.value).split('Remove ')[1].split(', where')[0])
    kept.unlink()
    save(dict(w=torch.ones(9999)), tmp_path / name)
    assert len(load_from_http(f'{server}/{name}', 'cpu')['w']) == 9999


def test_what_cannot_be_downloaded_is_no_damaged_file(server, tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'home'))
    with pytest.raises(ConnectionError, match=r'nothing.pth cannot be downloaded .*404') as info:
        load_from_http(f'{server}/nothing.pth', 'cpu')
    assert is_foreseen(info.value)


def test_hash_is_that_of_the_file(tmp_path):
    (tmp_path / 'x').write_bytes(b'abc')
    assert sha256(tmp_path / 'x').startswith('ba7816bf') and len(sha256(tmp_path / 'x')) == 64


def test_metadata_of_safetensors_is_readable_by_others(tmp_path):
    write_checkpoint(tmp_path / 'x.safetensors', {'w': torch.ones(1)}, dict(arch='m1'))
    with safetensors.safe_open(tmp_path / 'x.safetensors', 'pt') as file:
        assert json.loads(file.metadata()['meta']) == dict(arch='m1')


def test_loaders_are_those_that_the_runner_uses(tmp_path):
    assert Runner is not None
    for path, name in (('x.pth', 'load_from_local'), ('https://x/y.pth', 'load_from_http')):
        loader = CheckpointLoader._get_checkpoint_loader(path)
        assert loader is getattr(checkpoint_files, name)
