"""Channels ranked and removed by torch-pruning (DepGraph, arXiv 2301.12900)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from repnext_mm.compat import require_extra
from repnext_mm.networks.family import Channelwise
from repnext_mm.pruning.targets import Target

CRITERIA = ('magnitude', 'taylor', 'bn-scale')
"""How important a channel is: the squares of its weights; the squares of weight times gradient
(arXiv 1906.10771); the factors of its batch norms (arXiv 1708.06519)."""


class Removal(NamedTuple):
    """Channels that a layer lost."""

    layer: str
    """Name of the layer in the model."""

    inputs: bool
    """Whether they are channels of its input, and not of its output."""

    channels: tuple[int, ...]
    """Their numbers before anything was removed."""


def prune_channels(
    model: nn.Module,
    run: Callable[[Any, Tensor], object],
    images: Tensor,
    targets: Sequence[Target],
    ratio: float,
    criterion: str,
) -> list[Removal]:
    """Removes the least important channels of each target, and what depends on them, in place.

    All are ranked before any is removed, each target by itself: so every width shrinks by the
    same ratio, rounded to whole channels.

    Args:
        model: In evaluation mode; all parameters require gradients. For the criterion
            ``'taylor'`` they have some.
        run: Calls the model, and returns the tensors that depend on the targets.
        images: Batch for ``run``, ``(N, C, H, W)``.
        targets: Convolutions of the model. Those whose channels go with an earlier target's are
            left out.
        ratio: Share of the channels to remove, in (0, 1).
        criterion: One of :data:`CRITERIA`.

    Returns:
        What was removed from each layer.

    Raises:
        ImportError: If torch-pruning is not installed.
        ValueError: If the ratio leaves a target without channels or removes none at all, or no
            channel has a batch norm where the criterion needs one.
    """
    pruning = torch_pruning()
    names = {module: name for name, module in model.named_modules()}
    importance = _importance(pruning, criterion)
    with _opaque(model):
        graph = pruning.DependencyGraph().build_dependency(
            model, images, forward_fn=run, customized_pruners=_pruners(pruning, model)
        )
    chosen: dict[nn.Conv2d, list[int]] = {}
    covered: set[nn.Module] = set()
    for target in targets:
        if target.conv in covered:
            continue
        group = _group(pruning, graph, target.conv, range(target.conv.out_channels))
        covered |= _losing_outputs(graph, group)
        count = _removed_per_chunk(target, ratio, names[target.conv])
        if (scores := importance(group)) is not None:
            chosen[target.conv] = _least_important(scores, target.chunks, count)
    _check_any(chosen, criterion, ratio)
    groups = [_group(pruning, graph, *item) for item in chosen.items() if item[1]]
    removals = [removal for group in groups for removal in _removals(graph, group, names)]
    for group in groups:
        group.prune()
    return removals


def torch_pruning() -> ModuleType:
    """torch-pruning.

    Raises:
        ImportError: If it is not installed; the message says how to install it.
    """
    return require_extra('torch_pruning', 'pruning', 'pruning')


def check_ratio(ratio: float) -> None:
    """Makes sure that a ratio is a share of the channels that leaves some.

    Raises:
        ValueError: If it does not lie in (0, 1).
    """
    if not 0 < ratio < 1:
        raise ValueError(
            f'the ratio must lie between 0 (nothing is removed) and 1 (nothing is left), got '
            f'{ratio!r}: try 0.3'
        )


def _removed_per_chunk(target: Target, ratio: float, name: str) -> int:
    """How many channels each chunk of a target loses.

    Raises:
        ValueError: If none would be left.
    """
    width = target.conv.out_channels // target.chunks
    removed = round(width * ratio)
    if removed >= width:
        parts = f' in each of {target.chunks} chunks' if target.chunks > 1 else ''
        raise ValueError(
            f'the ratio {ratio} leaves none of the {width} channels{parts} of {name!r}: choose one '
            f'below {1 - 0.5 / width:.3g}'
        )
    return removed


def _check_any(chosen: Mapping[nn.Conv2d, list[int]], criterion: str, ratio: float) -> None:
    """Raises a ValueError if no channel would be removed."""
    if not chosen:
        raise ValueError(
            f'the criterion {criterion!r} needs batch norms behind the channels to prune, and there '
            "are none (RepNeXt-T's blocks have none inside, and merged networks none at all): "
            "choose 'magnitude' or 'taylor', or the scope 'all'"
        )
    if not any(chosen.values()):
        raise ValueError(f'the ratio {ratio} removes no channel of any layer: choose a larger one')


def _importance(pruning: ModuleType, criterion: str) -> Callable[[Any], Tensor | None]:
    """torch-pruning's measure, of which only the order within a target counts."""
    if criterion not in CRITERIA:
        raise ValueError(f'unknown criterion {criterion!r}: choose from {CRITERIA}')
    kind = dict(
        zip(
            CRITERIA,
            (
                pruning.importance.GroupMagnitudeImportance,
                pruning.importance.GroupTaylorImportance,
                pruning.importance.BNScaleImportance,
            ),
            strict=True,
        )
    )[criterion]
    return kind(normalizer=None)


def _least_important(scores: Tensor, chunks: int, count: int) -> list[int]:
    """The numbers of the ``count`` channels with the lowest scores of each chunk, sorted."""
    chosen = scores.view(chunks, -1).argsort(dim=1, stable=True)[:, :count]
    starts = torch.arange(chunks, device=chosen.device) * (len(scores) // chunks)
    return sorted((chosen + starts[:, None]).flatten().tolist())


def _group(pruning: ModuleType, graph: Any, conv: nn.Conv2d, channels: Sequence[int]) -> Any:
    """All that must go when these output channels of a convolution do."""
    group = graph.get_pruning_group(conv, pruning.prune_conv_out_channels, list(channels))
    for item in group:
        # The Taylor measure sorts the one list and not the other.
        pairs = sorted(zip(item.idxs, item.root_idxs, strict=True))
        item.idxs[:] = [index for index, _ in pairs]
        item.root_idxs[:] = [root for _, root in pairs]
    return group


def _losing_outputs(graph: Any, group: Any) -> set[nn.Module]:
    """The modules whose output channels a group removes."""
    is_output = graph.is_out_channel_pruning_fn
    return {item.dep.target.module for item in group if is_output(item.dep.handler)}


def _removals(graph: Any, group: Any, names: dict[nn.Module, str]) -> Iterator[Removal]:
    for item in group:
        module = item.dep.target.module
        if module in names:
            inputs = graph.is_in_channel_pruning_fn(item.dep.handler)
            yield Removal(names[module], inputs, tuple(item.idxs))


def _pruners(pruning: ModuleType, model: nn.Module) -> dict[type, Any]:
    """Tells torch-pruning how layers lose channels that are no torch layers."""
    base: Any = pruning.BasePruningFunc

    class ChannelwisePruner(base):
        """Prunes the convolutions that read the channels."""

        def prune_out_channels(self, layer: Any, idxs: Sequence[int]) -> nn.Module:
            for conv, channels in list(layer.convs_and_channels()):
                own = [index - channels.start for index in idxs if index in channels]
                pruning.prune_depthwise_conv_out_channels(conv, own)
            return layer

        prune_in_channels = prune_out_channels

        def get_out_channels(self, layer: Any) -> int:
            return 1 + max(channels[-1] for _, channels in layer.convs_and_channels())

        get_in_channels = get_out_channels

    kinds = {type(module) for module in model.modules() if isinstance(module, Channelwise)}
    pruner = ChannelwisePruner()
    return dict.fromkeys(kinds, pruner)


@contextmanager
def _opaque(model: nn.Module) -> Iterator[None]:
    """Within it autograd, which torch-pruning follows, does not see into channelwise layers."""

    def hide(layer: nn.Module, args: tuple[Tensor], output: Tensor) -> Tensor:
        return _Channelwise.apply(args[0], output.detach())

    layers = [module for module in model.modules() if isinstance(module, Channelwise)]
    handles = [layer.register_forward_hook(hide) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Channelwise(torch.autograd.Function):
    """Makes an output look as if one operation had computed it from the input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, output: Tensor) -> Tensor:
        return output.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        raise NotImplementedError('it is there to be followed, and not to be differentiated')
