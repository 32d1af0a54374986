"""Templates become configs of the data that they are given: classes, files, heads, schedule."""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import run_inside
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image

from repnext_mm.checkpoints.loading import build_model
from repnext_mm.datasets.classes_file import with_colours, write_classes
from repnext_mm.demo.shapes import CLASSES, SEMANTIC_CLASSES, generate_shapes
from repnext_mm.launch.command_line import load_config

OWN = Path(__file__).parents[2] / 'configs' / 'own'
TEMPLATES = dict(mask_rcnn=2, cascade_mask_rcnn=6, upernet=2, fpn=1, classifier=2)
"""Parts of the network that know the number of classes; of a classifier one is the preprocessor."""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch) -> None:
    """Work dirs are made where nothing stays."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope='module')
def shapes(tmp_path_factory) -> Path:
    return generate_shapes(tmp_path_factory.mktemp('data') / 'shapes', train=8, val=3)


@pytest.fixture(scope='module')
def label_maps(shapes) -> Path:
    folder = shapes.parent / 'maps'
    for split, source in (('train', 'training'), ('val', 'validation')):
        shutil.copytree(shapes / split, folder / 'images' / split)
        (folder / 'annotations' / split).mkdir(parents=True)
        for path in (shapes / 'annotations' / source).iterdir():
            with Image.open(path) as image:
                labels = np.array(image) - np.uint8(1)  # 0 becomes 255, the ignored label
            Image.fromarray(labels).save(folder / 'annotations' / split / path.name)
    write_classes(folder / 'classes.txt', with_colours(SEMANTIC_CLASSES))
    return folder


@pytest.fixture(scope='module')
def class_folders(shapes) -> Path:
    folder = shapes.parent / 'classes'
    for split, names in (('train', 'ab'), ('val', 'ab')):
        for name in names:
            shutil.copytree(shapes / split, folder / split / name)
    return folder


def read(template: str, data: Path | None, **options) -> Config:
    given = dict(config=str(OWN / f'{template}.py'), data=data and str(data), work_dir=None)
    defaults = dict(
        backbone=None,
        class_weights=False,
        iterations=None,
        cfg_options=None,
        launcher='none',
        local_rank=0,
    )
    return load_config(argparse.Namespace(**given, **(defaults | options)))


def data_of(template: str, request) -> Path:
    kind = dict(upernet='label_maps', fpn='label_maps', classifier='class_folders')
    return request.getfixturevalue(kind.get(template.removesuffix('_repnext'), 'shapes'))


@pytest.mark.distribution
@pytest.mark.parametrize('name', TEMPLATES)
def test_templates_take_classes_and_files_from_the_data(name, request, monkeypatch):
    monkeypatch.setenv('REPNEXT_PRETRAINED', '/nowhere')
    data = data_of(f'{name}_repnext', request)
    cfg = read(f'{name}_repnext', data)
    assert 'own_data' not in cfg
    classes = dict(upernet=SEMANTIC_CLASSES, fpn=SEMANTIC_CLASSES, classifier=('a', 'b'))
    names = classes.get(name, CLASSES)
    for split in ('train', 'val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        assert Path(dataset.data_root) == data and tuple(dataset.metainfo.classes) == names
    init_default_scope(cfg.default_scope)
    model = build_model(cfg)
    counts = [
        module.num_classes
        for part, module in model.named_modules()
        if part and hasattr(module, 'num_classes') and 'rpn' not in part
    ]
    assert counts == [len(names)] * len(counts) and len(counts) == TEMPLATES[name]


@pytest.mark.parametrize('name', TEMPLATES)
def test_full_size_templates_are_for_gpus(name, request, monkeypatch):
    monkeypatch.setenv('REPNEXT_PRETRAINED', '/nowhere')
    data = data_of(f'{name}_repnext', request)
    monkeypatch.setattr('repnext_mm.own_data.apply.get_device', lambda: 'cuda')
    cfg = read(f'{name}_repnext', data)
    assert cfg.model.backbone.arch == 'm3' and cfg.model.backbone.init_cfg is None
    assert cfg.train_dataloader.num_workers == 4
    slim = read(f'{name}_repnext_slim', data)
    assert slim.model.backbone.arch.channels == [24, 48, 96, 192]


def test_options_of_the_command_line_come_last(shapes):
    cfg = read('mask_rcnn_repnext', shapes, cfg_options={'train_dataloader.batch_size': 7})
    assert cfg.train_dataloader.batch_size == 7 and cfg.auto_scale_lr.base_batch_size == 2
    other = read('mask_rcnn_repnext', shapes, backbone='resnet18')
    assert other.model.backbone.name.startswith('resnet18') and other.model.neck.out_channels == 256


def test_classes_stand_in_the_order_of_the_file_and_splits_must_agree(shapes, tmp_path):
    folder = tmp_path / 'turned'
    shutil.copytree(shapes, folder)
    for split in ('train', 'val'):
        path = folder / 'annotations' / f'instances_{split}.json'
        content = json.loads(path.read_text())
        content['categories'].reverse()
        path.write_text(json.dumps(content))
    cfg = read('mask_rcnn_repnext', folder)
    assert tuple(cfg.train_dataloader.dataset.metainfo.classes) == CLASSES[::-1]
    shutil.copy(shapes / 'annotations' / 'instances_val.json', folder / 'annotations')
    with pytest.raises(ValueError, match='give both the same, in the same order'):
        read('mask_rcnn_repnext', folder)


def test_many_objects_in_an_image_all_count(shapes, tmp_path):
    assert read('mask_rcnn_repnext', shapes).val_evaluator.type == 'CocoMetric'
    folder = tmp_path / 'many'
    shutil.copytree(shapes, folder)
    path = folder / 'annotations' / 'instances_train.json'
    content = json.loads(path.read_text())
    first = content['annotations'][0]
    more = [dict(first, id=10_000 + number) for number in range(400)]
    path.write_text(json.dumps(dict(content, annotations=[*content['annotations'], *more])))
    cfg = read('mask_rcnn_repnext', folder)
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        assert evaluator.type == 'repnext_mm.ManyObjectsCocoMetric'
        assert evaluator.proposal_nums[-1] == cfg.model.test_cfg.rcnn.max_per_img == 1000


def test_boxes_alone_take_the_mask_head_away(shapes, tmp_path):
    folder = tmp_path / 'boxes'
    shutil.copytree(shapes, folder)
    for path in (folder / 'annotations').glob('*.json'):
        content = json.loads(path.read_text())
        for entry in content['annotations']:
            del entry['segmentation']
        path.write_text(json.dumps(content))
    cfg = read('mask_rcnn_repnext', folder)
    assert 'mask_head' not in cfg.model.roi_head and cfg.val_evaluator.metric == 'bbox'
    assert cfg.default_hooks.checkpoint.save_best == 'coco/bbox_mAP'
    init_default_scope('mmdet')
    assert not build_model(cfg).with_mask


def test_class_weights_reach_both_heads(label_maps):
    cfg = read('upernet_repnext', label_maps, class_weights=True)
    heads = cfg.model.decode_head, cfg.model.auxiliary_head
    assert [len(head.loss_decode.class_weight) for head in heads] == [6, 6]
    assert 'class_weight' not in read('upernet_repnext', label_maps).model.decode_head.loss_decode


@pytest.mark.parametrize(
    ('template', 'data', 'error', 'message'),
    [
        ('mask_rcnn_repnext', None, ValueError, 'is a template: train it with --data FOLDER'),
        ('mask_rcnn_repnext', 'nowhere', FileNotFoundError, 'there is no folder .*nowhere'),
        ('mask_rcnn_repnext', 'maps', FileNotFoundError, 'instances_train.json.*convert_dataset'),
        ('upernet_repnext', 'shapes', FileNotFoundError, 'classes.txt, with the name of a class'),
        ('classifier_repnext', 'empty', FileNotFoundError, 'there are no images'),
        ('../demo/mask_rcnn_repnext_slim_shapes', 'shapes', ValueError, 'templates in configs/own'),
    ],
)
def test_data_that_do_not_fit_are_refused(template, data, error, message, label_maps):
    (label_maps.parent / 'empty').mkdir(exist_ok=True)
    with pytest.raises(error, match=message):
        read(template, data and label_maps.parent / data)


def test_labels_beyond_the_classes_are_refused(label_maps, tmp_path):
    folder = tmp_path / 'maps'
    shutil.copytree(label_maps, folder)
    write_classes(folder / 'classes.txt', with_colours(SEMANTIC_CLASSES[:2]))
    with pytest.raises(ValueError, match=r'has the label [2-5], and label maps .* labels 0 to 1'):
        read('fpn_repnext', folder)


@pytest.mark.filterwarnings('ignore:The draw is False:UserWarning')
def test_the_written_config_needs_the_data_no_more(label_maps, tmp_path):
    """Trained from the template, tested from the work dir, with ignored pixels in the labels."""
    slim = ['model.backbone.arch.channels=[8,8,16,16]', 'model.neck.in_channels=[8,8,16,16]']
    arguments = [
        '--data',
        label_maps,
        '--work-dir',
        tmp_path,
        '--iterations',
        2,
        '--cfg-options',
        *slim,
    ]
    result = run_inside('train.py', OWN / 'fpn_repnext.py', *arguments)
    assert result.returncode == 0, result.stderr[-3000:]
    assert list(tmp_path.glob('best_mIoU_iter_*.pth'))
    reasons = (tmp_path / 'own_data.txt').read_text().splitlines()
    assert 'iterations = 2, because --iterations says so' in reasons
    written = (tmp_path / 'fpn_repnext.py').read_text()
    result = run_inside('test.py', tmp_path / 'fpn_repnext.py', tmp_path / 'iter_2.pth')
    assert result.returncode == 0, result.stderr[-3000:]
    assert 'mIoU' in json.loads((tmp_path / 'tests' / 'metrics.json').read_text())['metrics']
    assert (tmp_path / 'fpn_repnext.py').read_text() == written
