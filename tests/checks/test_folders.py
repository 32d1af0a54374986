"""Classification data: folders of classes and lists of images."""

import pytest
from own_data import NAMES, classifier, find, write_folders

pytestmark = pytest.mark.distribution
ALPHABETICAL = tuple(sorted(NAMES))


def write(root, train=NAMES, val=NAMES) -> None:
    write_folders(root, 'train', train)
    write_folders(root, 'val', val)


def test_right_data_is_left_in_peace(tmp_path):
    write(tmp_path)
    assert find(classifier(tmp_path)) == {}


def test_splits_have_the_same_folders(tmp_path):
    write(tmp_path, val=('screw', 'washer'))
    finding = find(classifier(tmp_path))['error', 'class-folders']
    assert "'nut' is there alone" in finding.message and finding.place.endswith('val')


@pytest.mark.parametrize(
    ('classes', 'words'),
    [(NAMES, str(ALPHABETICAL)), (('nut', 'screw'), '3 folders')],
)
def test_classes_are_the_folders_in_their_order(classes, words, tmp_path):
    write(tmp_path)
    cfg = classifier(tmp_path)
    for split in ('train', 'val'):
        cfg[f'{split}_dataloader'].dataset.metainfo = dict(classes=classes)
    assert words in str(find(cfg)['error', 'class-folders'])
    cfg = classifier(tmp_path, train_dataloader__dataset__metainfo=dict(classes=ALPHABETICAL))
    assert find(cfg, 'train') == {}


def test_names_that_a_dataset_has_itself_may_repeat(tmp_path):
    """ImageNet has two classes that are called crane."""
    write(tmp_path)
    cfg = classifier(tmp_path)
    for split in ('train', 'val'):
        lines = [f'{name}/0.jpg {label}' for label, name in enumerate(ALPHABETICAL)]
        (tmp_path / f'{split}.txt').write_text('\n'.join(lines))
        cfg[f'{split}_dataloader'].dataset.update(type='ImageNet', ann_file=f'{split}.txt')
    cfg.merge_from_dict({'model.head.num_classes': 1000, 'data_preprocessor.num_classes': 1000})
    assert set(find(cfg)) == {('warning', 'absent-classes')}


def test_empty_folders_are_named(tmp_path):
    write(tmp_path)
    for path in (tmp_path / 'train' / 'nut').iterdir():
        path.rename(path.with_suffix('.webp'))
    found = find(classifier(tmp_path))
    assert "'nut'" in found['warning', 'empty-class'].message
    assert "'nut'" in found['warning', 'absent-classes'].message


def test_no_images_at_all_are_an_error(tmp_path):
    for split in ('train', 'val'):
        (tmp_path / split / 'nut').mkdir(parents=True)
    assert find(classifier(tmp_path))['error', 'no-images-left'].place.endswith('train')


def test_broken_images_are_named(tmp_path):
    write(tmp_path)
    (tmp_path / 'val' / 'nut' / '1.jpg').write_text('no image')
    assert 'nut/1.jpg' in find(classifier(tmp_path))['error', 'broken-image'].message


@pytest.mark.parametrize(
    ('text', 'found', 'words'),
    [
        ('nut/0.jpg 0\nscrew/1.jpg 1\nwasher/0.jpg 2\n', None, ''),
        ('nut/0.jpg nut\n', ('error', 'list-file'), "'nut/0.jpg nut'"),
        ('', ('error', 'list-file'), 'empty'),
        ('nut/0.jpg 1\nscrew/0.jpg 3\n', ('error', 'list-file'), 'labels 3'),
        ('nut/0.png 0\n', ('error', 'missing-images'), "'0.jpg'"),
        ('nut/0.jpg 0\nscrew/0.jpg 1', ('warning', 'absent-classes'), "'washer'"),
    ],
)
def test_lists_of_images_have_valid_labels(text, found, words, tmp_path):
    write(tmp_path)
    (tmp_path / 'list.txt').write_text(text)
    dataset = dict(ann_file='list.txt', metainfo=dict(classes=ALPHABETICAL))
    cfg = classifier(tmp_path)
    cfg.train_dataloader.dataset.update(dataset)
    findings = find(cfg, 'train')
    assert words in str(findings[found]) if found else not findings
