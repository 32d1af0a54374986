"""Pictures on a disk that takes them, and on one that is full."""

import os

import numpy as np
import pytest
from PIL import Image

from repnext_mm.visualization.saving import save_picture

PICTURE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


def test_colours_come_back(tmp_path):
    save_picture(PICTURE, tmp_path / 'a' / 'picture.png')
    with Image.open(tmp_path / 'a' / 'picture.png') as image:
        assert np.array_equal(np.asarray(image), PICTURE)
    save_picture(PICTURE, tmp_path / 'picture.jpg')
    with Image.open(tmp_path / 'picture.jpg') as image:
        assert image.format == 'JPEG'
    with pytest.raises(ValueError, match='no suffix of a picture'):
        save_picture(PICTURE, tmp_path / 'picture')


def test_a_full_disk_is_an_error_and_leaves_the_old_picture(tmp_path):
    resource = pytest.importorskip('resource')
    path = tmp_path / 'picture.png'
    save_picture(PICTURE[:4], path)
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    child = os.fork()
    if not child:  # the limit holds for all files of a process
        status = 1
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
            save_picture(PICTURE, path)
        except OSError:
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert path.read_bytes() == before
    assert not list(tmp_path.glob('.repnext*'))
