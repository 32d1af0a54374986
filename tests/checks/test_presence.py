"""What the tools do with a config: clear errors first."""

from pathlib import Path

import pytest
from mmengine.config import Config

from repnext_mm.checks import presence
from repnext_mm.checks.presence import check_data, check_pretrained
from repnext_mm.launch.command_line import build_parser, load_config

ROOT = Path(__file__).parents[2]


def read(*arguments: object) -> Config:
    return load_config(build_parser('A tool.').parse_args([str(part) for part in arguments]))


def coco(root: str) -> Config:
    dataset = dict(
        type='CocoDataset',
        data_root=root,
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='images/'),
    )
    nested = dict(type='RepeatDataset', times=2, dataset=dataset)
    return Config(dict(train_dataloader=dict(dataset=nested), val_dataloader=None))


def test_missing_data_is_reported_with_the_path_and_the_way_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError) as info:
        check_data(coco(f'{tmp_path}/coco/'), 'train', 'val')
    message = str(info.value)
    assert f'{tmp_path}/coco/annotations/instances_train2017.json' in message
    assert 'cocodataset.org' in message and 'COCO_ROOT' in message


def test_missing_images_are_reported_and_complete_data_passes(tmp_path):
    (tmp_path / 'annotations').mkdir()
    (tmp_path / 'annotations' / 'instances_train2017.json').write_text('{}')
    with pytest.raises(FileNotFoundError, match=f'{tmp_path}/images.*train_dataloader'):
        check_data(coco(f'{tmp_path}/'), 'train')
    (tmp_path / 'images').mkdir()
    with pytest.raises(FileNotFoundError, match=f'{tmp_path}/images is empty'):
        check_data(coco(f'{tmp_path}/'), 'train')
    (tmp_path / 'images' / '1.jpg').touch()
    check_data(coco(f'{tmp_path}/'), 'train', 'val', 'test')


def test_advice_fits_what_is_missing(tmp_path, monkeypatch):
    dataset = dict(type='ADE20KDataset', data_root=f'{tmp_path}/mine', data_prefix=dict(img='val'))
    cfg = Config(dict(test_dataloader=dict(dataset=dataset)))
    with pytest.raises(FileNotFoundError, match=r'Set test_dataloader\.dataset\.data_root'):
        check_data(cfg, 'test')
    monkeypatch.setenv('ADE_ROOT', f'{tmp_path}/mine')  # as our config, with a folder that is not
    with pytest.raises(FileNotFoundError, match=r'mine/val does not exist.*ADE_ROOT=FOLDER'):
        check_data(cfg, 'test')
    cfg = Config(dict(test_evaluator=dict(ann_file=f'{tmp_path}/truth.json')))
    with pytest.raises(FileNotFoundError, match=r'truth\.json.*Set test_evaluator\.ann_file'):
        check_data(cfg, 'test')


def test_data_that_is_not_on_disk_is_left_to_mmengine():
    check_data(coco('s3://bucket/coco/'), 'train')


def test_split_is_a_folder_in_imagenet_only(tmp_path):
    loaders = [
        Config(dict(train_dataloader=dict(dataset=dict(type=kind, data_root=root, split='train'))))
        for kind, root in (('CIFAR10', str(tmp_path)), ('ImageNet', f'{tmp_path}/imagenet'))
    ]
    check_data(loaders[0], 'train')
    with pytest.raises(FileNotFoundError, match=r'imagenet/train.*IMAGENET_ROOT'):
        check_data(loaders[1], 'train')


def test_missing_pretrained_weights_are_named_before_training(tmp_path):
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'm3.pth'))
    cfg = Config(dict(model=dict(backbone=dict(init_cfg=[init]))))
    with pytest.raises(FileNotFoundError, match=r'm3\.pth.*REPNEXT_PRETRAINED.*init_cfg=None'):
        check_pretrained(cfg)
    (tmp_path / 'm3.pth').touch()
    check_pretrained(cfg)
    check_pretrained(Config(dict(model=dict(init_cfg=dict(init, checkpoint='https://x/y.pth')))))


def test_missing_files_of_a_teacher_are_named_before_training(tmp_path):
    files = {key: str(tmp_path / key) for key in ('teacher_config', 'teacher_ckpt')}
    # What the teacher's own config starts from does not count.
    init = dict(init_cfg=dict(type='Pretrained', checkpoint='nowhere.pth'))
    for key in files:
        with pytest.raises(FileNotFoundError, match=rf'the {key} of this config.*{key}.*Train the'):
            check_pretrained(Config(dict(model=files)))
        (tmp_path / key).touch()
    check_pretrained(Config(dict(model=files)))
    check_pretrained(Config(dict(model=dict(files, teacher_config=init))))


DETECTOR = 'configs/mask_rcnn_repnext_tiny_coco.py'


def test_weights_that_nobody_publishes_are_named_with_the_way_to_make_them(tmp_path, monkeypatch):
    monkeypatch.setenv('REPNEXT_PRETRAINED', str(tmp_path))
    cfg = read(ROOT / DETECTOR, '--backbone', 'repnext_tiny_v3')
    with pytest.raises(
        FileNotFoundError, match=r'imagenet\.py --backbone repnext_tiny_v3.*init_cfg='
    ):
        check_pretrained(cfg)
    (tmp_path / 'repnext_tiny_v3.pth').touch()
    check_pretrained(cfg)


@pytest.mark.parametrize(
    ('arguments', 'warns'),
    [
        ([], True),
        (['--backbone', 'repnext_small'], True),
        (['--backbone', 'resnet18'], False),
        (['--cfg-options', 'model.backbone.init_cfg=None'], False),
        (['--cfg-options', 'load_from=x.pth'], False),
    ],
)
def test_a_random_start_is_no_accident(arguments, warns, monkeypatch):
    monkeypatch.delenv('REPNEXT_PRETRAINED', raising=False)
    said: list[str] = []
    monkeypatch.setattr(presence, 'print_log', lambda text, **options: said.append(text))
    check_pretrained(read(ROOT / DETECTOR, *arguments))
    assert bool(said) == warns and all('REPNEXT_PRETRAINED=FOLDER' in text for text in said)


@pytest.mark.parametrize(
    ('name', 'warns'),
    [
        ('repnext_tiny_imagenet', False),
        ('repnext_tiny_imagewoof_finetune', True),
        ('demo/mask_rcnn_repnext_slim_shapes', False),
    ],
)
def test_recipes_from_random_weights_do_not_warn(name, warns, monkeypatch):
    monkeypatch.delenv('REPNEXT_PRETRAINED', raising=False)
    said: list[str] = []
    monkeypatch.setattr(presence, 'print_log', lambda text, **options: said.append(text))
    check_pretrained(read(ROOT / 'configs' / f'{name}.py'))
    assert bool(said) == warns


def test_the_backbone_by_name_has_its_work_dir():
    cfg = read(ROOT / DETECTOR, '--backbone', 'resnet18')
    assert cfg.work_dir == './work_dirs/mask_rcnn_repnext_tiny_coco_resnet18'
    assert cfg.model.backbone.name == 'resnet18.a1_in1k'


def test_missing_config_is_reported():
    with pytest.raises(FileNotFoundError, match=r"'nowhere\.py'.*configs"):
        read('nowhere.py')


def test_options_and_work_dir_take_precedence(tmp_path):
    path = tmp_path / 'name.py'
    path.write_text("model = dict(type='A', depth=1)")
    cfg = read(path, '--cfg-options', 'model.depth=2')
    assert (cfg.model.depth, cfg.work_dir) == (2, './work_dirs/name')
    assert read(path, '--work-dir', 'elsewhere').work_dir == 'elsewhere'
