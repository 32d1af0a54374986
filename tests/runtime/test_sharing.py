"""One reader for many threads, in copies, in processes that were forked or spawned, and in a server."""

import asyncio
import copy
import json
import multiprocessing
import os
import pickle
import shutil
import signal
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
import torch
from tiny_files import Chooser, Finder, Painter, photo, write

from repnext_mm.runtime import Detector, open_reader

RUNTIMES = [('.onnx', 'onnxruntime'), ('.onnx', 'openvino'), ('.xml', None), ('.pt2', None)]
IMAGES = [photo(96 + 12 * number, 128 + 16 * number, number) for number in range(4)]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('tiny')
    for suffix in ('.onnx', '.xml', '.pt2'):
        write(Finder(), folder / f'finder{suffix}')
    write(Chooser(7), folder / 'chooser.onnx')
    write(Painter(5), folder / 'painter.onnx')
    return folder


@pytest.fixture(params=RUNTIMES, ids=lambda row: f'{row[0]}-{row[1]}')
def reader(request, folder):
    suffix, runtime = request.param
    return open_reader(folder / f'finder{suffix}', runtime, trust=True)


def numbers(found):
    return np.concatenate(
        [found.boxes.ravel(), found.scores, found.labels, found.masks.sum((1, 2))]
    )


def same(found, expected):
    return len(found) == len(expected) and np.allclose(numbers(found), numbers(expected), atol=1e-3)


def test_threads_share_a_reader_and_get_the_serial_answers(reader):
    expected = [reader(image) for image in IMAGES]
    assert not same(expected[0], expected[1])  # so that a mixture would be noticed
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: reader(IMAGES[number % 4]), range(60)))
    assert all(same(one, expected[number % 4]) for number, one in enumerate(found))


@pytest.mark.parametrize('way', [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy, copy.copy])
def test_copies_open_the_file_again(reader, way):
    reader.classes.append('more')
    assert same(way(reader)(IMAGES[0]), reader(IMAGES[0])) and way(reader).classes[-1] == 'more'


def test_copies_keep_runtime_and_options_and_find_the_file(folder, tmp_path, monkeypatch):
    shutil.copy(folder / 'finder.onnx', tmp_path / 'model.onnx')
    monkeypatch.chdir(tmp_path)
    config = dict(INFERENCE_NUM_THREADS=1)
    reader = Detector('model.onnx', 'openvino', config=config, score_threshold=0.4, masks='rle')
    pickled = pickle.dumps(reader)
    monkeypatch.chdir(folder)
    again = pickle.loads(pickled)
    assert again.session.compiled.get_property('INFERENCE_NUM_THREADS') == 1
    assert again.choice == reader.choice and type(again.session) is type(reader.session)
    (tmp_path / 'model.onnx').unlink()
    with pytest.raises(FileNotFoundError, match=r'opened from .*model\.onnx, which is not there'):
        pickle.loads(pickled)


@pytest.mark.parametrize('suffix', ['.onnx', '.pt2'])
def test_models_are_opened_from_their_bytes_and_copied_with_them(folder, suffix):
    content = (folder / f'finder{suffix}').read_bytes()
    options = dict(trust=True) if suffix == '.pt2' else {}
    expected = open_reader(folder / f'finder{suffix}', **options)(IMAGES[0])
    reader = open_reader(content, **options)
    assert same(reader(IMAGES[0]), expected)
    assert same(pickle.loads(pickle.dumps(reader))(IMAGES[0]), expected)
    if suffix == '.onnx':
        assert same(open_reader(memoryview(content), 'openvino')(IMAGES[0]), expected)
    else:
        with pytest.raises(
            ValueError, match=r'this model of [\d,]+ bytes was not opened.*trust=True'
        ):
            open_reader(content)


def test_what_is_no_model_is_named(folder):
    with pytest.raises(ValueError, match=r'weights in a second file: give the path'):
        open_reader((folder / 'finder.xml').read_bytes())
    with pytest.raises(ValueError, match=r'this model of 7 bytes cannot be opened'):
        open_reader(b'nothing')
    with pytest.raises(ValueError, match=r"'https://h/model.onnx' is a URL, and no model is read"):
        open_reader('https://h/model.onnx')
    with pytest.raises(
        TypeError, match=r'path of an exported file or its content as bytes, got int'
    ):
        open_reader(3)


def ended(process, seconds=60.0):
    """The exit status of a child; fails if it is still there after some time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return 'hung'


def in_a_fork(code):
    """Runs code in a forked child while threads of the parent are busy; 0 if it returned true."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if code() else 2
        finally:
            os._exit(status)
    return ended(child)


@pytest.mark.filterwarnings('ignore:.*multi-threaded:DeprecationWarning')
def test_after_a_fork_it_works_or_says_what_to_do(reader):
    expected = reader(IMAGES[0])
    refuses = reader.session.__class__.__name__ == 'OpenVinoSession'

    def use():
        try:
            found = reader(IMAGES[0])
        except RuntimeError as error:
            return refuses and "'spawn' or 'forkserver'" in str(error)
        return same(found, expected) and not refuses

    def lose():  # nobody waits for threads that are not there
        nonlocal reader
        reader = None
        return True

    with ThreadPoolExecutor(2) as pool:
        busy = [pool.submit(reader, IMAGES[number % 4]) for number in range(40)]
        assert [in_a_fork(use), in_a_fork(use), in_a_fork(lose)] == [0, 0, 0]
        assert all(len(job.result()) == 6 for job in busy)


@pytest.mark.filterwarnings('ignore:.*multi-threaded:DeprecationWarning')
def test_pools_of_processes_take_readers(folder):
    reader = Detector(folder / 'finder.onnx')
    expected = [reader(image) for image in IMAGES]
    forked = multiprocessing.get_context('fork')
    with ProcessPoolExecutor(2, forked) as pool:
        found = list(pool.map(reader, IMAGES, timeout=60))
    assert all(map(same, found, expected))


@pytest.mark.slow
def test_spawned_pools_take_readers_of_any_runtime(reader):
    expected = [reader(image) for image in IMAGES]
    with ProcessPoolExecutor(1, multiprocessing.get_context('spawn')) as pool:
        found = list(pool.map(reader, IMAGES, timeout=300))
    assert all(map(same, found, expected))


class Answers(torch.utils.data.Dataset):
    """What a reader says of each image."""

    def __init__(self, reader):
        self.reader = reader

    def __len__(self):
        return len(IMAGES)

    def __getitem__(self, number):
        return self.reader(IMAGES[number])


@pytest.mark.filterwarnings('ignore:.*multi-threaded:DeprecationWarning')
def test_workers_of_a_data_loader_use_a_reader(folder):
    reader = open_reader(folder / 'chooser.onnx')
    expected = [reader(image) for image in IMAGES]
    loader = torch.utils.data.DataLoader(
        Answers(reader), batch_size=None, num_workers=2, multiprocessing_context='fork', timeout=60
    )
    for found, right in zip(loader, expected, strict=True):
        np.testing.assert_allclose(found, right, atol=1e-6)


def test_a_server_with_asyncio_shares_a_reader(folder):
    reader = open_reader(folder / 'finder.onnx', masks='rle')
    expected = [reader(image).to_coco() for image in IMAGES]

    async def answer(incoming, outgoing):
        number = int(await incoming.readline())
        found = await asyncio.to_thread(reader, IMAGES[number])
        outgoing.write(json.dumps(found.to_coco()).encode())
        outgoing.close()

    async def ask(port, number):
        incoming, outgoing = await asyncio.open_connection('127.0.0.1', port)
        outgoing.write(f'{number}\n'.encode())
        content = await incoming.read()
        outgoing.close()
        return json.loads(content)

    async def serve():
        async with await asyncio.start_server(answer, '127.0.0.1', 0) as server:
            port = server.sockets[0].getsockname()[1]
            return await asyncio.gather(*(ask(port, number % 4) for number in range(16)))

    found = asyncio.run(serve())
    for number, entries in enumerate(found):
        assert all(entry['segmentation']['size'] for entry in entries)
        boxes = [entry['bbox'] for entry in entries]
        np.testing.assert_allclose(boxes, [e['bbox'] for e in expected[number % 4]], atol=1e-3)
