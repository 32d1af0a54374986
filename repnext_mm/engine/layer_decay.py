"""Layer-wise learning rates for any model whose backbone numbers its layers."""

from typing import Any

from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn

from repnext_mm.registry import OPTIM_WRAPPER_CONSTRUCTORS


@MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS.register_module()
@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Multiplies the learning rate by ``decay_rate`` for every layer away from the head.

    The counterpart of mmdet's and mmseg's ``LearningRateDecayOptimizerConstructor``,
    which know ConvNeXt and few others by class name. Here the backbone tells the
    layers: it has mmpretrain's method ``get_layer_depth(param_name, prefix)``.
    Biases, and weights of one dimension such as those of norms, get no weight decay.

    Config::

        optim_wrapper = dict(
            constructor='repnext_mm.LayerDecayOptimWrapperConstructor',
            paramwise_cfg=dict(decay_rate=0.95, decay_type='layer_wise'),
            optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.05))

    Raises:
        ValueError: If ``paramwise_cfg`` has other keys or values.
        TypeError: If the model's backbone has no ``get_layer_depth``.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None):
        super().__init__(optim_wrapper_cfg, paramwise_cfg)
        self.decay_rate = _decay_rate(self.paramwise_cfg)

    def add_params(self, params: list[dict], module: nn.Module, **kwargs) -> None:
        """Appends one group per layer and weight decay, head to stem, to ``params``."""
        backbone: Any = getattr(module, 'backbone', None)
        if not hasattr(backbone, 'get_layer_depth'):
            raise TypeError(
                'layer-wise decay needs a model whose backbone has get_layer_depth(), got '
                f'{type(module).__name__} with backbone {type(backbone).__name__}'
            )
        groups: dict[tuple[int, bool], dict] = {}
        for name, param in module.named_parameters():
            if not param.requires_grad:
                continue
            depth, depths = backbone.get_layer_depth(name, 'backbone.')
            decayed = param.ndim > 1 and not name.endswith('.bias')
            scale = self.decay_rate ** (depths - 1 - depth)
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


def _decay_rate(options: dict) -> float:
    """Checks ``paramwise_cfg`` and returns the one number in it."""
    rate, kind = options.get('decay_rate'), options.get('decay_type', 'layer_wise')
    known = set(options) <= {'decay_rate', 'decay_type'}
    if not known or not isinstance(rate, int | float) or not 0 < rate <= 1:
        raise ValueError(
            "paramwise_cfg takes decay_rate, in (0, 1], and optionally decay_type='layer_wise' "
            f'(the number of layers comes from the backbone); got {dict(options)}'
        )
    if kind != 'layer_wise':
        raise ValueError(f"decay_type must be 'layer_wise', got {kind!r}")
    return rate
