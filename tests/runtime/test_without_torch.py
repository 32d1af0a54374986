"""The readers where neither torch nor any package of OpenMMLab can be imported."""

import os
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from copies import Run, copies_of
from missing import without
from tiny_files import Chooser, Finder, Painter, photo, write

from repnext_mm.runtime import open_reader

ABSENT = (
    'torch',
    'torchvision',
    'mmengine',
    'mmcv',
    'mmdet',
    'mmseg',
    'mmpretrain',
    'timm',
    'onnx',
)
ALLOWED = {'numpy', 'cv2', 'PIL', 'onnxruntime', 'openvino', 'repnext_mm'}


@pytest.fixture(scope='module')
def run() -> Iterator[Run]:
    with copies_of(f'{without(*ABSENT)}\nbefore = set(sys.modules)') as run:
        yield run


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('tiny')
    write(Chooser(7), folder / 'classification.onnx')
    write(Painter(5), folder / 'segmentation.onnx')
    write(Finder(), folder / 'detection.xml')
    np.save(folder / 'photo.npy', photo(120, 160))
    return folder


def test_readers_import_numpy_and_their_runtime_alone(run, folder):
    code = """
import numpy
from repnext_mm.runtime import open_reader
used = {name.split('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
print(*sorted(name for name in used if not name.startswith(('_', 'pybind11'))))
image = numpy.load(sys.argv[1] + '/photo.npy')
print(open_reader(sys.argv[1] + '/classification.onnx')(image).argmax())
print(open_reader(sys.argv[1] + '/segmentation.onnx')(image).sum())
print(len(open_reader(sys.argv[1] + '/detection.xml')(image, sys.argv[1] + '/found.png')))
"""
    imported, *answers = run(code, folder).splitlines()
    assert imported.split() == ['numpy', 'repnext_mm']
    image = photo(120, 160)
    expected = [
        open_reader(folder / 'classification.onnx')(image).argmax(),
        open_reader(folder / 'segmentation.onnx')(image).sum(),
        len(open_reader(folder / 'detection.xml')(image)),
    ]
    assert answers == [str(value) for value in expected]
    assert (folder / 'found.png').is_file()


FORKS = f"""{without(*ABSENT)}
import os, sys, time
import numpy
from repnext_mm.runtime import open_reader
reader = open_reader(sys.argv[1])
image = numpy.zeros((20, 30, 3), numpy.uint8)
expected = reader(image)
for use in (True, False):
    child = os.fork()
    if child == 0:
        sys.exit(3 if not use or numpy.allclose(reader(image), expected) else 4)
    end = time.monotonic() + 60
    while not (done := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > end:
            os.kill(child, 9)
        time.sleep(0.01)
    print(os.waitstatus_to_exitcode(done[1]))
"""


def test_forked_processes_end_as_usual(folder):
    """With ONNX Runtime's telemetry on, they hang where it was but imported."""
    command = [sys.executable, '-c', FORKS, folder / 'classification.onnx']
    environment = os.environ | dict(ORT_DISABLE_TELEMETRY='1')
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.stdout.split() == ['3', '3'], result.stderr


@pytest.mark.parametrize(
    ('code', 'needed'),
    [
        ('from repnext_mm import reparameterize_model', "pip install 'repnext-mm[torch]'"),
        ('from repnext_mm import install', "pip install 'repnext-mm[torch]'"),
        ('from repnext_mm.networks import RepNeXt', "pip install 'repnext-mm[torch]'"),
        ('from repnext_mm.reparam import compare_keys', "pip install 'repnext-mm[torch]'"),
        ('import repnext_mm.models', "pip install 'repnext-mm[onedl]'"),
        ('from repnext_mm.export import export_model', "pip install 'repnext-mm[onedl]'"),
    ],
)
def test_what_needs_torch_says_so(run, code, needed):
    output = run(f"""
try:
    {code}
except ImportError as error:
    print(error)
""")
    assert needed in output
