"""Any network of timm as a backbone of mmdet and mmseg."""

import difflib
import re
from collections import OrderedDict
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from repnext_mm.compat import require
from repnext_mm.models.layer_depth import staged_depth
from repnext_mm.registry import MODELS, register
from repnext_mm.reparam.convert import replace_modules

PYRAMID_STRIDES = (4, 8, 16, 32)
"""Of the feature maps that necks and heads read."""

SIZE_FREE: dict[str, dict[str, Any]] = dict(
    VisionTransformer=dict(dynamic_img_size=True),
    SwinTransformer=dict(strict_img_size=False, always_partition=True),
)
"""Options with which networks of a class, by its name, take images of any size."""

BACKBONE_PURPOSE = 'a backbone of timm'


class FeatureLayout(NamedTuple):
    """The feature maps of a network of timm."""

    indices: tuple[int, ...]
    """Of the maps with the strides of :data:`PYRAMID_STRIDES`; of a network with one stride, all maps."""

    channels: tuple[int, ...]
    strides: tuple[int, ...]


@cache
def feature_layout(name: str) -> FeatureLayout:
    """Reads the feature maps of a network of timm from the network itself.

    Args:
        name: As ``timm.create_model`` takes it.

    Raises:
        ValueError: If timm has no such network, or the network no such maps.
    """
    check_name(name)
    with torch.device('meta'):
        info = _timm().create_model(name, num_classes=0).feature_info
    maps = {index: (part['num_chs'], part['reduction']) for index, part in enumerate(info)}
    plain = len({stride for _, stride in maps.values()}) == 1
    kept = {index: part for index, part in maps.items() if plain or part[1] in PYRAMID_STRIDES}
    strides = tuple(stride for _, stride in kept.values())
    if not plain and strides != PYRAMID_STRIDES:
        raise ValueError(
            f'{name!r} of timm has feature maps of the strides {[s for _, s in maps.values()]}; '
            f'necks and heads need {PYRAMID_STRIDES}, or a plain Vision Transformer with one stride'
        )
    return FeatureLayout(tuple(kept), tuple(width for width, _ in kept.values()), strides)


def check_name(name: str) -> None:
    """Raises a ValueError, with similar names in it, if timm has no network of this name."""
    timm = _timm()
    base = name.partition('.')[0]
    if not timm.is_model(base):
        similar = difflib.get_close_matches(base, timm.list_models(), 8)
        raise ValueError(
            f'timm {timm.__version__} has no network {name!r}; similar are {similar or "none"}, '
            'and timm.list_models() lists all'
        )


@register(MODELS)
class TimmFeatures(BaseModule):
    """The feature maps of a network of timm, without its classifier.

    Parameters have timm's names below ``network.``, and checkpoints of timm load as they are:
    ``init_cfg=dict(type='Pretrained', checkpoint='timm://resnet50.a1_in1k')`` downloads one
    (:mod:`repnext_mm.checkpoints.timm_weights`). timm's layers that are batch norm and
    activation in one become two, so that whatever knows torch's batch norm, such as merging and
    synchronization, works.

    Args:
        name: As ``timm.create_model`` takes it.
        out_indices: Indices of feature maps in timm's ``feature_info``. Defaults to those of
            :func:`feature_layout`.
        out_norm: Normalize the channels at each position of every output by a layer norm, as
            published detectors on Swin and ConvNeXt do.
        drop_path_rate: Stochastic depth, for networks that have it.
        with_cp: Save memory by recomputing activations in the backward pass.
        options: More arguments of ``timm.create_model``.
        init_cfg: mmengine's initialization config. Defaults to timm's own initialization.

    Raises:
        ValueError: If timm has no network of this name.

    Examples:
        >>> import torch
        >>> from repnext_mm.models import TimmFeatures
        >>> backbone = TimmFeatures('resnet18').eval()
        >>> for features in backbone(torch.rand(1, 3, 64, 64)):
        ...     print(tuple(features.shape))
        (1, 64, 16, 16)
        (1, 128, 8, 8)
        (1, 256, 4, 4)
        (1, 512, 2, 2)
    """

    def __init__(
        self,
        name: str,
        out_indices: Sequence[int] | None = None,
        out_norm: bool = False,
        drop_path_rate: float = 0.0,
        with_cp: bool = False,
        options: dict[str, Any] | None = None,
        init_cfg: dict | list | None = None,
    ):
        super().__init__(init_cfg)
        self.name = name
        size_free = {
            k: v for kind in network_kinds(name) for k, v in SIZE_FREE.get(kind, {}).items()
        }
        options = size_free | (options or {})
        if drop_path_rate:
            options['drop_path_rate'] = drop_path_rate
        network = _timm().create_model(name, num_classes=0, **options)
        if out_indices is None:
            out_indices = feature_layout(name).indices
        self.out_indices = list(out_indices)
        self.channels = [network.feature_info[index]['num_chs'] for index in self.out_indices]
        network.prune_intermediate_layers(self.out_indices, prune_norm=True)
        if with_cp:
            network.set_grad_checkpointing()
        self.network: Any = network
        self._renamed = _split_norm_and_activation(network)
        self.out_norm = out_norm
        for position, width in enumerate(self.channels) if out_norm else ():
            self.add_module(f'norm{position}', _timm().layers.LayerNorm2d(width))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Computes feature maps.

        Args:
            x: Images ``(N, 3, H, W)``.

        Returns:
            For each of ``out_indices`` a tensor ``(N, channels, H / stride, W / stride)``.
        """
        maps = self.network.forward_intermediates(
            x, indices=self.out_indices, intermediates_only=True
        )
        if not self.out_norm:
            return tuple(maps)
        return tuple(getattr(self, f'norm{i}')(features) for i, features in enumerate(maps))

    def switch_to_deploy(self) -> None:
        """Merges parallel branches, in place, where timm's network has some (RepVGG, RepViT).

        timm makes the merged layers of some networks in float32 on the CPU, whatever the network is.
        """
        like = next(self.network.parameters())
        merged = _timm().utils.reparameterize_model(self.network, inplace=True)
        self.network = merged.to(like.device, like.dtype)

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Numbers the parameters from stem to head, for layer-wise learning rates.

        A network of stages counts as ConvNeXt (:func:`~repnext_mm.models.layer_depth.staged_depth`),
        a plain Vision Transformer has a depth for each block.

        Args:
            param_name: Name of a parameter.
            prefix: Where this backbone lies in the model, such as ``'backbone.'``.

        Returns:
            ``(depth, number of depths)``. The stem has depth 0, what does not lie in the
            network the last one.

        Raises:
            NotImplementedError: If the network has neither ``stages`` nor plain ``blocks``.
        """
        stages = getattr(self.network, 'stages', None)
        blocks = getattr(self.network, 'blocks', None)
        inside = param_name.startswith(f'{prefix}network.')
        name = param_name.removeprefix(f'{prefix}network.')
        if stages is not None and all(hasattr(stage, 'blocks') for stage in stages):
            depths = [len(stage.blocks) for stage in stages]
            found = re.match(r'stages\.(\d+)\.(?:blocks\.(\d+)\.)?', name)
            stage = int(found[1]) if found else None
            depth, count = staged_depth(depths, stage, int(found[2] or 0) if found else 0)
        elif blocks is not None and not isinstance(blocks[0], nn.Sequential):
            found = re.match(r'blocks\.(\d+)\.', name)
            depth, count = int(found[1]) + 1 if found else 0, len(blocks) + 2
        else:
            raise NotImplementedError(
                f'{self.name!r} numbers no layers: it has neither stages of blocks nor blocks'
            )
        return (depth if inside else count - 1), count

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        """Also takes the names of timm, which it renames in ``state_dict``.

        Raises:
            ValueError: If the checkpoint has some of the network's entries, but not all.
        """
        own = f'{prefix}network.'
        if not any(name.startswith(own) for name in state_dict):
            for name in [name for name in state_dict if name.startswith(prefix)]:
                inner = name.removeprefix(prefix)
                layer, _, entry = inner.rpartition('.')
                renamed = own + '.'.join((self._renamed.get(layer, layer), entry)).lstrip('.')
                if renamed.removeprefix(own) in self.network.state_dict():
                    state_dict[renamed] = state_dict.pop(name)
        names = {name for name in self.network.state_dict() if 'num_batches_tracked' not in name}
        missing = sorted(name for name in names if own + name not in state_dict)
        if missing and len(missing) < len(names):
            raise ValueError(
                f'the checkpoint lacks {len(missing)} of {len(names)} entries of {self.name!r}, '
                f'such as {missing[0]!r}: it is of another network, or of a merged one'
            )
        super()._load_from_state_dict(state_dict, prefix, *args)


def _timm() -> Any:
    """The package, which is imported where it is needed: RepNeXt does without."""
    return require('timm', BACKBONE_PURPOSE)


@cache
def network_kinds(name: str) -> tuple[str, ...]:
    """The names of the class of a network of timm and of its bases.

    Raises:
        ValueError: If timm has no such network.
    """
    check_name(name)
    with torch.device('meta'):
        return tuple(cls.__name__ for cls in type(_timm().create_model(name)).__mro__)


def _split_norm_and_activation(network: nn.Module) -> dict[str, str]:
    """Replaces, in place, timm's batch norms with an activation by the two layers.

    Returns:
        The new names of the batch norms that have one, by the old ones.
    """
    replacements: dict[nn.Module, nn.Module] = {}
    renamed = {}
    for name, layer in network.named_modules():
        if type(layer) is not _timm().layers.BatchNormAct2d:
            continue
        norm = nn.BatchNorm2d(layer.num_features, layer.eps, layer.momentum)
        norm.load_state_dict(layer.state_dict())
        rest = [part for part in (layer.drop, layer.act) if not isinstance(part, nn.Identity)]
        if rest:
            parts = [('norm', norm), *((f'act{i}', part) for i, part in enumerate(rest))]
            replacements[layer] = nn.Sequential(OrderedDict(parts))
            renamed[name] = f'{name}.norm'
        else:
            replacements[layer] = norm
    replace_modules(network, replacements)
    return renamed
