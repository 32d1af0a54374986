"""Batches that a network cannot take: of one image where a norm needs more, and of unequal images."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from mmengine.config import Config
from PIL import Image

from repnext_mm.checks.findings import Finding
from repnext_mm.config_dicts import type_name
from repnext_mm.export.data import innermost_dataset

POOLING_HEADS = {
    'UPerHead': (1, 2, 3, 6),
    'PSPHead': (1, 2, 3, 6),
    'ASPPHead': (1,),
    'DepthwiseSeparableASPPHead': (1,),
}
"""Heads with norms behind a pooling, and its sizes by default; 1 is one value per channel."""

BATCH_NORMS = ('BN', 'BN2d', 'MMSyncBN', 'SyncBN', 'NaiveSyncBN')
SAMPLED = 200
"""Number of images whose sizes are read, from their headers."""

IMAGES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.ppm', '.webp')
SAME_SIZE = re.compile(
    r'Load\w*|\w*Flip|Pack\w*|PhotoMetricDistortion|ColorJitter|RandomErasing|Lighting|'
    r'(Auto|Rand)Augment|Normalize|RandomGrayscale|GaussianBlur|CLAHE|AdjustGamma|RGB2Gray|Rerange|'
    r'RandomCutOut|GenerateEdge'
)
"""Transforms that leave images as large as they are."""

ONE_VALUE = 'Expected more than 1 value per channel'
UNEQUAL = re.compile(
    r'stack expects each tensor to be equal size|resize storage that is not resizable|'
    r'image size in a batch should be the same'
)

EQUALIZE = (
    'crop them to one size (RandomCrop, for classifiers RandomResizedCrop or CenterCrop), let '
    'model.data_preprocessor pad them (size or size_divisor), or set batch_size to 1'
)

WidthHeight = tuple[int, int]
"""Width and height in pixels."""


def check_batches(cfg: Config, *splits: str) -> Iterator[Finding]:
    """Finds batches of one image in front of batch norms, and batches of images of several sizes.

    Args:
        cfg: A config; of its images the sizes of some are read.
        splits: Of ``'train'``, ``'val'`` and ``'test'``: what is going to be used.
    """
    for split in splits:
        loader = cfg.get(f'{split}_dataloader') or {}
        if split == 'train' and loader.get('batch_size') == 1:
            yield from _single_values(cfg)
        if loader.get('batch_size', 1) > 1:
            yield from _unequal_images(cfg, loader, split)


@contextmanager
def explained_batch_errors() -> Iterator[None]:
    """Says in errors of torch about a batch which setting they come from.

    Raises:
        ValueError: In place of an error about a norm that got one value per channel, or about
            images of several sizes; all other errors pass.
    """
    try:
        yield
    except (ValueError, RuntimeError, AssertionError) as error:
        said = (str(error).strip().splitlines() or [''])[-1]  # after the traceback of a worker
        if ONE_VALUE in str(error):
            raise ValueError(
                f'a batch norm got one value per channel to normalize ({said}), because a batch '
                'had one image: set train_dataloader.batch_size to 2 or more (per process), and '
                'train_dataloader.drop_last=True if the last batch of an epoch may be of one image; '
                "or choose another norm_cfg, such as dict(type='GN', num_groups=8)"
            ) from error
        if UNEQUAL.search(str(error)):
            raise ValueError(
                f'the images of a batch have several sizes ({said}): {EQUALIZE}'
            ) from error
        raise


def _single_values(cfg: Config) -> Iterator[Finding]:
    """A head with batch norms behind a pooling to one value, for one image."""
    model = cfg.get('model') or {}
    for name in ('decode_head', 'auxiliary_head'):
        heads = model.get(name) or []
        for head in heads if isinstance(heads, list | tuple) else [heads]:
            kind = type_name(head)
            scales = head.get('pool_scales', POOLING_HEADS.get(kind, ()))
            norm = type_name(head.get('norm_cfg') or {})
            shared = 'Sync' in norm and cfg.get('launcher', 'none') != 'none'
            if kind in POOLING_HEADS and 1 in scales and norm in BATCH_NORMS and not shared:
                yield Finding(
                    'error',
                    'batch-of-one',
                    'train_dataloader.batch_size',
                    f'model.{name}, a {kind}, pools each image to one value per channel and '
                    f'normalizes it with {norm}, which takes more than the 1 image of a batch',
                    'Set batch_size to 2 or more (per process), or another norm_cfg in this head, '
                    "such as dict(type='GN', num_groups=8)",
                )


def _unequal_images(cfg: Config, loader: Mapping, split: str) -> Iterator[Finding]:
    dataset = innermost_dataset(cfg, split)
    if not _must_be_equal(cfg, loader):
        return
    sizes = dict(_image_sizes(dataset))
    steps = [step for step in dataset.get('pipeline') or () if isinstance(step, dict)]
    results = {path: _final_size(size, steps) for path, size in sizes.items()}
    if not results or any(result is None for result in results.values()):
        return
    pads = split == 'train' and cfg.get('default_scope') == 'mmseg'
    limit = _padded_size(cfg) if pads else (0, 0)
    padded = {p: (max(r[0], limit[0]), max(r[1], limit[1])) for p, r in results.items() if r}
    random = any(_draws_a_size(step) for step in steps) and not any(map(_fixes, steps))
    if len(set(padded.values())) > 1 or random:
        first, second = next(iter(padded)), _other(padded)
        example = (
            'the pipeline draws a size for each image'
            if random
            else f'{first} becomes {padded[first]}, {second} becomes {padded[second]} (width, height)'
        )
        yield Finding(
            'error',
            'unequal-images',
            f'{split}_dataloader.dataset.pipeline',
            f'batches of {loader["batch_size"]} images need images of one size, and {example}',
            EQUALIZE[0].upper() + EQUALIZE[1:],
        )


def _must_be_equal(cfg: Config, loader: Mapping) -> bool:
    """Whether nothing pads the images of a batch to the largest of them, as mmdet always does."""
    scope = cfg.get('default_scope')
    if scope == 'mmpretrain':
        return type_name(loader.get('collate_fn') or {}) != 'pseudo_collate'
    preprocessor = (cfg.get('model') or {}).get('data_preprocessor') or {}
    return scope == 'mmseg' and not preprocessor.get('size_divisor')


def _padded_size(cfg: Config) -> WidthHeight:
    """The size to which mmseg pads smaller images in training; (0, 0) for none."""
    size = ((cfg.get('model') or {}).get('data_preprocessor') or {}).get('size')
    return (size[1], size[0]) if size else (0, 0)


def _image_sizes(dataset: Mapping) -> Iterator[tuple[str, WidthHeight]]:
    """Sizes of some images of a data set of folders."""
    prefix = dataset.get('data_prefix') or ''
    folder = prefix.get('img_path', '') if isinstance(prefix, Mapping) else prefix
    root = Path(dataset.get('data_root') or '', folder)
    if not folder or '://' in str(root) or not root.is_dir():
        return
    files = (path for path in root.rglob('*') if path.suffix.lower() in IMAGES)
    for path in islice(files, SAMPLED):
        try:
            with Image.open(path) as image:
                yield str(path), image.size
        except OSError:  # for the checks of the data
            continue


def _final_size(size: WidthHeight, steps: list[dict]) -> WidthHeight | None:
    """The size that a pipeline gives to an image, its random sizes left out; None if unknown."""
    for step in steps:
        kind = type_name(step)
        if _fixes(step):
            return _target(step)
        if _draws_a_size(step) or SAME_SIZE.fullmatch(kind):
            continue
        if kind == 'Resize' and isinstance(step.get('scale'), list | tuple):
            size = _resized(size, tuple(step['scale']))
        elif kind == 'ResizeEdge' and isinstance(step.get('scale'), int):
            factor = step['scale'] / min(size)
            size = (round(size[0] * factor), round(size[1] * factor))
        else:
            return None
    return size


def _resized(size: WidthHeight, scale: tuple) -> WidthHeight:
    """What a resize that keeps the ratio makes of an image."""
    factor = min(max(scale) / max(size), min(scale) / min(size))
    return int(size[0] * factor + 0.5), int(size[1] * factor + 0.5)


def _draws_a_size(step: dict) -> bool:
    return type_name(step) in ('RandomResize', 'RandomChoiceResize')


def _fixes(step: dict) -> bool:
    """Whether images have one size after a transform, if smaller ones are padded."""
    kind = type_name(step)
    if kind == 'Resize':
        return not step.get('keep_ratio', False) and 'scale' in step
    cuts = ('RandomCrop', 'CenterCrop', 'RandomResizedCrop', 'EfficientNetCenterCrop')
    return kind in cuts or (kind == 'Pad' and bool(step.get('size')))


def _target(step: dict) -> WidthHeight:
    values = (step.get(key) for key in ('scale', 'crop_size', 'size'))
    value: Any = next(value for value in values if value)
    return (value, value) if isinstance(value, int) else tuple(value)


def _other(sizes: Mapping[str, WidthHeight]) -> str:
    """An image whose size is not that of the first one, if there is any."""
    first = next(iter(sizes.values()))
    return next((path for path, size in sizes.items() if size != first), next(iter(sizes)))
