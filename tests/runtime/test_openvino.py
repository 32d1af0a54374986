"""OpenVINO's files: the two of an export belong together, and nobody hears of them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from copies import copies_of
from torch import nn

from repnext_mm.export.formats import Job, write_openvino
from repnext_mm.runtime import FileSpec, InputSpec, open_session
from repnext_mm.runtime.pairs import WEIGHTS_KEY

SPEC = FileSpec('features', 'backbone', 'fused', 'float32', ('features_0',), InputSpec((0,), (1,)))


class Graph(nn.Module):
    """A convolution of images ``(N, H, W, 3)``."""

    output_names = ('features_0',)
    dynamic_batch = False
    dynamic_axes = static_axes = {}  # noqa: RUF012 (only read)

    def __init__(self, seed: int):
        super().__init__()
        torch.manual_seed(seed)
        self.conv = nn.Conv2d(3, 2, 3)

    def forward(self, images):
        return self.conv(images.permute(0, 3, 1, 2).float())


def write(path, seed):
    images = torch.zeros((1, 8, 8, 3), dtype=torch.uint8)
    write_openvino(Job(Graph(seed).eval(), images, False, 17, False, SPEC), path)


@pytest.fixture(scope='module')
def pairs(tmp_path_factory):
    """Two exports of one network with other weights."""
    folder = tmp_path_factory.mktemp('pairs')
    for seed in (0, 1):
        write(folder / f'{seed}.xml', seed)
    return folder


def test_a_pair_opens_and_a_torn_one_is_named(pairs, tmp_path):
    for suffix in ('xml', 'bin'):
        shutil.copy(pairs / f'0.{suffix}', tmp_path / f'model.{suffix}')
    images = np.ones((1, 8, 8, 3), np.uint8)
    expected = Graph(0)(torch.from_numpy(images)).detach()
    found = open_session(tmp_path / 'model.xml')(images)['features_0']
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    weights = tmp_path / 'model.bin'
    whole = weights.read_bytes()
    for torn in ((pairs / '1.bin').read_bytes(), bytes(len(whole))):
        weights.unlink()  # OpenVINO may still look into the old one
        weights.write_bytes(torn)
        with pytest.raises(ValueError, match=r'model\.bin beside it is missing, damaged or of'):
            open_session(tmp_path / 'model.xml')


def test_files_of_earlier_versions_have_no_hash_and_open(pairs, tmp_path):
    text = (pairs / '0.xml').read_text()
    assert text.count(WEIGHTS_KEY) == 1
    lines = [line for line in text.splitlines() if WEIGHTS_KEY not in line]
    (tmp_path / 'old.xml').write_text('\n'.join(lines))
    shutil.copy(pairs / '1.bin', tmp_path / 'old.bin')
    assert open_session(tmp_path / 'old.xml').spec == SPEC


TALKS = """
import json, sys, threading, time
from pathlib import Path
called = []
def note(event, arguments):
    if event in ('socket.getaddrinfo', 'socket.gethostbyname', 'socket.connect'):
        called.append([event, str(arguments[:2])])
sys.addaudithook(note)
{before}
from test_openvino import open_session, write
path = Path(sys.argv[1], 'model.xml')
write(path, 0)
open_session(path)
open_session(path.with_suffix('.xml'))
import openvino
for thread in threading.enumerate():
    if thread is not threading.current_thread() and not thread.daemon:
        thread.join(10)
time.sleep(0.5)
print(json.dumps([called, sorted(str(p) for p in Path.home().rglob('*'))]))
"""
IMPORTED_BEFORE = """
import openvino_telemetry
from openvino_telemetry.utils.opt_in_checker import OptInChecker
"""


@pytest.mark.parametrize('before', ['', IMPORTED_BEFORE], ids=['usual', 'imported_before'])
def test_nobody_is_called_and_no_id_is_left(tmp_path, before):
    home = tmp_path / 'home'
    home.mkdir()
    folders = [str(folder) for folder in Path(__file__).parents[:2]]
    setup = f'import sys; sys.path[:0] = {folders!r}; import torch'
    with copies_of(setup) as run:
        output = run(TALKS.format(before=before), tmp_path, HOME=str(home), CI=None)
    called, left = json.loads(output.splitlines()[-1])
    assert called == [] and left == []
