"""Loading checkpoints into networks that have several forms."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from repnext_mm.reparam.convert import SwitchToDeploy, inference_forms
from repnext_mm.reparam.forms import TRAINING

SHOWN = 4
"""Number of names that a message lists before it only counts them."""


class KeyReport(NamedTuple):
    """The entries of a state dict by how they fit a module."""

    loaded: list[str]
    missing: list[str]
    unexpected: list[str]
    mismatched: list[str]
    """``name: shape in the state dict, not shape in the module``."""

    @property
    def complete(self) -> bool:
        """Whether the module would get every entry."""
        return not self.missing and not self.mismatched

    @property
    def exact(self) -> bool:
        """Whether, besides, the state dict holds nothing else."""
        return self.complete and not self.unexpected

    def __str__(self) -> str:
        parts = [f'{len(self.loaded)} loaded']
        for kind, names in (
            ('missing', self.missing),
            ('unexpected', self.unexpected),
            ('of another shape', self.mismatched),
        ):
            shown = ', '.join(names[:SHOWN]) + (', ...' if len(names) > SHOWN else '')
            parts.append(f'{len(names)} {kind}' + (f' ({shown})' if names else ''))
        return ', '.join(parts)


def compare_keys(state: Mapping[str, Tensor], module: nn.Module) -> KeyReport:
    """Compares names and shapes; counters of batch norms may be missing."""
    wanted = module.state_dict()
    mismatched = {
        name: f'{name}: {tuple(value.shape)}, not {tuple(wanted[name].shape)}'
        for name, value in state.items()
        if name in wanted and value.shape != wanted[name].shape
    }
    return KeyReport(
        loaded=[name for name in wanted if name in state and name not in mismatched],
        missing=[n for n in wanted if n not in state and not n.endswith('num_batches_tracked')],
        unexpected=[name for name in state if name not in wanted],
        mismatched=list(mismatched.values()),
    )


class FormAware(SwitchToDeploy):
    """A network that loads checkpoints of every form that can become its own.

    A checkpoint of the training form is merged on its way into a merged network. One
    that is merged already never gets into the training form, and where
    ``complete_only`` is set, neither does one of which any entry is missing: OpenMMLab
    loads what fits and logs the rest, which costs accuracy without notice.

    A merged network is not trained by accident: see :meth:`check_training`.
    """

    complete_only: ClassVar[bool] = True
    """Whether a checkpoint must have every entry."""

    allow_partial_load = False
    """Load what fits all the same, with a warning from the loader."""

    finetune_deployed = False
    """Whether the merged form may be trained."""

    @abstractmethod
    def another_form(self, form: str) -> 'FormAware':
        """This network in another form, without values: its parameters are on 'meta'."""

    def argument_for(self, form: str) -> str:
        """The argument that builds this network in a form, as messages write it."""
        return f'form={form!r}'

    def own_part(self, state: dict[str, Any]) -> dict[str, Tensor]:
        """The entries of this network, under its own names, from a state dict given for it."""
        return state

    def describe(self, state: Mapping[str, Tensor]) -> str:
        """A sentence about a checkpoint that does not fit, such as its architecture, or nothing."""
        return ''

    def check_training(self) -> None:
        """Refuses to train a merged network by accident; for the beginning of ``forward``.

        Training is a forward pass in training mode with gradients, for parameters that take
        some. Everything else may run in any mode: exporting a module around the network,
        inference without gradients, training of other parts.

        Raises:
            ValueError: If a merged network is trained without ``finetune_deployed``.
        """
        if not self.training or self.finetune_deployed or not torch.is_grad_enabled():
            return
        if self.form == TRAINING or is_recorded():
            return
        if any(parameter.requires_grad for parameter in self.parameters()):
            raise ValueError(
                f'this {type(self).__name__} is merged ({self.form!r}): its branches and batch '
                'norms are gone, and training would start from something else than it was '
                f'trained as. Train the training form, {self.argument_for(TRAINING)}; freeze the '
                'merged one, requires_grad_(False); or, to go on with it, set '
                'finetune_deployed=True'
            )

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args) -> None:
        """Both torch's and mmengine's loaders call this before they go on to the children."""
        names = [name for name in state_dict if name.startswith(prefix)]
        given = {name.removeprefix(prefix): state_dict.pop(name) for name in names}
        suited = self._suited(self.own_part(given))
        state_dict.update({prefix + name: value for name, value in suited.items()})
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _suited(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The entries in the form that this network is in.

        Raises:
            ValueError: If they are those of another network, not all there, or of a form
                that cannot become this one.
        """
        report = compare_keys(state, self)
        if report.exact:
            return state
        for form, other in self._other_forms():
            if compare_keys(state, other).exact:
                if self.form != TRAINING and self.form in inference_forms(other):
                    return self._converted(state, other, self.form)
                if not self.allow_partial_load:
                    raise ValueError(self._other_form_message(form))
        if self.allow_partial_load or not self.complete_only:
            return state
        raise ValueError(
            f'this checkpoint does not fit this {type(self).__name__}: {report}. '
            f'{self.describe(state)}Choose the checkpoint or the arch that fits, or, to load no '
            'more than what fits, set allow_partial_load=True'
        )

    def _other_forms(self) -> Iterator[tuple[str, 'FormAware']]:
        training = self.another_form(TRAINING)
        if self.form != TRAINING:
            yield TRAINING, training
        for form in inference_forms(training):
            if form != self.form:
                try:
                    yield form, self.another_form(form)
                except TypeError:  # its norms are no batch norms, so it has no other form
                    return

    def _converted(
        self, state: dict[str, Tensor], other: 'FormAware', form: str
    ) -> dict[str, Tensor]:
        """The state dict of ``other`` after merging it to ``form``."""
        # On the CPU, which has float64 everywhere; the loader copies to where the network is.
        exact = {n: v.cpu().double() if v.is_floating_point() else v for n, v in state.items()}
        other.load_state_dict(exact, strict=False, assign=True)
        other.eval().switch_to_deploy(form)
        dtypes = {name: value.dtype for name, value in self.state_dict().items()}
        return {name: value.to(dtypes[name]) for name, value in other.state_dict().items()}

    def _other_form_message(self, form: str) -> str:
        """The error for a checkpoint that is merged to ``form`` and does not get in, with the remedy."""
        if self.form == TRAINING:
            reason = (
                f'and this {type(self).__name__} is in training form, whose branches cannot be '
                'recovered'
            )
        else:
            reason = f'which cannot become {self.form!r}'
        return (
            f'this checkpoint is merged ({form!r}), {reason}. Build the {type(self).__name__} with '
            f'{self.argument_for(form)}, or load a checkpoint of the training form'
        )


def is_recorded() -> bool:
    """Whether the forward pass is being recorded, for ONNX or ``torch.export``, and not trained."""
    # In torch.compile, whose networks may be trained, is_exporting() is true as well.
    exported = torch.compiler.is_compiling() and not torch.compiler.is_dynamo_compiling()
    return exported or torch.jit.is_tracing()
