"""The parallel branches inside a block: what each puts out, their sum, and the merged convolution."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from repnext_mm.networks import RepNeXt
from repnext_mm.networks.repnext_t import RepUnit
from repnext_mm.networks.token_mixers import MediumMixer, SmallMixer
from repnext_mm.reparam.layers import MergedConv

Unit = RepUnit | SmallMixer | MediumMixer
"""A sum of branches that becomes one convolution."""


@dataclass(frozen=True)
class BlockMaps:
    """A unit of a block at work on one image."""

    name: str
    """Of the unit in the block."""

    inputs: Tensor
    """``(C, H, W)``."""

    branches: dict[str, Tensor]
    """``(C, H', W')`` each; two layers in a row are one branch, and named ``first, second``."""

    total: Tensor
    """What the unit puts out, the sum of the branches."""

    merged: Tensor
    """What the merged convolution puts out."""


def block_maps(model: nn.Module, stage: int, block: int, inputs: Tensor) -> list[BlockMaps]:
    """Runs the backbone and looks into one of its blocks.

    Args:
        model: With a RepNeXt in training form as its ``backbone``.
        stage: From 0.
        block: In the stage, from 0.
        inputs: ``(1, 3, H, W)``.

    Raises:
        ValueError: If there is no such block, or it has no branches.
    """
    backbone: Any = model.get_submodule('backbone')
    found: dict[str, BlockMaps] = {}
    handles = [
        unit.register_forward_hook(_look_into(name, found))
        for name, unit in _units_of(backbone, stage, block).items()
    ]
    try:
        with torch.no_grad():
            backbone(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return list(found.values())


def _units_of(backbone: nn.Module, stage: int, block: int) -> dict[str, Unit]:
    if not isinstance(backbone, RepNeXt):
        raise ValueError(
            f'{type(backbone).__name__} is no RepNeXt and has no branches: look at its layers'
        )
    if not 0 <= stage < len(backbone.stages) or not 0 <= block < backbone.depths[stage]:
        depths = backbone.depths[: len(backbone.stages)]
        raise ValueError(
            f'there is no block {stage}.{block}: the stages 0 to {len(depths) - 1} have {depths} blocks, '
            'each counted from 0'
        )
    module = backbone.get_submodule(f'stages.{stage}.blocks.{block}')
    found = {name: unit for name, unit in module.named_modules() if isinstance(unit, Unit)}
    if not found:
        raise ValueError(
            f'block {stage}.{block} is merged, so it has no branches: take a config and a checkpoint '
            'of the training form'
        )
    return found


def _look_into(name: str, found: dict[str, BlockMaps]) -> Any:
    """A hook that runs a unit's layers again, one by one, and the convolution that it becomes."""

    def hook(unit: Unit, args: tuple[Tensor], output: Tensor) -> None:
        found[name] = BlockMaps(
            name,
            args[0][0].clone(),
            _branches(unit, args[0]),
            output[0].clone(),
            merged_unit(unit)(args[0])[0],
        )

    return hook


def _branches(unit: Unit, x: Tensor) -> dict[str, Tensor]:
    """The outputs of a unit's layers that no other of its layers reads, by name."""
    parent = unit.branches if isinstance(unit, RepUnit) else unit
    outputs: dict[str, Tensor] = {}
    writers: dict[int, str] = {}
    chain: dict[str, str] = {}
    kept: list[Tensor] = []  # so that no two outputs have the same id

    def note(name: str) -> Any:
        def hook(_: nn.Module, args: tuple[Tensor], output: Tensor) -> None:
            before = writers.get(id(args[0]))
            chain[name] = f'{chain[before]}, {name}' if before else name
            if before:
                outputs.pop(before, None)
            outputs[name], writers[id(output)] = output, name
            kept.append(output)

        return hook

    layers = dict(parent.named_children())
    handles = [layer.register_forward_hook(note(name)) for name, layer in layers.items()]
    try:
        unit.forward(x)  # without the hooks of the unit itself
    finally:
        for handle in handles:
            handle.remove()
    return {
        chain[name] if not isinstance(unit, RepUnit) else _described(layers[name]): output[0]
        for name, output in outputs.items()
    }


def _described(branch: Any) -> str:
    """A branch of RepNeXt-T by its kernel."""
    conv = getattr(branch, 'conv', None)
    if conv is None:
        return 'identity'
    size, dilation = conv.kernel_size[0], conv.dilation[0]
    return f'{size}x{size}' + (f', dilation {dilation}' if dilation > 1 else '')


def merged_unit(unit: Unit) -> MergedConv:
    """The convolution that a unit becomes."""
    if isinstance(unit, RepUnit):
        return unit.merged()
    like = unit.conv_3_3 if isinstance(unit, SmallMixer) else unit.conv_7_7
    return MergedConv(*unit.kernel(), like)
