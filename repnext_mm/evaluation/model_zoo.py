"""The page with a row for each config: its size, its arithmetic, and what is published or measured."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.figure
import yaml
from mmengine.config import Config
from mmengine.registry import init_default_scope

from repnext_mm.checkpoints.loading import build_model
from repnext_mm.evaluation.benchmark.networks import without_downloads
from repnext_mm.evaluation.complexity import Complexity, complexity_of
from repnext_mm.evaluation.point_labels import label_points
from repnext_mm.reparam import FORMS, TRAINING, reparameterize_model
from repnext_mm.visualization.saving import save_figure

TEST_SHAPES = dict(mmdet=(800, 1280), mmseg=(512, 512), mmpretrain=(224, 224))
"""Height and width for the arithmetic by scope, those of most configs' tests."""

TITLES = dict(
    mmdet='Detectors on COCO',
    mmseg='Segmentors on ADE20K and Cityscapes',
    mmpretrain='Classifiers',
)
METAFILES = ('configs/metafile.yml', 'configs/baselines/metafile.yml')
REFERENCE = 'mask_rcnn_convnext_tiny_coco'
"""The config to whose backbone measured ones are compared."""

RECIPES = """## Recipes

| data | with RepNeXt-T | with RepNeXt-M |
|---|---|---|
| COCO | [Mask R-CNN](../configs/mask_rcnn_repnext_tiny_coco.py) 1x and 3x, Cascade Mask R-CNN 3x | Mask R-CNN 1x (official), Cascade Mask R-CNN 3x |
| ADE20K | [UperNet](../configs/upernet_repnext_tiny_ade20k.py) 160k | Semantic FPN 80k (official), UperNet 160k |
| ImageNet-1k | [300 epochs](../configs/repnext_tiny_imagenet.py), ConvNeXt's recipe | 300 epochs (official), with and without a teacher |
| ImageWoof, CIFAR-100 | from scratch and from ImageNet weights | |
| CIFAR-10, nuclei, CamVid | [slim networks](../configs/small) for two CPU cores, [measured](results.md) | the same |
| generated shapes | the demos: [Mask R-CNN](../configs/demo/mask_rcnn_repnext_slim_shapes.py), [UperNet](../configs/demo/upernet_repnext_slim_shapes.py) | |
| [data of your own](own_data.md) | [templates](../configs/own) that fit themselves to the data | the same |"""
"""The kinds of configs that there are, those without rows below among them."""


@dataclass(frozen=True)
class ZooEntry:
    """A config's row."""

    config: str
    """Path in the repository."""

    scope: str
    backbone: str
    """The backbone without what does not change its speed, as text: equal ones are one network."""

    schedule: str
    """Such as ``'12 epochs'``."""

    sizes: Mapping[str, Complexity]
    """By form, of the whole model, at :attr:`shape`."""

    shape: tuple[int, int]
    """Height and width of the images for the arithmetic."""

    published: Mapping[str, float]
    """By name of the metric."""

    @property
    def name(self) -> str:
        """The config's name."""
        return Path(self.config).stem


@dataclass(frozen=True)
class Speeds:
    """What one run of the benchmark has measured, each as a ratio to the reference's best row."""

    machine: Mapping[str, object]
    title: str
    warnings: Sequence[str]
    ratios: Mapping[str, Mapping[str, float]]
    """By config and form: images a second, of the best layout."""


def read_metafiles(root: Path) -> list[dict[str, Any]]:
    """The models of the metafiles, in their order.

    Args:
        root: Of the repository.
    """
    files = [yaml.safe_load((root / path).read_text(encoding='utf-8')) for path in METAFILES]
    return [model for content in files for model in content['Models']]


def entry_of(model: Mapping[str, Any], root: Path) -> ZooEntry:
    """Builds a model of a metafile in all of its forms, and counts.

    Args:
        model: An element of :func:`read_metafiles`.
        root: Of the repository.
    """
    cfg = Config.fromfile(root / model['Config'])
    scope, metadata = cfg.default_scope, model['Metadata']
    init_default_scope(scope)
    whole = build_model(without_downloads(cfg))
    whole.eval()
    shape = arithmetic_shape(cfg)
    sizes = {TRAINING: complexity_of(whole, shape)}
    for form in FORMS[1:]:
        if f'{form.capitalize()} Backbone Parameters' in metadata:
            sizes[form] = complexity_of(reparameterize_model(whole, form), shape)
    metrics = [result['Metrics'] for result in model.get('Results', [])]
    length = 'Epochs' if 'Epochs' in metadata else 'Iterations'
    return ZooEntry(
        config=model['Config'],
        scope=scope,
        backbone=backbone_key(cfg),
        schedule=f'{metadata[length]} {length.lower()}',
        sizes=sizes,
        shape=shape,
        published={name: value for found in metrics for name, value in found.items()},
    )


def arithmetic_shape(cfg: Config) -> tuple[int, int]:
    """Height and width for the arithmetic: those that a classifier's test pipeline makes, a
    segmentor's crops, else those of :data:`TEST_SHAPES`."""
    if cfg.default_scope == 'mmseg':
        height, width = cfg.model.data_preprocessor.size
        return height, width
    if cfg.default_scope != 'mmpretrain':
        return TEST_SHAPES[cfg.default_scope]
    sizes = dict(Resize='scale', CenterCrop='crop_size')
    for transform in reversed(cfg.test_dataloader.dataset.pipeline):
        if key := sizes.get(transform.type):
            size = transform[key]
            return (size, size) if isinstance(size, int) else tuple(size[::-1])
    return TEST_SHAPES[cfg.default_scope]


def backbone_key(cfg: Config) -> str:
    """The part of a config's backbone that decides on its speed, as text."""
    neutral = (
        'init_cfg', 'drop_path_rate', 'norm_eval', 'norm_cfg', 'out_indices', 'with_cp',
        'merge_frozen_norms',
    )  # fmt: skip
    kept = {key: value for key, value in cfg.model.backbone.items() if key not in neutral}
    return json.dumps(kept, sort_keys=True, default=str)


def reduce_benchmark(report: Mapping[str, Any]) -> dict[str, Any]:
    """Takes of a report of ``what='backbone'`` the ratios of its first table.

    Args:
        report: The content of ``benchmark_backbone.json``.

    Raises:
        ValueError: If the reference is not in it.
    """
    table = report['tables'][0]
    best: dict[str, dict[str, float]] = {}
    for row in table['rows']:
        if row['failure'] is None:
            forms = best.setdefault(row['case']['network'], {})
            form, speed = row['case']['form'], row['images_per_second']
            forms[form] = max(forms.get(form, 0.0), speed)
    if REFERENCE not in best:
        raise ValueError(f'the report has no time of {REFERENCE}, only of {", ".join(best)}')
    unit = max(best[REFERENCE].values())
    ratios = {
        name: {form: round(speed / unit, 3) for form, speed in forms.items()}
        for name, forms in best.items()
    }
    return dict(
        machine=report['machine'],
        title=table['title'],
        warnings=[*report['warnings'], *table['warnings']],
        ratios=ratios,
    )


def speeds_by_backbone(speeds: Speeds | None, root: Path) -> dict[str, Mapping[str, float]]:
    """Ratios by the backbone's key, so that they stand in the rows of all of its configs."""
    if speeds is None:
        return {}
    paths = {Path(model['Config']).stem: model['Config'] for model in read_metafiles(root)}
    return {
        backbone_key(Config.fromfile(root / paths[name])): ratios
        for name, ratios in speeds.ratios.items()
        if name in paths
    }


def zoo_page(entries: Sequence[ZooEntry], speeds: Speeds | None, root: Path) -> str:
    """The whole page as Markdown.

    Args:
        entries: All rows.
        speeds: What is measured; None for nothing.
        root: Of the repository.
    """
    measured = speeds_by_backbone(speeds, root)
    parts = [_introduction(speeds), RECIPES]
    for scope, title in TITLES.items():
        rows = [entry for entry in entries if entry.scope == scope]
        height, width = TEST_SHAPES[scope]
        others = any(entry.shape != TEST_SHAPES[scope] for entry in rows)
        exception = ', unless the row names another size' if others else ''
        parts.append(f'## {title}\n\nArithmetic at {height}x{width}{exception}.')
        header = (
            '| config | schedule | parameters, M | multiply-adds, G | Winograd, G | published |'
        )
        header += ' backbone, x ConvNeXt-T |'
        lines = [zoo_row(entry, measured.get(entry.backbone, {})) for entry in rows]
        parts.append('\n'.join([header, '|---|---|---|---|---|---|---|', *lines]))
    return '\n\n'.join(parts) + '\n'


def _introduction(speeds: Speeds | None) -> str:
    text = [
        '# Model zoo',
        'One row for each config; `python tools/model_zoo.py` writes this page, and a test keeps it true. `--backbone`\n'
        'trains any recipe with [other backbones](baselines.md#backbones-by-name), which have no rows. Parameters\n'
        'and multiply-adds are those of the **whole model**: of the training form, then `fused`, then `plain`. Box heads\n'
        'get 1000 regions, mask heads 100; normalization, activations and post-processing do not count. "Winograd"\n'
        'counts 4/9 of the multiplications of 3x3 convolutions of stride 1, as RepVGG does (arXiv 2101.03697). There are\n'
        'no trained weights of ours. **Published** numbers are those of the authors, not measured here; the\n'
        'metafiles name their sources.',
    ]
    if speeds is not None:
        machine = speeds.machine
        text.append(
            f'The last column is **measured**: images per second of the backbone alone ({speeds.title}; torch\n'
            f'{machine["torch"]}, {machine["threads"]} threads on {machine["processor"]}), relative to ConvNeXt-T, each in its\n'
            'better memory layout, all in turn in one run of `tools/benchmark.py`. Differences below 5 %\n'
            'are ties.'
        )
        text += [f'**The machine was busy**: {warning}.' for warning in speeds.warnings]
        text.append('![Published accuracy over measured time](model_zoo.png)')
    return '\n\n'.join(text)


def zoo_row(entry: ZooEntry, ratios: Mapping[str, float]) -> str:
    """A config's row.

    Args:
        entry: The config.
        ratios: Measured ones by form; empty where nothing is measured.
    """
    sizes = entry.sizes.values()
    usual = entry.shape == TEST_SHAPES[entry.scope]
    place = '' if usual else f' at {entry.shape[0]}x{entry.shape[1]}'
    cells = [
        f'[{entry.name}](../{entry.config})',
        entry.schedule,
        _joined(size.parameters / 1e6 for size in sizes),
        _joined(size.multiply_adds / 1e9 for size in sizes) + place,
        _joined(size.winograd_multiplications / 1e9 for size in sizes) + place,
        ', '.join(f'{name} {value}' for name, value in entry.published.items()),
        _joined(ratios[form] for form in FORMS if form in ratios),
    ]
    return f'| {" | ".join(cells)} |'


def _joined(values: Iterable[float]) -> str:
    return ' / '.join(f'{value:.2f}' for value in values)


def draw_accuracy(entries: Sequence[ZooEntry], speeds: Speeds, root: Path, path: Path) -> None:
    """Draws published accuracy over measured time, a panel for each metric with two points.

    Args:
        entries: All rows.
        speeds: What is measured.
        root: Of the repository.
        path: PNG to write.
    """
    measured = speeds_by_backbone(speeds, root)
    points: dict[str, list[tuple[float, float, str]]] = {}
    for entry in entries:
        ratios = measured.get(entry.backbone)
        for metric, value in entry.published.items() if ratios else ():
            title = f'{TITLES[entry.scope]}, {metric}'
            assert ratios is not None
            name = entry.name.rpartition('_')[0]  # without the data, which the title says
            points.setdefault(title, []).append((1 / max(ratios.values()), value, name))
    panels = {title: found for title, found in points.items() if len(found) > 1}
    if not panels:
        return
    figure = matplotlib.figure.Figure(figsize=(6.5 * len(panels), 5), layout='constrained')
    for axes, (title, found) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        for x, y, name in found:
            axes.plot(x, y, 'o', color='tab:blue' if 'repnext' in name else 'tab:gray')
        axes.margins(0.15)
        axes.set(title=f'{title}, published', xlabel='measured time of the backbone / ConvNeXt-T')
        axes.grid(alpha=0.3)
    for axes, found in zip(figure.axes, panels.values(), strict=True):
        label_points(axes, found)
    save_figure(figure, path)
