"""RepNeXt in timm: importing this registers every architecture with ``timm.create_model``.

``m3`` becomes ``repnext_m3``, ``tiny`` becomes ``repnext_tiny``, and so on. timm has no models of
these names; where another package registered one of them before, that one stays, and ours gets the
name ``repnext_mm_m3``, with a warning. None has weights to download: for the official files of
RepNeXt-M use ``checkpoint_path`` or ``pretrained_cfg_overlay=dict(file=...)``.

Examples:
    >>> import timm
    >>> import repnext_mm.timm
    >>> backbone = timm.create_model('repnext_m0', features_only=True)
    >>> backbone.feature_info.channels(), backbone.feature_info.reduction()
    ([40, 80, 160, 320], [4, 8, 16, 32])
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models import (
    build_model_with_cfg,
    generate_default_cfgs,
    is_model,
    register_model,
)
from torch import Tensor, nn

from repnext_mm.networks import ARCHITECTURES, RepNeXtClassifier, layouts
from repnext_mm.networks.stage import Stage

__all__: list[str] = []  # timm adds the names of the models


class TimmRepNeXt(RepNeXtClassifier):
    """A RepNeXt classifier with what timm expects of a model.

    Args:
        arch: A name from :data:`repnext_mm.networks.ARCHITECTURES`.
        in_chans: Channels of the input image.
        num_classes: Number of classes; 0 for no head.
        global_pool: ``'avg'``, or ``''`` for none.
        drop_rate: Dropout before the head.
        drop_path_rate: Stochastic depth of the last block; that of the others grows to it.
        output_stride: 32, 16 or 8; see :class:`repnext_mm.networks.RepNeXt`.

    Raises:
        ValueError: If ``global_pool`` or ``output_stride`` is another one.
    """

    complete_only = False  # timm leaves the head out for other classes, and says what is missing

    def __init__(
        self,
        arch: str,
        in_chans: int = 3,
        num_classes: int = 1000,
        global_pool: str = 'avg',
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        output_stride: int = 32,
    ):
        super().__init__(arch, num_classes, in_chans, drop_path_rate, output_stride=output_stride)
        self.in_chans = in_chans
        self.num_features = self.head_hidden_size = self.channels[-1]
        self.feature_info = [
            dict(num_chs=channels, reduction=stride, module=f'stages.{index}')
            for index, (channels, stride) in enumerate(
                zip(self.channels, self.strides, strict=True)
            )
        ]
        self.global_pool = _checked_pool(global_pool)
        self.head_drop = nn.Dropout(drop_rate)

    def build_head(self) -> nn.Module:
        """A new head in training form; none without classes."""
        return super().build_head() if self.num_classes else nn.Identity()

    def get_classifier(self) -> nn.Module:
        """The head."""
        return self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replaces the head by a new one.

        Args:
            num_classes: Number of classes; 0 for no head.
            global_pool: ``'avg'`` or ``''``; None leaves it.
        """
        if global_pool is not None:
            self.global_pool = _checked_pool(global_pool)
        self.num_classes = num_classes
        like = next(self.parameters())
        self.head = self.build_head().to(like.device, like.dtype).train(self.training)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Saves memory by recomputing activations in the backward pass."""
        for stage in self.stages:
            if isinstance(stage, Stage):
                stage.with_cp = enable

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """The layers by patterns of their parameters' names, for learning rates by layer.

        Args:
            coarse: One group for each stage instead of each block.
        """
        blocks = [(r'^stages\.(\d+)\.downsample', (0,)), (r'^stages\.(\d+)\.blocks\.(\d+)', None)]
        return dict(stem=r'^stem', blocks=r'^stages\.(\d+)' if coarse else blocks)

    def forward_features(self, x: Tensor) -> Tensor:
        """Maps images ``(N, in_chans, H, W)`` to the features of the last stage."""
        self.check_training()
        return self.stages(self.stem(x))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Maps features ``(N, C, H, W)`` to scores ``(N, num_classes)``.

        Args:
            x: Features of the last stage.
            pre_logits: Return what goes into the head instead.
        """
        if self.global_pool:
            x = x.mean((2, 3))
        x = self.head_drop(x)
        return x if pre_logits else self.head(x)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """Maps images ``(N, in_chans, H, W)`` to scores ``(N, num_classes)``."""
        return self.forward_head(self.forward_features(x))

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | Sequence[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = 'NCHW',
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """Runs the network and returns the features of some stages.

        Args:
            x: Images, ``(N, in_chans, H, W)``.
            indices: Stages; a number n stands for the last n, None for all.
            norm: Without effect: there is no norm after the last stage.
            stop_early: Do not run the stages after the last of ``indices``.
            output_fmt: ``'NCHW'``, the only one.
            intermediates_only: Return the features of ``indices`` alone.

        Returns:
            The output of the last stage that has run, and the features of ``indices``.

        Raises:
            ValueError: If ``output_fmt`` is another one.
        """
        if output_fmt != 'NCHW':
            raise ValueError(f"RepNeXt's features have the format 'NCHW', not {output_fmt!r}")
        self.check_training()
        wanted = _stage_indices(indices, len(self.stages))
        x = self.stem(x)
        features = []
        for index, stage in enumerate(self.stages):
            if index > max(wanted) and stop_early:
                break
            x = stage(x)
            if index in wanted:
                features.append(x)
        return features if intermediates_only else (x, features)

    def prune_intermediate_layers(
        self,
        indices: int | Sequence[int] = 1,
        prune_norm: bool = False,
        prune_head: bool = True,
    ) -> list[int]:
        """Removes the stages after the last of ``indices``, and the head.

        Args:
            indices: As for :meth:`forward_intermediates`.
            prune_norm: Without effect: there is no norm after the last stage.
            prune_head: Remove the head even if all stages stay.

        Returns:
            The indices, counted from 0.
        """
        wanted = _stage_indices(indices, len(self.stages))
        last = max(wanted)
        if prune_head or last < len(self.stages) - 1:
            self.reset_classifier(0, '')
        del self.stages[last + 1 :]
        self.num_features = self.head_hidden_size = self.channels[last]
        return wanted


def _checked_pool(global_pool: str) -> str:
    if global_pool not in ('', 'avg'):
        raise ValueError(f"global_pool must be 'avg', or '' for none, got {global_pool!r}")
    return global_pool


def _stage_indices(indices: int | Sequence[int] | None, stages: int) -> list[int]:
    """The indices of stages, counted from 0, in timm's terms: a number n stands for the last n.

    Raises:
        ValueError: If there are no such stages.
    """
    if indices is None or isinstance(indices, int):
        count = stages if indices is None else indices
        indices = range(-count, 0)
    if not indices or any(not -stages <= index < stages for index in indices):
        raise ValueError(f'indices must name some of the {stages} stages, got {indices!r}')
    return [index % stages for index in indices]


def filter_checkpoint(state: dict[str, Any], model: nn.Module) -> dict[str, Tensor]:
    """The state dict of a classifier from what a file of any known layout holds."""
    return layouts.classifier_part(state)


def _free_name(arch: str) -> str:
    """The name of an architecture in timm, which nobody else has."""
    name = f'repnext_{arch}'
    if not is_model(name):
        return name
    other = f'repnext_mm_{arch}'
    warnings.warn(
        f'another package has registered the model {name!r} with timm, and it stays: that of '
        f'repnext_mm is {other!r}',
        stacklevel=2,
    )
    return other


def _layer_names(arch: str, kind: type[nn.Module]) -> tuple[str, ...]:
    """The names of the layers of a kind in an architecture's stem and head."""
    with torch.device('meta'):
        small = RepNeXtClassifier(dict(channels=(8,), depths=(1,), variant=arch))
    layers = ((name, m) for name, m in small.named_modules() if not name.startswith('stages.'))
    return tuple(name for name, layer in layers if isinstance(layer, kind))


def _entrypoint(arch: str, name: str) -> Callable[..., nn.Module]:
    """The function that ``timm.create_model`` calls for an architecture."""

    def create(pretrained: bool = False, **kwargs: Any) -> nn.Module:
        out_indices = kwargs.pop('out_indices', (0, 1, 2, 3))
        return build_model_with_cfg(
            TimmRepNeXt,
            name,
            pretrained,
            pretrained_filter_fn=filter_checkpoint,
            feature_cfg=dict(flatten_sequential=True, out_indices=out_indices),
            arch=arch,
            **kwargs,
        )

    create.__name__ = create.__qualname__ = name
    create.__doc__ = f'RepNeXt, architecture {arch!r}.'
    return create


NAMES = {_free_name(arch): arch for arch in ARCHITECTURES}
"""The names in timm, and the architectures that they stand for."""

default_cfgs = generate_default_cfgs(
    {
        name: dict(
            num_classes=1000,
            input_size=(3, 224, 224),
            pool_size=(7, 7),
            crop_pct=0.95,
            interpolation='bicubic',
            mean=IMAGENET_DEFAULT_MEAN,
            std=IMAGENET_DEFAULT_STD,
            first_conv=_layer_names(arch, nn.Conv2d)[0],
            classifier=_layer_names(arch, nn.Linear),
        )
        for name, arch in NAMES.items()
    }
)

for _name, _arch in NAMES.items():
    register_model(_entrypoint(_arch, _name))
