"""Archives become data sets as a whole, or leave nothing behind."""

import gzip
import json
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from repnext_mm.datasets import prepare_dataset
from repnext_mm.datasets.nuclei import split_of, tiles_of

VALIDATED = '003cee89357d9fe13516167fd67b609a164651b21934585648c740d2c3d86dc1'
"""The ID of an image of the archive, which is for validation."""


def archive(folder: Path, path: Path) -> Path:
    with tarfile.open(path, 'w:gz') as file:
        for part in folder.iterdir():
            file.add(part, part.name)
    return path


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def nucleus(folder: Path, number: int, shape: tuple[int, int], box: tuple[int, ...]) -> None:
    left, top, right, bottom = box
    mask = np.zeros(shape, np.uint8)
    mask[top:bottom, left:right] = 255
    save(folder / 'masks' / f'{number}.png', mask)


@pytest.fixture
def nuclei(tmp_path):
    """One image with alpha channel, as large as two tiles; a nucleus lies in both."""
    folder = tmp_path / 'archive' / 'nuclei' / VALIDATED
    pixels = np.full((200, 500, 4), 7, np.uint8)
    pixels[:, 250:, :3] = 9
    save(folder / 'images' / f'{VALIDATED}.png', pixels)
    nucleus(folder, 0, (200, 500), (240, 10, 260, 30))
    nucleus(folder, 1, (200, 500), (100, 50, 110, 55))
    nucleus(folder, 2, (200, 500), (10, 10, 12, 12))
    other = tmp_path / 'archive' / 'nuclei' / 'a'
    save(other / 'images' / 'a.png', np.zeros((100, 100, 4), np.uint8))
    nucleus(other, 0, (100, 100), (0, 0, 10, 10))
    return archive(tmp_path / 'archive', tmp_path / 'nuclei.tar.gz')


def test_nuclei_are_cut_with_their_images(nuclei, tmp_path):
    folder, numbers = prepare_dataset('nuclei', nuclei, tmp_path / 'data')
    assert numbers['val images'] == 2 and numbers['val annotations'] == 3  # one is too small
    assert numbers['train images'] == 1
    coco = COCO(str(folder / 'annotations' / 'instances_val.json'))
    boxes = [[a['bbox'] for a in coco.imgToAnns[number]] for number in (1, 2)]
    assert boxes == [[[240, 10, 10, 20], [100, 50, 10, 5]], [[0, 10, 10, 20]]]
    first = coco.imgToAnns[1][0]
    assert coco_mask.decode(first['segmentation']).sum() == first['area'] == 200
    with Image.open(folder / 'val' / coco.imgs[2]['file_name']) as image:
        assert image.mode == 'RGB' and image.size == (250, 200)
        assert np.array(image).min() == np.array(image).max() == 9


def test_split_of_nuclei_never_moves():
    assert split_of(VALIDATED) == 'val' and split_of('a') == 'train'
    share = sum(split_of(str(number)) == 'val' for number in range(8000)) / 8000
    assert share == pytest.approx(1 / 8, abs=0.02)


@pytest.mark.parametrize('shape', [(256, 256), (256, 320), (520, 696), (1040, 1388), (30, 40)])
def test_tiles_cover_every_pixel_once(shape):
    covered = np.zeros(shape, int)
    for tile in tiles_of(shape):
        covered[tile] += 1
        assert max(covered[tile].shape) <= 384
    assert (covered == 1).all()


def test_void_of_camvid_is_ignored(tmp_path):
    source = tmp_path / 'archive' / 'camvid'
    for split, count in (('train', 2), ('val', 1)):
        for number in range(count):
            save(source / 'images' / split / f'{number}.jpg', np.zeros((4, 4, 3), np.uint8))
            labels = np.array([[0, 10], [11, 11]], np.uint8)
            save(source / 'annotations' / split / f'{number}.png', labels)
    path = archive(tmp_path / 'archive', tmp_path / 'camvid.tar.gz')
    folder, numbers = prepare_dataset('camvid', path, tmp_path / 'data')
    assert numbers == dict(train=2, val=1)
    with Image.open(folder / 'annotations' / 'val' / '0.png') as image:
        assert np.array(image).tolist() == [[0, 10], [255, 255]]


def test_cifar10_keeps_its_folders(tmp_path):
    for split in ('train', 'test'):
        save(tmp_path / 'archive' / split / 'cat' / '0.jpg', np.zeros((4, 4, 3), np.uint8))
    path = archive(tmp_path / 'archive', tmp_path / 'cifar10.tar.gz')
    folder, numbers = prepare_dataset('cifar10', path, tmp_path / 'data')
    assert numbers == dict(train=1, test=1) and (folder / 'test' / 'cat' / '0.jpg').is_file()


def test_wrong_archives_leave_nothing_behind(nuclei, tmp_path):
    data = tmp_path / 'data'
    with pytest.raises(ValueError, match='no archive of camvid: it lacks camvid/images'):
        prepare_dataset('camvid', nuclei, data)
    broken = tmp_path / 'broken.tar.gz'
    broken.write_bytes(nuclei.read_bytes()[:600])
    with pytest.raises(ValueError, match='is no archive that can be unpacked'):
        prepare_dataset('nuclei', broken, data)
    assert list(data.iterdir()) == []


def test_an_archive_with_a_hole_that_looks_like_its_end_is_refused(tmp_path):
    for number in range(20):
        for split in ('train', 'test'):
            save(tmp_path / 'archive' / split / f'{number}.png', np.zeros((9, 9, 3), np.uint8))
    whole = gzip.decompress(archive(tmp_path / 'archive', tmp_path / 'a.tar.gz').read_bytes())
    half = len(whole) // 2 // 512 * 512
    content = bytearray(gzip.compress(whole))
    packed = zlib.compressobj(wbits=-15)
    holed = packed.compress(whole[:half] + bytes(len(whole) - half)) + packed.flush()
    path = tmp_path / 'holed.tar.gz'
    path.write_bytes(content[:10] + holed + content[-8:])  # checksum and length of the whole
    with pytest.raises(ValueError, match=r'CRC check failed.*download it again'):
        prepare_dataset('cifar10', path, tmp_path / 'data')
    assert list((tmp_path / 'data').iterdir()) == []


def test_bad_requests_are_refused_with_the_next_step(nuclei, tmp_path):
    with pytest.raises(ValueError, match="unknown data set 'mnist': choose from cifar10"):
        prepare_dataset('mnist', nuclei, tmp_path)
    with pytest.raises(FileNotFoundError, match='there is no archive'):
        prepare_dataset('nuclei', tmp_path / 'missing.tar.gz', tmp_path)
    (tmp_path / 'data' / 'nuclei').mkdir(parents=True)
    with pytest.raises(FileExistsError, match='remove it to prepare nuclei again'):
        prepare_dataset('nuclei', nuclei, tmp_path / 'data')


def test_annotations_are_those_that_the_config_reads(nuclei, tmp_path):
    folder, _ = prepare_dataset('nuclei', nuclei, tmp_path / 'data')
    found = json.loads((folder / 'annotations' / 'instances_train.json').read_text())
    assert found['categories'] == [dict(id=1, name='nucleus')]
    assert found['images'][0] | dict(file_name='') == dict(
        id=1, file_name='', height=100, width=100
    )
