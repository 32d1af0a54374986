"""The examples of docs/existing_projects.md, and what makes them run on small data."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / 'docs' / 'existing_projects.md'

SMALL_DETECTOR = """
_base_ = './documented/mask_rcnn_repnext.py'
classes = ('disk', 'box', 'triangle', 'star', 'ring')
data = dict(data_root='shapes', metainfo=dict(classes=classes))
load = dict(type='LoadImageFromFile')
annotate = dict(type='LoadAnnotations', with_bbox=True, with_mask=True)
keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
resize = dict(type='Resize', scale=(128, 128), keep_ratio=True)
pack = dict(type='PackDetInputs', meta_keys=keys)
extractor = dict(roi_layer=dict(sampling_ratio=2))
model = dict(
    backbone=dict(arch=dict(_delete_=True, channels=[8, 8, 16, 16], depths=[1, 1, 1, 1])),
    neck=dict(in_channels=[8, 8, 16, 16]),
    rpn_head=dict(anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=extractor,
        mask_roi_extractor=extractor,
        bbox_head=dict(num_classes=5, fc_out_channels=64),
        mask_head=dict(num_classes=5, num_convs=1),
    ),
    train_cfg=dict(rcnn=dict(sampler=dict(num=32))),
    test_cfg=dict(rpn=dict(max_per_img=50), rcnn=dict(score_thr=0.0, max_per_img=10)),
)
train_dataloader = dict(
    num_workers=0, persistent_workers=False,
    dataset=dict(**data, ann_file='annotations/instances_train.json',
                 data_prefix=dict(img='train/'), pipeline=[load, annotate, pack]))
val_dataloader = dict(
    num_workers=0, persistent_workers=False,
    dataset=dict(**data, ann_file='annotations/instances_val.json',
                 data_prefix=dict(img='val/'), pipeline=[load, resize, annotate, pack]))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='shapes/annotations/instances_val.json')
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=1, val_interval=10)
"""

SMALL_SEGMENTOR = """
_base_ = './documented/fpn_repnext.py'
model = dict(
    data_preprocessor=dict(size=(64, 64)),
    backbone=dict(
        arch=dict(_delete_=True, channels=[8, 16, 32, 64], depths=[1, 1, 1, 1], variant='m3')),
    neck=dict(in_channels=[8, 16, 32, 64]),
    decode_head=dict(norm_cfg=dict(type='BN')),
)
load = dict(type='LoadImageFromFile')
annotate = dict(type='LoadAnnotations', reduce_zero_label=True)
loader = dict(
    batch_size=2, num_workers=0, persistent_workers=False,
    dataset=dict(
        data_root='.', img_suffix='.png',
        data_prefix=dict(img_path='images', seg_map_path='labels'),
        pipeline=[load, annotate, dict(type='PackSegInputs')]))
train_dataloader = loader
val_dataloader = loader
test_dataloader = loader
train_cfg = dict(max_iters=2, val_interval=10)
default_hooks = dict(checkpoint=dict(interval=2))
"""

SMALL_CLASSIFIER = """
_base_ = './documented/repnext_m1.py'
data_preprocessor = dict(num_classes=2)
model = dict(
    backbone=dict(
        arch=dict(_delete_=True, channels=[8, 16, 32, 64], depths=[1, 1, 1, 1], variant='m1')),
    head=dict(num_classes=2, in_channels=64, topk=(1,)),
)
load = dict(type='LoadImageFromFile')
loader = dict(
    batch_size=2, num_workers=0, persistent_workers=False,
    dataset=dict(_delete_=True, type='CustomDataset', data_root='classes',
                 pipeline=[load, dict(type='PackInputs')]))
train_dataloader = loader
val_dataloader = loader
test_dataloader = loader
val_evaluator = dict(topk=(1,))
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=1, val_interval=10)
"""

SMALL = {
    'mask_rcnn_repnext.py': SMALL_DETECTOR,
    'fpn_repnext.py': SMALL_SEGMENTOR,
    'repnext_m1.py': SMALL_CLASSIFIER,
}
"""What takes the place of the configs that the document trains."""


def documented() -> dict[str, str]:
    """The Python blocks of the document by the file name in their first line."""
    blocks = re.findall(r'```python\n(.*?)```', DOCUMENT.read_text(), re.DOTALL)
    return {block.splitlines()[0].removeprefix('# '): block for block in blocks}


def write_examples(folder: Path) -> None:
    """Every block as a file; those with a smaller form in the folder ``documented``."""
    (folder / 'documented').mkdir()
    for name, block in documented().items():
        path = folder / 'documented' / name if name in SMALL else folder / name
        path.write_text(block)
    for name, text in SMALL.items():
        (folder / name).write_text(text)


def script(package: str, name: str) -> Path:
    """A tool of an installed mm package."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / '.mim' / 'tools' / name


def run_process(arguments: list, folder: Path) -> subprocess.CompletedProcess:
    """Python with these arguments, in a folder."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env=os.environ | dict(OMP_NUM_THREADS='1'),
        capture_output=True,
        text=True,
        check=False,
    )
