"""The RepNeXt backbone: OpenMMLab's backbone contract, the same for every family."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from repnext_mm.networks import layouts
from repnext_mm.networks.architectures import ARCHITECTURES, resolve_architecture
from repnext_mm.registry import MODELS, register
from repnext_mm.reparam import INFERENCE_FORMS, FormAware


class Stage(nn.Module):
    """An optional downsampling layer, then blocks at one resolution.

    Args:
        downsample: Halves height and width; None in the first stage.
        blocks: Map ``(N, C, H, W)`` to the same shape.
        with_cp: Recompute each block's activations in the backward pass.
    """

    def __init__(self, downsample: nn.Module | None, blocks: Sequence[nn.Module], with_cp: bool):
        super().__init__()
        if downsample is not None:
            self.downsample = downsample
        self.blocks = nn.ModuleList(blocks)
        self.with_cp = with_cp

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(N, C_in, H, W)`` to ``(N, C, H // 2, W // 2)``, or in the first stage to itself."""
        if 'downsample' in self._modules:
            x = self.downsample(x)
        for block in self.blocks:
            if self.with_cp and torch.is_grad_enabled():
                # Unlike the forward pass, the recomputation must not count the batch again.
                contexts = partial(_checkpoint_contexts, block)
                x = checkpoint(block, x, use_reentrant=False, context_fn=contexts)
            else:
                x = block(x)
        return x


@contextmanager
def _running_statistics_kept(module: nn.Module) -> Iterator[None]:
    """Within it, batch norms in training mode leave their running statistics alone."""
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm) and m.training]
    before = [(norm, norm.momentum, copy.deepcopy(norm.num_batches_tracked)) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum, batches in before:
            norm.momentum = momentum
            if norm.num_batches_tracked is not None and batches is not None:
                norm.num_batches_tracked.copy_(batches)


def _checkpoint_contexts(block: nn.Module):
    """The contexts for the forward pass and for the recomputation."""
    return nullcontext(), _running_statistics_kept(block)


@register(MODELS)
class RepNeXt(FormAware, BaseModule):
    """RepNeXt backbone.

    It trains with parallel branches and can be merged, exactly, into a network
    with fewer and simpler operations: see :func:`repnext_mm.reparameterize_model`.
    Stages after the last of ``out_indices`` are not built, so that no parameter
    stays without gradient.

    It loads official RepNeXt-M checkpoints as they are, and those of every form that
    can become its own; see :class:`repnext_mm.reparam.FormAware`.

    Args:
        arch: A name from ``RepNeXt.arch_settings``, or a dict with ``channels``,
            ``depths`` and optionally ``variant``, the name of the architecture whose
            kind of layers it uses. Defaults to ``'tiny'``.
        in_channels: Channels of the input image.
        out_indices: The stages whose outputs are returned, counted from 0;
            negative ones count from the last.
        frozen_stages: -1 freezes nothing, 0 the stem, k the stem and the first k
            stages: no gradients, and batch norm in evaluation mode.
        norm_eval: Keep every batch norm in evaluation mode while training.
        drop_path_rate: Stochastic depth; the rate grows linearly from 0 in the
            first block to this in the last.
        with_cp: Save memory by recomputing activations in the backward pass.
        norm_cfg: mmcv's norm config. Merging needs a batch norm.
        deploy: None for the training form; ``'fused'`` or ``'plain'`` builds that
            inference form directly. A checkpoint of the training form is merged on
            its way in.
        allow_partial_load: Load what fits of a checkpoint in which entries are missing,
            foreign or of another shape, instead of an error.
        finetune_deployed: Let a merged network be trained, instead of an error.
        init_cfg: mmengine's initialization config. Defaults to the family's, its
            ``INIT_CFG``; with ``deploy``, to nothing.

    Raises:
        ValueError: If a value is not among the allowed ones; the message lists them.

    Examples:
        >>> import torch
        >>> from repnext_mm.models import RepNeXt
        >>> backbone = RepNeXt('tiny').eval()
        >>> for features in backbone(torch.rand(1, 3, 64, 64)):
        ...     print(tuple(features.shape))
        (1, 96, 16, 16)
        (1, 192, 8, 8)
        (1, 384, 4, 4)
        (1, 768, 2, 2)
        >>> backbone.switch_to_deploy()
        >>> backbone.deploy
        'fused'
    """

    arch_settings = ARCHITECTURES

    def __init__(
        self,
        arch: str | dict = 'tiny',
        in_channels: int = 3,
        out_indices: Sequence[int] | int = (0, 1, 2, 3),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        drop_path_rate: float = 0.0,
        with_cp: bool = False,
        norm_cfg: dict[str, Any] = {'type': 'BN'},  # noqa: B006 (read only, as all over mmcv)
        deploy: str | None = None,
        allow_partial_load: bool = False,
        finetune_deployed: bool = False,
        init_cfg: dict | list | None = None,
    ):
        family, channels, depths = resolve_architecture(arch)
        super().__init__(init_cfg or (list(family.init_cfg) if deploy is None else None))
        self.channels, self.depths = channels, depths
        if deploy not in (None, *INFERENCE_FORMS):
            raise ValueError(f'unknown deploy {deploy!r}: choose None or one of {INFERENCE_FORMS}')
        if not 0 <= drop_path_rate < 1:
            raise ValueError(f'drop_path_rate must lie in [0, 1), got {drop_path_rate!r}')
        self.out_indices = _resolve_out_indices(out_indices, len(self.depths))
        if not -1 <= frozen_stages <= len(self.depths):
            raise ValueError(
                f'frozen_stages must lie between -1 (none) and {len(self.depths)} (all), got '
                f'{frozen_stages!r}'
            )
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.allow_partial_load = allow_partial_load
        self.finetune_deployed = finetune_deployed
        self.arch = arch
        self.in_channels = in_channels
        self._rebuild = partial(RepNeXt, arch, in_channels, out_indices, norm_cfg=norm_cfg)

        self.stem = family.build_stem(in_channels, self.channels[0], norm_cfg)
        rates = iter(torch.linspace(0, drop_path_rate, sum(self.depths), device='cpu').tolist())
        self.stages = nn.ModuleList()
        for index in range(max(self.out_indices) + 1):
            width = self.channels[index]
            downsample = None
            if index > 0:
                downsample = family.build_downsample(self.channels[index - 1], width, norm_cfg)
            blocks = [
                family.build_block(width, next(rates), norm_cfg) for _ in range(self.depths[index])
            ]
            self.stages.append(Stage(downsample, blocks, with_cp))
        if deploy:
            self.eval()
            self.switch_to_deploy(deploy)
        self._freeze_stages()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Extracts features.

        Args:
            x: Image batch, ``(N, in_channels, H, W)``.

        Returns:
            For each of ``out_indices``, ``(N, C, H / s, W / s)`` with s = 4, 8, 16, 32
            from stage to stage; RepNeXt-T rounds sizes down, RepNeXt-M up.
        """
        x = self.stem(x)
        outputs = {}
        for index, stage in enumerate(self.stages):
            x = stage(x)
            outputs[index] = x
        return tuple(outputs[index] for index in self.out_indices)

    def train(self, mode: bool = True) -> 'RepNeXt':
        """Sets the mode, except for what is frozen."""
        super().train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def another_form(self, deploy: str | None) -> 'RepNeXt':
        """This backbone in another form, without values: its parameters are on 'meta'."""
        with torch.device('meta'):
            return self._rebuild(deploy=deploy)

    def own_part(self, state: dict[str, Any]) -> dict[str, Tensor]:
        """The entries of the stages that are built, from a state dict of any known layout."""
        unbuilt = tuple(f'stages.{i}.' for i in range(len(self.stages), len(self.depths)))
        part = layouts.backbone_part(state)
        return {name: value for name, value in part.items() if not name.startswith(unbuilt)}

    def describe(self, state: Mapping[str, Tensor]) -> str:
        """Which architecture the checkpoint is of."""
        shape = layouts.shape_of(state)
        names = [name for name, row in ARCHITECTURES.items() if row[1:] == shape]
        if not shape.channels:
            return 'It holds no RepNeXt. '
        return f'It has channels {shape.channels} and depths {shape.depths}' + (
            f', as {" or ".join(map(repr, names))}. ' if names else '. '
        )

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Numbers the parameters from stem to head, for layer-wise learning rates.

        As in mmpretrain's ConvNeXt (``backbones/convnext.py``), every stage is one
        layer, except that the third is split into groups of three blocks.

        Args:
            param_name: Name of a parameter.
            prefix: Where this backbone lies in the model, such as ``'backbone.'``.

        Returns:
            ``(depth, number of depths)``. The stem has depth 0, what does not lie in
            the backbone the last one.
        """
        starts = []
        layers = 1
        for index, depth in enumerate(self.depths):
            starts.append(layers)
            layers += -(-depth // 3) if index == 2 else 1
        name = param_name.removeprefix(prefix)
        if not param_name.startswith(prefix) or not name.startswith(('stem.', 'stages.')):
            return layers, layers + 1
        if name.startswith('stem.'):
            return 0, layers + 1
        _, stage, part, block, *_ = name.split('.')
        inner = int(block) // 3 if part == 'blocks' and int(stage) == 2 else 0
        return starts[int(stage)] + inner, layers + 1

    def _freeze_stages(self) -> None:
        if self.frozen_stages >= 0:
            for module in (self.stem, *self.stages[: self.frozen_stages]):
                module.eval().requires_grad_(False)


def _resolve_out_indices(out_indices: Sequence[int] | int, stages: int) -> tuple[int, ...]:
    """Non-negative indices of stages.

    Raises:
        ValueError: If one is out of range, given twice, or none is given.
    """
    given = (out_indices,) if isinstance(out_indices, int) else tuple(out_indices)
    if not given or any(not -stages <= index < stages for index in given):
        raise ValueError(
            f'out_indices must name some of the {stages} stages, 0 to {stages - 1}, got '
            f'{out_indices!r}'
        )
    resolved = tuple(index % stages for index in given)
    if len(set(resolved)) < len(resolved):
        raise ValueError(f'out_indices names a stage twice: {out_indices!r}')
    return resolved
