"""Templates of configs, filled in for the data of a user."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.logging import print_log

from repnext_mm.config_dicts import pretrained_files, type_name
from repnext_mm.own_data.look import InstanceFacts, look_at_instances
from repnext_mm.own_data.look_at_images import (
    ClassFolderFacts,
    LabelMapFacts,
    look_at_class_folders,
    look_at_label_maps,
)
from repnext_mm.own_data.suggest import (
    COUNTED_BY_COCO,
    VALIDATIONS,
    InstancePlan,
    LabelMapPlan,
    Recipe,
    Setting,
    TrainingPlan,
    suggest_for_classes,
    suggest_for_instances,
    suggest_for_label_maps,
)

SLOT = 'own_data'
"""Entry of a template: its task, its recipe, and the template for machines without a GPU."""

MANY_OBJECTS = 'repnext_mm.ManyObjectsCocoMetric'
"""The metric for images with more objects than COCO's AP counts."""

WARM_UP_SHARE = 0.1
"""Part of the iterations."""


AnyPlan = TypeVar('AnyPlan', bound=TrainingPlan)


class Wishes(NamedTuple):
    """What a user asks for."""

    keep_model: bool = False
    """Use the template's network even without a GPU."""

    class_weights: bool = False
    """Let rare classes of label maps count more in the loss."""

    iterations: int | None = None
    """Instead of what is suggested."""


NO_WISHES = Wishes()


def use_own_data(cfg: Config, folder: str | Path, wishes: Wishes = NO_WISHES) -> list[str]:
    """Makes a config for a data set out of a template, which is changed.

    Args:
        cfg: A config of ``configs/own``.
        folder: Of the data set.
        wishes: Of the user.

    Returns:
        What was chosen and why, a sentence each, which are in the log too.

    Raises:
        ValueError: If the config is no template, or the data do not fit it.
        FileNotFoundError: If the data or a part of them is not there.
    """
    if SLOT not in cfg:
        raise ValueError(
            f'--data is for the templates in configs/own, and {cfg.filename} is none: set the paths in '
            'the config, or start from such a template'
        )
    folder = Path(folder).absolute()
    if not folder.is_dir():
        raise FileNotFoundError(
            f'there is no folder {folder}: name the one of the data with --data'
        )
    slot = cfg.pop(SLOT)
    gpu = get_device() != 'cpu'
    lines = []
    if not gpu and not wishes.keep_model and slot.get('without_gpu'):
        cfg, slot = _smaller(cfg, slot.without_gpu)
        lines.append(f'network = that of {slot.name}, because there is no GPU')
    lines += _without_missing_weights(cfg)
    recipe = Recipe(slot.learning_rate, slot.rate_batch)
    lines += FILLERS[slot.task](cfg, folder, recipe, gpu, wishes)
    for line in lines:
        print_log(line, logger='current')
    return lines


def _smaller(cfg: Config, name: str) -> tuple[Config, ConfigDict]:
    """Puts the network of another template, beside this one, into a config."""
    path = Path(cfg.filename).with_name(name)
    other = Config.fromfile(path)
    cfg.model = other.model
    cfg.optim_wrapper = other.optim_wrapper
    return cfg, ConfigDict(other[SLOT], name=name)


def _without_missing_weights(cfg: Config) -> list[str]:
    """Lets a backbone start from scratch if its weights are not there."""
    missing = [
        path
        for path in pretrained_files(cfg.model)
        if '://' not in path and not Path(path).expanduser().is_file()
    ]
    if not missing:
        return []
    cfg.model.backbone.init_cfg = None
    return [
        f'weights = none, because {missing[0]} is not there: small data gain much from ImageNet '
        'weights (docs/repnext_m.md says where they are published)'
    ]


def _instances(cfg: Config, folder: Path, recipe: Recipe, gpu: bool, wishes: Wishes) -> list[str]:
    facts = look_at_instances(folder)
    plan = _as_wished(suggest_for_instances(facts, recipe, gpu), wishes)
    _schedule(cfg, plan, 'coco/segm_mAP' if plan.masks.value else 'coco/bbox_mAP')
    for split, loader in _loaders(cfg, plan, gpu):
        files = facts.splits[split]
        loader.dataset.update(
            data_root=f'{folder}/',
            ann_file=files.annotations,
            data_prefix=ConfigDict(img=files.images),
            metainfo=ConfigDict(classes=facts.classes),
        )
    for name, split in (('val', 'val'), ('test', plan.test_split.value)):
        cfg[f'{name}_evaluator'].ann_file = str(folder / facts.splits[split].annotations)
    _detector(cfg, facts, plan)
    return [_summary(facts, f'{len(facts.object_sizes):,} objects'), *_absent(facts), *plan.lines()]


def _detector(cfg: Config, facts: InstanceFacts, plan: InstancePlan) -> None:
    """Heads, anchors and numbers of regions."""
    model, side = cfg.model, plan.image_side.value
    _set_scale(cfg, (side, side))
    _set_classes(model.roi_head, len(facts.classes))
    anchors = model.rpn_head.anchor_generator
    anchors.update(scales=[plan.anchor_scale.value], ratios=plan.anchor_ratios.value)
    most = plan.max_per_image.value
    model.test_cfg.rcnn.max_per_img = most
    if facts.per_image.max() > COUNTED_BY_COCO:
        for name in ('val', 'test'):
            cfg[f'{name}_evaluator'].update(
                type=MANY_OBJECTS, proposal_nums=(100, 300, max(most, 301))
            )
    for regions in (model.train_cfg.rpn_proposal, model.test_cfg.rpn):
        regions.max_per_img = max(regions.max_per_img, 3 * most)
        regions.nms_pre = max(regions.nms_pre, 2 * regions.max_per_img)
    stages = model.train_cfg.rcnn
    for stage in stages if isinstance(stages, list) else [stages]:
        stage.sampler.num = plan.regions.value
    if plan.masks.value:
        return
    for name in ('mask_head', 'mask_roi_extractor'):
        model.roi_head.pop(name)
    model.data_preprocessor.pad_mask = False
    for name in ('train', 'val', 'test'):
        for step in cfg[f'{name}_dataloader'].dataset.pipeline:
            if type_name(step) == 'LoadAnnotations':
                step.with_mask = False
        if name != 'train':
            cfg[f'{name}_evaluator'].metric = 'bbox'


def _label_maps(cfg: Config, folder: Path, recipe: Recipe, gpu: bool, wishes: Wishes) -> list[str]:
    facts = look_at_label_maps(folder)
    plan = suggest_for_label_maps(facts, recipe, gpu, wishes.class_weights)
    plan = _as_wished(plan, wishes)
    _schedule(cfg, plan, 'mIoU')
    names, palette = facts.classes.names, [list(colour) for colour in facts.classes.palette]
    for split, loader in _loaders(cfg, plan, gpu):
        place = facts.splits[split].images
        loader.dataset.update(
            data_root=str(folder),
            data_prefix=ConfigDict(
                img_path=place, seg_map_path=place.replace('images', 'annotations', 1)
            ),
            img_suffix=facts.suffix,
            seg_map_suffix='.png',
            reduce_zero_label=False,
            metainfo=ConfigDict(classes=names, palette=palette),
        )
    _segmentor(cfg, len(names), plan)
    ignored = f'{facts.ignored:.1%} of the pixels ignored'
    return [_summary(facts, ignored), *_absent(facts), *plan.lines()]


def _segmentor(cfg: Config, classes: int, plan: LabelMapPlan) -> None:
    """Heads, crops and weights of classes."""
    model, crop = cfg.model, (plan.crop.value, plan.crop.value)
    _set_scale(cfg, (plan.image_side.value, plan.image_side.value))
    for step in cfg.train_dataloader.dataset.pipeline:
        if 'crop_size' in step:
            step.crop_size = crop
    model.data_preprocessor.size = crop
    if 'crop_size' in model.test_cfg:
        model.test_cfg.update(crop_size=crop, stride=tuple(side * 2 // 3 for side in crop))
    for name in ('decode_head', 'auxiliary_head'):
        if name in model:
            _set_classes(model[name], classes)
            if plan.class_weights.value:
                model[name].loss_decode.class_weight = plan.class_weights.value


def _classes(cfg: Config, folder: Path, recipe: Recipe, gpu: bool, wishes: Wishes) -> list[str]:
    facts = look_at_class_folders(folder)
    plan = _as_wished(suggest_for_classes(facts, recipe, gpu), wishes)
    _schedule(cfg, plan, 'accuracy/top1')
    for split, loader in _loaders(cfg, plan, gpu):
        loader.dataset.update(
            data_root=str(folder),
            data_prefix=facts.splits[split].images,
            metainfo=ConfigDict(classes=facts.classes),
        )
        loader.batch_size = plan.batch.value
        for step in loader.dataset.pipeline:
            sizes = dict(scale=plan.image_side.value, crop_size=plan.image_side.value)
            step.update({key: value for key, value in sizes.items() if key in step})
    cfg.data_preprocessor.num_classes = len(facts.classes)
    _set_classes(cfg.model.head, len(facts.classes))
    cfg.model.head.topk = plan.top.value
    cfg.val_evaluator.topk = cfg.test_evaluator.topk = plan.top.value
    return [_summary(facts, ''), *plan.lines()]


FILLERS: dict[str, Callable[[Config, Path, Recipe, bool, Wishes], list[str]]] = dict(
    instances=_instances, label_maps=_label_maps, classes=_classes
)


def _as_wished(plan: AnyPlan, wishes: Wishes) -> AnyPlan:
    if wishes.iterations is None:
        return plan
    return replace(plan, iterations=Setting(wishes.iterations, '--iterations says so'))


def _loaders(cfg: Config, plan: TrainingPlan, gpu: bool) -> Iterator[tuple[str, Any]]:
    """The split and the loader of training, validation and test, with batch and workers set."""
    cfg.train_dataloader.batch_size = plan.batch.value
    for name in ('train', 'val', 'test'):
        # A copy, as templates have one dict for validation and test.
        cfg[f'{name}_dataloader'] = cfg[f'{name}_dataloader'].to_dict()
        loader = cfg[f'{name}_dataloader']
        if gpu:
            loader.update(num_workers=4, persistent_workers=True)
        yield plan.test_split.value if name == 'test' else name, loader


def _schedule(cfg: Config, plan: TrainingPlan, metric: str) -> None:
    """Iterations, rates and checkpoints; the best one by this metric is kept too."""
    last = plan.iterations.value
    warm = min(last - 1, max(1, round(WARM_UP_SHARE * last)))
    interval = max(1, last // VALIDATIONS)
    cfg.train_cfg.update(max_iters=last, val_interval=interval)
    cfg.optim_wrapper.optimizer.lr = plan.learning_rate.value
    cfg.auto_scale_lr.base_batch_size = plan.batch.value
    cfg.param_scheduler[0].end = cfg.param_scheduler[1].begin = warm
    cfg.param_scheduler[1].end = last
    cfg.default_hooks.checkpoint.update(interval=interval, save_best=metric, rule='greater')


def _set_scale(cfg: Config, scale: tuple[int, int]) -> None:
    for name in ('train', 'val', 'test'):
        for step in cfg[f'{name}_dataloader'].dataset.pipeline:
            if 'scale' in step:
                step.scale = scale


def _set_classes(part: Any, count: int) -> None:
    """Sets ``num_classes`` wherever it stands in a part of a model."""
    if isinstance(part, dict):
        if 'num_classes' in part:
            part['num_classes'] = count
        part = list(part.values())
    if isinstance(part, list | tuple):
        for inner in part:
            _set_classes(inner, count)


def _summary(facts: InstanceFacts | LabelMapFacts | ClassFolderFacts, more: str) -> str:
    classes = facts.classes.names if isinstance(facts, LabelMapFacts) else facts.classes
    images = ', '.join(f'{split.size:,} for {name}' for name, split in facts.splits.items())
    listed = ', '.join(classes[:20]) + (' ...' if len(classes) > 20 else '')
    return '; '.join(filter(None, [f'data: {images}', more, f'{len(classes)} classes: {listed}']))


def _absent(facts: InstanceFacts | LabelMapFacts) -> list[str]:
    """A warning for each class that cannot be learnt."""
    if isinstance(facts, InstanceFacts):
        names = [name for name in facts.classes if not facts.counts[name]]
    else:
        names = [n for n, share in zip(facts.classes.names, facts.shares, strict=True) if not share]
    return [f'warning: nothing of the class {name!r} is in the training images' for name in names]
