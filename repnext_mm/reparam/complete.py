"""The complete merge: also the batch norms whose place only a run of the model shows.

mmdet's and mmpretrain's ResNet, for one, keep ``conv1`` and ``bn1`` as attributes and call
them by name. Watching the model run once shows which convolution feeds which batch norm and
nothing else; a batch norm that does not follow a convolution becomes an affine map.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from repnext_mm.compat import conv_module_type
from repnext_mm.reparam.convert import (
    PLAIN_FORWARDS,
    has_hooks,
    is_plain_conv,
    is_plain_norm,
    mergeable_modules,
    reparameterize_model,
    replace_modules,
)
from repnext_mm.reparam.layers import build_affine, fuse_conv_norm

logger = logging.getLogger(__name__)


def merge_completely(
    model: nn.Module, form: str = 'fused', shape: Sequence[int] | None = None
) -> nn.Module:
    """Merges a model, in place, until no batch norm is left that is a fixed affine map.

    :func:`reparameterize_model` comes first. If batch norms are left, backbone and neck (of a
    model without a backbone, all of it) are run on a small random image, which shows the
    batch norms that follow a convolution: these are folded. The others become a scale and a
    shift per channel. A batch norm that is no fixed affine map stays; see
    :func:`check_batch_norms`.

    Args:
        model: Any module in evaluation mode.
        form: ``'fused'`` or ``'plain'``; see :func:`reparameterize_model`.
        shape: ``(N, C, H, W)`` of the random image. Defaults to ``(1, in_channels, 64, 64)``.

    Returns:
        ``model``, unless that is itself a mergeable block or a batch norm.

    Raises:
        ValueError: As :func:`reparameterize_model`.
    """
    model = reparameterize_model(model, form, inplace=True)
    if batch_norms(model):
        _fold_observed(model, shape)
        model = replace_batch_norms(model)
    return model


def batch_norms(model: nn.Module) -> dict[str, _BatchNorm]:
    """The batch norms of ``model`` by name, ``''`` for ``model`` itself."""
    return {name: m for name, m in model.named_modules() if isinstance(m, _BatchNorm)}


def unmergeable_batch_norms(model: nn.Module) -> dict[str, str]:
    """The batch norms that are no fixed affine map in evaluation mode.

    Returns:
        For each of them, by name, a sentence that says why not and what to do.
    """
    return {
        name: f'the {type(norm).__name__} {name!r} cannot be merged: {obstacle}'
        for name, norm in batch_norms(model).items()
        if (obstacle := _obstacle(norm))
    }


def check_batch_norms(model: nn.Module) -> None:
    """Makes sure that every batch norm is, in evaluation mode, a fixed affine map.

    Raises:
        ValueError: If any is not; the message names them and what to do.
    """
    problems = unmergeable_batch_norms(model)
    if problems:
        raise ValueError('; '.join(problems.values()))


def fuse_observed_pairs(model: nn.Module, run: Callable[[nn.Module], object]) -> int:
    """Folds, in place, each batch norm into the convolution that is seen to feed it alone.

    A pair is folded only if in the run each of the two ran once, if no operation outside
    the batch norm read what the convolution put out, not even through a view, if that was
    not kept either, and if nobody else read the weights of the two. Layers registered in
    two places, with hooks (weight and spectral norm) or in mergeable blocks are left alone.

    Args:
        model: Any module in evaluation mode. Its other blocks should be merged already.
        run: Calls the model on some input, in the way in which it is used; called twice.
            What it does not return, nobody may use.

    Returns:
        The number of pairs.
    """
    merged: dict[nn.Module, nn.Module] = {}
    pairs = list(_observed_pairs(model, run))
    for conv, norm in pairs:
        merged |= {conv: fuse_conv_norm(conv, norm), norm: nn.Identity().eval()}
    replace_modules(model, merged)
    # A forward method may call other references to the layers than the registered ones.
    watch = _Watch(merged.values())
    watch.follow(model, run)
    missed = [pair for pair in pairs if any(watch.calls[merged[layer]] != 1 for layer in pair)]
    replace_modules(model, {merged[layer]: layer for pair in missed for layer in pair})
    return len(pairs) - len(missed)


def replace_batch_norms(model: nn.Module) -> nn.Module:
    """Replaces, in place, each batch norm by an equal :class:`ChannelAffine`.

    Batch norms that are no fixed affine map stay.

    Returns:
        ``model``, unless that is itself a batch norm.
    """
    affine: dict[nn.Module, nn.Module] = {
        norm: build_affine(norm) for norm in batch_norms(model).values() if not _obstacle(norm)
    }
    replace_modules(model, affine)
    modules: list[Any] = list(model.modules())
    for module in modules:
        if isinstance(module, conv_module_type()) and module.with_norm:
            module.turn_on_efficient_conv_bn_eval(False)  # it reads the statistics of the norm
    return affine.get(model, model)


def _obstacle(norm: _BatchNorm) -> str | None:
    """The reason why a batch norm is no fixed affine map, and the remedy; None if it is one."""
    if norm.running_mean is None or norm.running_var is None:
        return (
            'it keeps no running statistics, so what it computes depends on the batch; train with '
            'track_running_stats=True'
        )
    if type(norm).forward not in PLAIN_FORWARDS or 'forward' in vars(norm):
        return (
            f'its forward method, of {type(norm).__module__}, may do more than normalize; replace '
            "it by torch's BatchNorm2d and layers for the rest"
        )
    if has_hooks(norm):
        return 'it has forward hooks, which would be lost; remove them'
    return None


def _observed_pairs(
    model: nn.Module, run: Callable[[nn.Module], object]
) -> Iterator[tuple[nn.Conv2d, _BatchNorm]]:
    """Yields the convolutions and batch norms of which the second alone reads the first's output."""
    uses = Counter(id(child) for module in model.modules() for child in module._modules.values())
    own = {part for block in mergeable_modules(model).values() for part in block.modules()}
    layers = [
        module
        for module in model.modules()
        if (is_plain_conv(module) or is_plain_norm(module))
        and uses[id(module)] == 1
        and module not in own
        and not module.training
    ]
    watch = _Watch(layers)
    watch.follow(model, run)
    for conv, (norm, *others) in watch.readers.items():
        if not isinstance(conv, nn.Conv2d) or not isinstance(norm, _BatchNorm) or others:
            continue
        once = watch.calls[conv] == watch.calls[norm] == 1
        if once and conv not in watch.kept and not watch.shared & {conv, norm}:
            yield conv, norm


class _Watch(TorchDispatchMode):
    """Notes, while a model runs, which layers run and who reads what they put out.

    What is followed is the memory of an output, not the tensor: so reading a view or an alias
    counts as well.

    Args:
        layers: The layers to watch.
    """

    def __init__(self, layers: Iterable[nn.Module]):
        super().__init__()
        self.layers = list(layers)
        self.calls: Counter[nn.Module] = Counter()
        self.readers: defaultdict[nn.Module, set[nn.Module | None]] = defaultdict(set)
        """For each layer the layers that read its last output; None is everything else."""
        self.kept: set[nn.Module] = set()
        """The layers whose output is still there when the run is over."""
        self.shared: set[nn.Module] = set()
        """The layers whose parameters or buffers others read."""
        self._running: list[nn.Module] = []
        self._outputs: dict[StorageWeakRef, nn.Module] = {}
        self._owners: defaultdict[StorageWeakRef, set[nn.Module]] = defaultdict(set)
        for layer in self.layers:
            for tensor in (*layer.parameters(), *layer.buffers()):
                self._owners[_memory(tensor)].add(layer)

    @torch.no_grad()
    def follow(self, model: nn.Module, run: Callable[[nn.Module], object]) -> None:
        """Watches ``run(model)``."""
        handles = [layer.register_forward_pre_hook(self._enter) for layer in self.layers]
        handles += [layer.register_forward_hook(self._leave) for layer in self.layers]
        try:
            with self:
                result = run(model)
            self.kept = {layer for memory, layer in self._outputs.items() if not memory.expired()}
            del result
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, layer: nn.Module, args: tuple) -> None:
        self._running.append(layer)

    def _leave(self, layer: nn.Module, args: tuple, output: Tensor) -> None:
        self._running.pop()
        self.calls[layer] += 1
        self._outputs[_memory(output)] = layer

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        reader = self._running[-1] if self._running else None
        for leaf in tree_leaves((args, kwargs)):
            if isinstance(leaf, Tensor) and leaf.layout is torch.strided:
                memory = _memory(leaf)
                if memory in self._outputs:
                    self.readers[self._outputs[memory]].add(reader)
                self.shared |= self._owners.get(memory, set()) - {reader}
        return func(*args, **(kwargs or {}))


def _memory(tensor: Tensor) -> StorageWeakRef:
    """Equal for tensors that share memory; keeps none, and its address from being used again."""
    return StorageWeakRef(tensor.untyped_storage())


def _fold_observed(model: nn.Module, shape: Sequence[int] | None) -> None:
    """Folds the batch norms of backbone and neck, as far as these take an image."""
    parts = _feature_parts(model)
    image = _random_image(parts[0], shape)
    devices = [image.device] if image.device.type == 'cuda' else []
    with torch.random.fork_rng(devices), torch.no_grad():
        while parts and not _takes(parts, image):
            parts.pop()
        count = len(parts)
        if count:
            fuse_observed_pairs(model, lambda m: _extract(_feature_parts(m)[:count], image))


def run_features(model: nn.Module, shape: Sequence[int] | None) -> Callable[[nn.Module], object]:
    """What runs backbone and neck of a model, and of its copies, on a random image.

    Args:
        model: Any module; without a backbone all of it is run.
        shape: ``(N, C, H, W)`` of the random image. Defaults to ``(1, in_channels, 64, 64)``.

    Returns:
        A function that takes the model, or a copy of it on the same device in the same dtype.
    """
    image = _random_image(_feature_parts(model)[0], shape)
    return lambda copied: _extract(_feature_parts(copied), image)


def _feature_parts(model: nn.Module) -> list[nn.Module]:
    """Backbone and neck of the outermost module that has a backbone; else the model."""
    for module in model.modules():
        parts = [module._modules.get(name) for name in ('backbone', 'neck')]
        if parts[0] is not None:
            return [part for part in parts if part is not None]
    return [model]


def _random_image(part: nn.Module, shape: Sequence[int] | None) -> Tensor:
    """A batch on the device of the part and in its dtype."""
    if shape is None:
        convs = (m.in_channels for m in part.modules() if isinstance(m, nn.Conv2d))
        shape = (1, next(convs, 3), 64, 64)
    tensors = (*part.parameters(), *part.buffers())
    like = next((t for t in tensors if t.is_floating_point()), torch.empty(0))
    noise = torch.randn(tuple(shape), generator=torch.Generator().manual_seed(0))
    return noise.to(like)


def _extract(parts: list[nn.Module], image: Tensor) -> list[Any]:
    """The image and what each part makes of the output of the one before it."""
    outputs: list[Any] = [image]
    for part in parts:
        outputs.append(part(outputs[-1]))
    return outputs


def _takes(parts: list[nn.Module], image: Tensor) -> bool:
    """Whether the parts run on the image; logs why the last one cannot be observed if not."""
    try:
        _extract(parts, image)
    except Exception as error:  # whatever a part raises that takes something else
        logger.warning(
            '%s is not run on a random image %s (%s: %s), so batch norms in it whose place is not '
            'known become scales and shifts, which is as exact but slower; another shape may do',
            type(parts[-1]).__name__,
            tuple(image.shape),
            type(error).__name__,
            str(error).partition('\n')[0],
        )
        return False
    return True
