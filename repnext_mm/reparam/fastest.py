"""The fastest of the equal forms and layouts of a model, measured on the user's input and device.

Which form is fastest depends on all of these: ``'plain'`` has fewer operations than ``'fused'`` and
twice the arithmetic, so small images on a GPU may favour what large images on a CPU do not.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn

from repnext_mm.reparam.convert import inference_forms, mergeable_modules
from repnext_mm.timing import Timing, fastest, processor_name, take_turns

AS_IS = 'as-is'
CHANNELS_LAST = 'channels-last'
LAYOUTS = (AS_IS, CHANNELS_LAST)
"""Layouts of the weights, which the feature maps follow; ``'as-is'`` leaves them as they are."""

ROUNDS = 5
"""Timed rounds, in each of which every candidate runs once."""


@dataclass(frozen=True)
class Choice:
    """The candidate that is fastest, and what it was chosen for."""

    form: str
    """An inference form."""

    layout: str
    """One of :data:`LAYOUTS`."""

    milliseconds: Mapping[str, float]
    """The median time of every candidate by its :func:`label`."""

    target: Mapping[str, Any] = field(default_factory=dict)
    """Device, precision, threads, version and input for which the choice holds."""

    @classmethod
    def of(
        cls,
        candidates: Mapping[str, tuple[str, str]],
        timings: Mapping[str, Timing],
        target: Mapping[str, Any],
    ) -> 'Choice':
        """The fastest of some candidates, or the first of those that are as fast.

        Args:
            candidates: Form and layout by name.
            timings: Of each.
            target: What the choice holds for.
        """
        form, layout = candidates[fastest(timings)]
        milliseconds = {name: round(1000 * timing.median, 3) for name, timing in timings.items()}
        return cls(form, layout, milliseconds, target)

    def to_json(self) -> dict[str, Any]:
        """The choice as plain values, for the metadata of a file."""
        return asdict(self)

    def __str__(self) -> str:
        times = ', '.join(f'{name} {value:.2f} ms' for name, value in self.milliseconds.items())
        return f'{label(self.form, self.layout)} is the fastest, or as fast as any ({times})'


def label(form: str, layout: str) -> str:
    """The name of a candidate."""
    return form if layout == AS_IS else f'{form}, {layout}'


def fastest_form(
    model: nn.Module,
    merge: Callable[[str], nn.Module],
    run: Callable[[nn.Module], object],
    layouts: Sequence[str] = LAYOUTS,
    rounds: int = ROUNDS,
    **target: Any,
) -> Choice:
    """Times all inference forms of a model in all layouts, in turn.

    Of candidates within 5 % of the fastest it is the first, in the order of the forms and, within
    a form, of the layouts. So equally fast ones do not change places from run to run.

    Args:
        model: In the training form.
        merge: Makes a merged copy of it in a form.
        run: Calls a merged copy on the input that counts, in the way in which it is used.
        layouts: Of :data:`LAYOUTS`.
        rounds: Timed rounds; two untimed ones come first.
        **target: What else the choice depends on, such as the shape of the input, to be kept with it.

    Raises:
        ValueError: If there is no form, no layout or no round, or a layout is unknown.
    """
    pairs = [(form, layout) for form in forms_to_try(model) for layout in layouts]
    if not pairs:
        raise ValueError(f'there is nothing to choose from: the layouts are {tuple(layouts)}')
    candidates = {label(*pair): pair for pair in pairs}
    runs = {
        name: _run_of(arranged(merge(form), layout), run)
        for name, (form, layout) in candidates.items()
    }
    choice = Choice.of(candidates, take_turns(runs, rounds), _target(model) | target)
    logging.getLogger(__name__).info('Chosen by time: %s', choice)
    return choice


def forms_to_try(model: nn.Module) -> tuple[str, ...]:
    """The inference forms of a model that differ: one without branches has one."""
    return inference_forms(model) if mergeable_modules(model) else ('fused',)


def arranged(model: nn.Module, layout: str) -> nn.Module:
    """The model with its weights in a layout, in place.

    Raises:
        ValueError: If the layout is unknown.
    """
    check_layout(layout)
    if layout == CHANNELS_LAST:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def check_layout(layout: str) -> None:
    """Makes sure that a layout exists.

    Raises:
        ValueError: If it does not; the message names those that do.
    """
    if layout not in LAYOUTS:
        raise ValueError(f'unknown layout {layout!r}: choose from {LAYOUTS}')


def _run_of(model: nn.Module, run: Callable[[nn.Module], object]) -> Callable[[], object]:
    @torch.no_grad()
    def timed() -> object:
        return run(model)

    return timed


def _target(model: nn.Module) -> dict[str, Any]:
    tensors = (*model.parameters(), *model.buffers())
    tensor = next((t for t in tensors if t.is_floating_point()), torch.empty(0))
    cuda = tensor.device.type == 'cuda'
    name = torch.cuda.get_device_name(tensor.device) if cuda else processor_name()
    return dict(
        device=f'{tensor.device.type}, {name}',
        precision=str(tensor.dtype).removeprefix('torch.'),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
    )
