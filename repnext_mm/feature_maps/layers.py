"""The layers of a network that are worth looking at, and what they put out."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from repnext_mm.networks import RepNeXt


def stage_layers(model: nn.Module, inputs: Tensor) -> list[str]:
    """The names of the stages of a model's backbone, in order.

    Those of a RepNeXt are known. Of another backbone they are the layers whose outputs are the
    feature maps that it gives.

    Args:
        model: With a ``backbone``.
        inputs: ``(1, 3, H, W)``, on which another backbone is run.

    Raises:
        ValueError: If no layer puts out the feature maps.
    """
    backbone: Any = model.get_submodule('backbone')
    if isinstance(backbone, RepNeXt):
        return [f'backbone.stages.{number}' for number in range(len(backbone.stages))]
    names = {module: name for name, module in backbone.named_modules() if name}
    writers: dict[int, str] = {}
    kept: list[Any] = []  # so that no two outputs have the same id

    def note(module: nn.Module, _: Any, output: Any) -> None:
        kept.append(output)
        if isinstance(output, Tensor):
            writers[id(output)] = names[module]

    handles = [module.register_forward_hook(note) for module in names]
    try:
        with torch.no_grad():
            outputs = backbone(inputs)
    finally:
        for handle in handles:
            handle.remove()
    outputs = outputs if isinstance(outputs, tuple | list) else [outputs]
    found = [writers[id(output)] for output in outputs if id(output) in writers]
    if not found:
        raise ValueError(
            f'no layer of {type(backbone).__name__} puts out its feature maps: name layers that do'
        )
    return [f'backbone.{name}' for name in found]


def check_layers(model: nn.Module, layers: Sequence[str]) -> None:
    """Makes sure that a model has these layers.

    Raises:
        ValueError: If it lacks one; the message names those beside it.
    """
    names = {name for name, _ in model.named_modules()}
    for layer in layers:
        if layer not in names or not layer:
            parent = layer.rpartition('.')[0]
            while parent and parent not in names:
                parent = parent.rpartition('.')[0]
            inner = [name for name, _ in model.get_submodule(parent).named_children()]
            raise ValueError(
                f'there is no layer {layer!r}: in {parent or "the model"!r} there are {inner}'
            )


def layer_outputs(
    model: nn.Module, layers: Sequence[str], run: Callable[[], object]
) -> dict[str, Tensor]:
    """What layers put out in a run, the last call of each.

    Args:
        model: Any module.
        layers: Names of modules in it.
        run: Runs it.

    Returns:
        ``(N, C, H, W)`` by name.

    Raises:
        ValueError: If there is no such layer, it did not run, or it puts out something else.
    """
    check_layers(model, layers)
    found: dict[str, Any] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, _: Any, output: Any) -> None:
            found[name] = output.detach().clone() if isinstance(output, Tensor) else output

        return hook

    handles = [model.get_submodule(name).register_forward_hook(keep(name)) for name in layers]
    try:
        with torch.no_grad():
            run()
    finally:
        for handle in handles:
            handle.remove()
    for name in layers:
        output = found.get(name)
        if not isinstance(output, Tensor) or output.dim() != 4:
            raise ValueError(f'the layer {name!r} puts out no feature map (N, C, H, W)')
    return {name: found[name] for name in layers}
