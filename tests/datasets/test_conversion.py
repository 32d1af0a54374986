"""Data sets of other tools become ones that mmdet and mmseg read, or the user learns why not."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from raw_data import (
    BOX,
    HEIGHT,
    RING,
    SOURCES,
    WIDTH,
    box_mask,
    label_maps,
    masks,
    save_grey,
    save_image,
    voc,
    write,
    yolo,
)

from repnext_mm.datasets.classes_file import read_classes
from repnext_mm.datasets.conversion import ConversionError, Options, convert_dataset
from repnext_mm.datasets.splits import Shares, choose_split

NAMES = [f'item{number}' for number in range(6)]
HALVES = dict(val=0.4, test=0.2)


def convert(folder: Path, kind: str, **options) -> tuple[Path, object]:
    target = folder.parent / 'converted'
    return target, convert_dataset(folder, target, Options(kind, **options))


@pytest.fixture
def source(tmp_path) -> Path:
    return tmp_path / 'source'


@pytest.mark.parametrize('kind', SOURCES)
def test_every_format_gives_the_same_boxes(kind, source):
    for name in NAMES:
        SOURCES[kind](source, name)
    classes = ['cat'] if kind == 'masks' else []
    target, report = convert(source, kind, classes=classes, **HALVES)
    assert report.labels['cat'] == 6 and sum(report.images.values()) == 6
    assert report.absent == (['dog'] if kind == 'yolo' else [])
    left, top, right, bottom = BOX
    for split, count in report.images.items():
        coco = COCO(str(target / 'annotations' / f'instances_{split}.json'))
        assert len(coco.imgs) == count > 0
        for image in coco.imgs.values():
            assert (image['height'], image['width']) == (HEIGHT, WIDTH)
            assert (target / split / image['file_name']).is_file()
        for entry in coco.anns.values():
            assert coco.cats[entry['category_id']]['name'] == 'cat' and entry['iscrowd'] == 0
            expected = [left, top, right - left, bottom - top]
            assert entry['bbox'] == pytest.approx(expected, abs=0.01)
            assert entry['area'] == pytest.approx(20 * 15, rel=0.01)
            assert ('segmentation' in entry) == (kind not in ('voc', 'yolo'))


def test_splits_do_not_move_when_images_are_added():
    shares = Shares(0.2, 0.1)
    chosen = [choose_split(f'{number}.png', shares) for number in range(5000)]
    assert chosen[:100] == [choose_split(f'{number}.png', shares) for number in range(100)]
    assert chosen.count('val') / 5000 == pytest.approx(0.2, abs=0.02)
    assert chosen.count('test') / 5000 == pytest.approx(0.1, abs=0.02)
    more = [choose_split(f'{number}.png', Shares(0.2, 0.0)) for number in range(5000)]
    assert all(a == b for a, b in zip(chosen, more, strict=True) if a == 'val')


def test_splits_of_the_data_are_kept(source):
    for name in NAMES:
        voc(source, name)
    lists = source / 'ImageSets' / 'Main'
    write(lists / 'train.txt', '\n'.join(NAMES[:4]))
    write(lists / 'val.txt', '\n'.join(NAMES[4:]))
    _, report = convert(source, 'voc')
    assert report.images == dict(train=4, val=2)
    with pytest.raises(ValueError, match='has a split val already, which is kept: leave --val out'):
        convert_dataset(source, source.parent / 'other', Options('voc', val=0.5))


def test_folders_of_splits_are_kept_and_leave_the_names(source):
    for number, name in enumerate(NAMES):
        split = 'valid' if number < 2 else 'train'
        save_image(source / split / 'images' / f'{name}.jpg')
        write(source / split / 'labels' / f'{name}.txt', '0 0.1 0.1 0.4 0.1 0.4 0.4\n')
    target, report = convert(source, 'yolo', classes=['cat'])
    assert report.images == dict(train=4, val=2)
    found = json.loads((target / 'annotations' / 'instances_val.json').read_text())
    assert [entry['file_name'] for entry in found['images']] == ['item0.jpg', 'item1.jpg']
    assert found['annotations'][0]['segmentation'] == [[4, 3, 16, 3, 16, 12]]


def test_large_images_are_cut_with_their_objects(source):
    for name in NAMES:
        masks(source, name)
    target, report = convert(source, 'masks', classes=['cat'], tile=20, **HALVES)
    assert sum(report.images.values()) == 6 * 4
    coco = COCO(str(target / 'annotations' / 'instances_train.json'))
    areas = [entry['area'] for entry in coco.imgToAnns[1]]
    with Image.open(target / 'train' / coco.imgs[1]['file_name']) as image:
        assert image.size == (20, 15)
    assert areas == [10 * 10]
    assert sum(entry['area'] for entry in coco.anns.values()) == 300 * len(coco.imgs) / 4


@pytest.mark.parametrize(
    ('kind', 'path', 'content', 'message'),
    [
        ('masks', 'item0/masks/1.png', np.zeros((HEIGHT, WIDTH), np.uint8), 'is an empty mask'),
        ('masks', 'item0/masks/1.png', np.ones((9, 9), np.uint8), 'has 9x9 pixels, and its image 40x30'),
        ('masks', 'lost/masks/0.png', box_mask(), 'holds masks without an image'),
        ('voc', 'Annotations/item0.xml', '<annotation>', 'cannot be read as XML'),
        ('voc', 'Annotations/lost.xml', '<annotation/>', 'has no image of its name'),
        ('voc', 'Annotations/item0.xml', '<a><object><name>cat</name></object></a>', 'without name or box'),
        ('yolo', 'labels/item0.txt', '2 0.5 0.5 0.1 0.1', 'has the class 2 in line 1, and there are 2 names'),
        ('yolo', 'labels/item0.txt', '0 0.1 0.1 0.2 0.2 0.3 0.3 0.4', 'has 8 values in line 1'),
        ('yolo', 'labels/item0.txt', '0 0.5 0.5 0 0.1', 'of no area'),
        ('yolo', 'labels/item0.txt', 'cat 0.5 0.5 0.1 0.1', 'is no number'),
        ('labelme', 'item0.json', dict(shapes=[], imagePath='other.jpg'), "'other.jpg' is not there"),
        ('labelme', 'item0.json', dict(shapes=[dict(label='cat', points=RING[:2])], imagePath='item0.jpg'),
         "polygon of class 'cat' with 2 points, and a polygon needs three"),
        ('labelme', 'item0.json', dict(shapes=[], imagePath='item0.jpg', imageHeight=9, imageWidth=9),
         'was drawn on an image of 9x9'),
        ('supervisely-folder', 'all/ann/item0.png.json', dict(objects=[dict(classTitle='dog')]),
         "has the class 'dog', which is none of cat"),
        ('yolo', 'images/item0.jpg', 'no image', 'cannot be read as an image'),
    ],
)  # fmt: skip
def test_bad_files_are_named_with_the_next_step_and_nothing_is_written(
    kind, path, content, message, source
):
    for name in NAMES:
        SOURCES[kind](source, name)
    if isinstance(content, np.ndarray):
        save_grey(source / path, content)
    else:
        write(source / path, content)
    classes = ['cat'] if kind == 'masks' else []
    with pytest.raises(ConversionError, match=r'1 file.* cannot be converted') as caught:
        convert(source, kind, classes=classes, **HALVES)
    text = str(caught.value)
    named = Path(path).parent if message.startswith('holds') else Path(path)
    assert message in text and str(source / named) in text and '--skip-bad' in text
    assert [folder.name for folder in source.parent.iterdir()] == ['source']
    _, report = convert(source, kind, classes=classes, skip_bad=True, **HALVES)
    assert len(report.skipped) == 1 and sum(report.images.values()) in (5, 6)


def test_names_beyond_the_allowed_ones_are_refused(source):
    for name in NAMES:
        voc(source, name)
    with pytest.raises(ConversionError, match="has the class 'cat', which is none of dog"):
        convert(source, 'voc', classes=['dog'])


def test_turned_images_have_the_size_in_which_they_are_loaded(source):
    for name in NAMES:
        yolo(source, name)
    path = source / 'images' / 'item0.jpg'
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(path, exif=exif)
    target, _ = convert(source, 'yolo', **HALVES)
    sizes = {
        image['file_name']: (image['height'], image['width'])
        for file in (target / 'annotations').iterdir()
        for image in json.loads(file.read_text())['images']
    }
    assert sizes['item0.jpg'] == (WIDTH, HEIGHT) and sizes['item1.jpg'] == (HEIGHT, WIDTH)


def labels_of(target: Path) -> np.ndarray:
    with Image.open(next((target / 'annotations').rglob('*.png'))) as image:
        return np.array(image)


def test_values_of_label_maps_are_ignored_by_number(source):
    label_maps(source, NAMES, np.array([[0, 1], [11, 255]], np.uint8))
    options = dict(classes=['sky', 'road'], ignore=['11'], **HALVES)
    target, report = convert(source, 'label-maps', **options)
    assert labels_of(target).tolist() == [[0, 1], [255, 255]]
    assert report.labels == dict(sky=6, road=6)
    found = read_classes(target / 'classes.txt')
    assert found.names == ('sky', 'road') and len(set(found.palette)) == 2
    assert (target / 'images' / 'train').is_dir() and (target / 'annotations' / 'train').is_dir()


def test_classes_of_label_maps_are_ignored_by_name_and_the_others_move_up(source):
    label_maps(source, NAMES, np.array([[0, 1], [2, 2]], np.uint8))
    options = dict(classes=['void', 'sky', 'road'], ignore=['void'], **HALVES)
    target, _ = convert(source, 'label-maps', **options)
    assert labels_of(target).tolist() == [[255, 0], [1, 1]]
    assert read_classes(target / 'classes.txt').names == ('sky', 'road')


def test_colours_of_label_maps_are_those_of_a_file(source):
    pixels = np.array([[[128, 64, 128], [0, 0, 0]], [[9, 9, 9], [128, 64, 128]]], np.uint8)
    label_maps(source, NAMES, pixels)
    names = write(source / 'classes.txt', '0 0 0 Void\n128 64 128 a road\n9 9 9\tsky\n')
    target, _ = convert(source, 'label-maps', ignore=['Void'], **HALVES)
    assert labels_of(target).tolist() == [[0, 255], [1, 0]]
    found = read_classes(target / 'classes.txt')
    assert found.names == ('a road', 'sky') and found.palette == ((128, 64, 128), (9, 9, 9))
    write(names, '0 0 0 Void\n128 64 128 a road\n')
    with pytest.raises(ConversionError, match=r'has 1 pixels of the colour 9 9 9.*--classes FILE'):
        convert_dataset(source, source.parent / 'other', Options('label-maps', **HALVES))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(classes=['sky', 'road']), r'has 1 pixels of the value 11.*--ignore 11'),
        (dict(classes=['sky', 'sky']), 'a class is named twice'),
        (dict(classes=['sky'], ignore=['Void']), 'names no class of sky'),
        (dict(classes=['sky', 'road'], values=[0]), '1 values for 2 classes'),
        (dict(), 'has no classes.txt: name the classes'),
        (dict(classes=['a', 'b'], ignore=['11'], val=0.9, test=0.2), 'less than 1 together'),
        (dict(classes=['a', 'b'], ignore=['11'], val=0.0), 'no image is in the split val'),
        (dict(classes=['a', 'b'], ignore=['11'], tile=64), '--tile is for objects'),
    ],
)
def test_what_does_not_fit_label_maps_is_refused(options, message, source):
    label_maps(source, NAMES, np.array([[0, 1], [11, 255]], np.uint8))
    with pytest.raises(ValueError, match=message):
        convert(source, 'label-maps', **options)
    assert [folder.name for folder in source.parent.iterdir()] == ['source']


def test_values_may_be_named_one_by_one(source):
    label_maps(source, NAMES, np.array([[0, 128], [128, 0]], np.uint8))
    options = dict(classes=['nothing', 'cell'], values=[0, 128], **HALVES)
    target, _ = convert(source, 'label-maps', **options)
    assert labels_of(target).tolist() == [[0, 1], [1, 0]]


def test_bad_requests_are_refused(source):
    yolo(source, 'item0')
    with pytest.raises(ValueError, match='unknown format'):
        convert(source, 'csv')
    with pytest.raises(ValueError, match='has no XML files'):
        convert(source, 'voc')
    with pytest.raises(ValueError, match='no image is in the split'):
        convert(source, 'yolo')
    with pytest.raises(FileNotFoundError, match='there is no folder'):
        convert(source / 'elsewhere', 'yolo')
    with pytest.raises(FileExistsError, match='is there already'):
        convert_dataset(source, source, Options('yolo'))
