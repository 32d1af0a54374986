"""Learning rates that fall from the head to the stem, for any model that numbers its layers."""

import re
from collections.abc import Callable
from typing import Any

from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from repnext_mm.registry import OPTIM_WRAPPER_CONSTRUCTORS, register

PREFIX = 'backbone.'
STAGE = re.compile(r'(?:network\.)?stages\.(\d+)\.|downsample_layers\.([1-9])\.')
"""A stage in RepNeXt, in timm's ConvNeXt and in mmpretrain's, with what leads to it."""
UNDECAYED = re.compile(r'(\.bias|_bias_table|pos_embed|cls_token|mask_token)$')
"""Parameters of several dimensions, by their names, that get no weight decay all the same."""
OUTPUT_NORM = re.compile(r'norm\d+\.')
"""Behind a stage, in Swin and ConvNeXt; it trains like the head."""
DECAY_TYPES = ('layer_wise', 'stage_wise')

Depth = Callable[[str], tuple[int, int]]
"""Maps the name of a parameter to its depth, 0 for the stem, and the number of depths."""


@register(OPTIM_WRAPPER_CONSTRUCTORS)
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Multiplies the learning rate by ``decay_rate`` for every layer away from the head.

    The counterpart of mmdet's and mmseg's ``LearningRateDecayOptimizerConstructor``,
    which know ConvNeXt and few others by class name; it takes the same
    ``paramwise_cfg``. Biases, position embeddings and tables, class tokens, and weights of
    one dimension such as those of norms, get no weight decay.

    ``decay_type='layer_wise'``: the backbone numbers its layers with mmpretrain's method
    ``get_layer_depth(param_name, prefix)``, and the head follows the last of them.
    ``'stage_wise'``: the stem has depth 0 and the k-th stage, with the downsampling in
    front of it, depth k. The head has depth ``num_layers + 1``, by default right behind
    the last stage; ConvNeXt's recipes leave a gap there (``num_layers=6`` for four
    stages), and train all downsampling layers at the stem's rate, which this does not.

    Config::

        optim_wrapper = dict(
            constructor='repnext_mm.LayerDecayOptimWrapperConstructor',
            paramwise_cfg=dict(decay_rate=0.95, decay_type='layer_wise'),
            optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.05))

    With ``decay_rate=1.0`` any model will do.

    Raises:
        ValueError: If ``paramwise_cfg`` has other keys or values, or a ``num_layers``
            that is not the model's.
        TypeError: If the model's backbone does not number its layers or stages.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None):
        super().__init__(optim_wrapper_cfg, paramwise_cfg)
        _check(self.paramwise_cfg)

    def add_params(self, params: list[dict], module: nn.Module, **kwargs) -> None:
        """Appends one group per depth and weight decay, head to stem, to ``params``."""
        depth_of = _numbering(module, **self.paramwise_cfg)
        groups: dict[tuple[int, bool], dict] = {}
        for name, param in module.named_parameters():
            if not param.requires_grad:
                continue
            depth, depths = depth_of(name)
            decayed = param.ndim > 1 and not UNDECAYED.search(name)
            scale = self.paramwise_cfg['decay_rate'] ** (depths - 1 - depth)
            group = groups.setdefault(
                (depth, decayed),
                dict(
                    params=[],
                    param_names=[],
                    lr=self.base_lr * scale,
                    lr_scale=scale,
                    weight_decay=(self.base_wd or 0.0) if decayed else 0.0,
                    group_name=f'layer_{depth}_{"decay" if decayed else "no_decay"}',
                ),
            )
            group['params'].append(param)
            group['param_names'].append(name)
        for key in sorted(groups, reverse=True):
            group = groups[key]
            print_log(
                f'{group["group_name"]}: {len(group["params"])} parameters, lr {group["lr"]:.3g}, '
                f'weight decay {group["weight_decay"]:.3g}',
                logger='current',
            )
            params.append(group)


def _check(options: dict) -> None:
    rate, kind = options.get('decay_rate'), options.get('decay_type', 'layer_wise')
    known = set(options) <= {'decay_rate', 'decay_type', 'num_layers'}
    if not known or not isinstance(rate, int | float) or not 0 < rate <= 1:
        raise ValueError(
            'paramwise_cfg takes decay_rate, in (0, 1], and optionally decay_type and num_layers; '
            f'got {dict(options)}'
        )
    if kind not in DECAY_TYPES:
        raise ValueError(f'decay_type must be one of {DECAY_TYPES}, got {kind!r}')
    layers = options.get('num_layers')
    if layers is not None and not isinstance(layers, int):
        raise ValueError(f'num_layers must be an int, got {layers!r}')


def _numbering(
    module: nn.Module,
    decay_rate: float,
    decay_type: str = 'layer_wise',
    num_layers: int | None = None,
) -> Depth:
    """How deep the parameters of a model lie."""
    if decay_rate == 1:
        return lambda name: (0, 1)
    backbone: Any = getattr(module, 'backbone', None)
    if decay_type == 'stage_wise':
        return _stages(backbone, num_layers)
    try:
        layers = backbone.get_layer_depth('', PREFIX)[1] - 2
    except (AttributeError, NotImplementedError) as error:  # mmpretrain's ResNet has a stub
        raise TypeError(
            'layer-wise decay needs a model whose backbone has get_layer_depth(), got '
            f'{type(module).__name__} with backbone {type(backbone).__name__}; decay_rate=1.0 gives '
            'all layers the same learning rate'
        ) from error
    if num_layers not in (None, layers):
        raise ValueError(
            f'num_layers={num_layers!r}, but {type(backbone).__name__} has {layers} layers between '
            'stem and head: leave num_layers out'
        )
    return lambda name: backbone.get_layer_depth(name, PREFIX)


def _stages(backbone: nn.Module | None, num_layers: int | None) -> Depth:
    """Numbers the parameters by stages, told from their names."""
    names = [name for name, _ in backbone.named_parameters()] if backbone else []
    stages = max((_stage(name) for name in names), default=0)
    if not stages:
        raise TypeError(
            "stage-wise decay needs a model whose backbone names its stages 'stages.0', "
            f"'stages.1', ..., got backbone {type(backbone).__name__}: choose "
            "decay_type='layer_wise' if it has get_layer_depth(), else decay_rate=1.0"
        )
    layers = stages if num_layers is None else num_layers
    if layers < stages:
        raise ValueError(f'num_layers={num_layers!r} is less than the number of stages, {stages}')

    def depth_of(name: str) -> tuple[int, int]:
        inner = name.removeprefix(PREFIX)
        in_head = not name.startswith(PREFIX) or OUTPUT_NORM.match(inner)
        return layers + 1 if in_head else _stage(inner), layers + 2

    return depth_of


def _stage(name: str) -> int:
    """The stage in which a parameter of a backbone lies, counted from 1; 0 for the stem."""
    match = STAGE.match(name)
    return int(match[1] or match[2]) + 1 if match else 0
