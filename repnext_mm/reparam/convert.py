"""The protocol that a mergeable block fulfils, and the conversion of whole models."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, ClassVar

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from repnext_mm.compat import conv_module_type
from repnext_mm.deprecation import renamed_argument
from repnext_mm.reparam.arguments import check_switches
from repnext_mm.reparam.copies import independent_copy
from repnext_mm.reparam.forms import INFERENCE_FORMS, TRAINING, check_inference_form, form_name
from repnext_mm.reparam.layers import fuse_conv_norm

PLAIN_FORWARDS = (_BatchNorm.forward, nn.SyncBatchNorm.forward)
"""The forward methods that in evaluation mode are a batch norm and nothing else."""


class Reparameterizable(nn.Module, ABC):
    """A module that can be replaced by an equal one with fewer operations."""

    forms: ClassVar[tuple[str, ...]] = INFERENCE_FORMS
    """The inference forms that this module has or can take."""

    @property
    @abstractmethod
    def form(self) -> str:
        """The form that this module is in: ``'training'``, ``'fused'`` or ``'plain'``."""

    @abstractmethod
    def merged(self, form: str) -> nn.Module:
        """Returns an equal module in another form, in evaluation mode.

        It leaves ``self`` as it is, and may share with it the submodules that
        merging does not touch.

        Args:
            form: One of :attr:`forms` that is not :attr:`form`.
        """

    @renamed_argument('mode', 'form')
    def reparameterized(self, form: str) -> nn.Module:
        """An equal module in an inference form; ``self`` if it has that form already.

        Args:
            form: One of :attr:`forms`.

        Raises:
            ValueError: If this module cannot take that form.
        """
        if form not in self.forms:
            raise ValueError(
                f'{type(self).__name__} of {type(self).__module__} cannot take the form {form!r}, '
                f'only one of {self.forms}: choose that, or, if the network was merged before, '
                'start from the training form'
            )
        return self if form == self.form else self.merged(form)

    def fuse(self) -> nn.Module:
        """The verb of timm's ``reparameterize_model``, for modules in any mode.

        timm's tools merge before they call ``eval()``, so this asks for no mode.

        Returns:
            A module in the form ``'fused'`` that computes what this one does in evaluation
            mode; a module that is merged already as it is.
        """
        return self.merged('fused') if form_name(self.form) == TRAINING else self


class SwitchToDeploy(nn.Module):
    """Gives a network made of mergeable blocks the verb that the ecosystem calls."""

    @property
    def form(self) -> str:
        """The form that the network is in: ``'training'``, ``'fused'`` or ``'plain'``."""
        blocks = (module for module in self.modules() if isinstance(module, Reparameterizable))
        return next((form_name(block.form) for block in blocks), TRAINING)

    @property
    def deploy(self) -> str | None:
        """OpenMMLab's word for :attr:`form`, where None is the training form."""
        return None if self.form == TRAINING else self.form

    @renamed_argument('mode', 'form')
    def switch_to_deploy(self, form: str = 'fused') -> None:
        """Merges this network in place; see :func:`reparameterize_model`."""
        reparameterize_model(self, form, inplace=True)


def inference_forms(model: nn.Module) -> tuple[str, ...]:
    """The forms that every block of ``model`` has or can take."""
    blocks = mergeable_modules(model).values()
    return tuple(form for form in INFERENCE_FORMS if all(form in block.forms for block in blocks))


def mergeable_modules(model: nn.Module) -> dict[str, Reparameterizable]:
    """The outermost mergeable modules of ``model`` by name, ``''`` for ``model`` itself."""
    return dict(_outermost(model, lambda module: isinstance(module, Reparameterizable)))


@renamed_argument('mode', 'form')
def reparameterize_model(
    model: nn.Module, form: str = 'fused', inplace: bool = False, fold_conv_bn: bool = True
) -> nn.Module:
    """Merges everything in ``model`` that can be merged without changing its outputs.

    That is: every :class:`Reparameterizable` block; blocks of other packages that
    offer ``switch_to_deploy`` (mmpretrain's RepVGG, MobileOne and RepLKNet; they
    know one form, so ``form`` does not concern them); and convolutions with a batch
    norm right behind them. Merging a merged model again changes nothing.

    Args:
        model: A backbone, detector, segmentor, or any module that contains some, in
            evaluation mode.
        form: ``'fused'``: same topology, batch norms folded and parallel branches
            merged. ``'plain'``: no residual either, only a chain of convolutions and
            activations, for twice the arithmetic.
        inplace: Rewrite ``model`` itself instead of a copy. When one of our blocks
            refuses, ``model`` is as it was.
        fold_conv_bn: Also fold the batch norms of mmcv's ``ConvModule`` and of
            ``nn.Sequential`` (necks, heads), where the order of execution is known.

    Returns:
        The merged model. With ``inplace=True`` it is ``model``, unless that is
        itself a mergeable block.

    Raises:
        ValueError: If ``form`` is no inference form or a block cannot take it; if any part of
            the model is in training mode; or, for a copy, if a forward method was replaced by
            one that runs the original; or if a merged weight is too large for its dtype.
        TypeError: If ``model`` is no module, or a switch no truth value.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(
            f'model must be a torch.nn.Module, got {type(model).__name__}: {model!r:.60}'
        )
    check_switches(inplace=inplace, fold_conv_bn=fold_conv_bn)
    check_inference_form(form)
    training = [name for name, module in model.named_modules() if module.training]
    if training:
        raise ValueError(
            'merging freezes batch statistics, so it needs the evaluation mode, but '
            f'{training[0] or "the model"!r} is in training mode: call model.eval() first'
        )
    if not inplace:
        return reparameterize_model(independent_copy(model), form, True, fold_conv_bn)

    merged: dict[nn.Module, nn.Module] = {
        block: block.reparameterized(form) for block in mergeable_modules(model).values()
    }
    for _, network in _outermost(model, _is_foreign):
        network.switch_to_deploy()
        network.eval()  # for the layers that it has just made
    if fold_conv_bn:
        for conv, norm in _conv_bn_pairs(model):
            merged |= {conv: fuse_conv_norm(conv, norm), norm: nn.Identity().eval()}
    replace_modules(model, merged)
    return merged.get(model, model)


def replace_modules(model: nn.Module, replacements: dict[nn.Module, nn.Module]) -> None:
    """Puts the new modules in the place of the old ones, wherever ``model`` refers to them."""
    modules: list[Any] = list(model.modules())
    for module in modules:
        for name, child in module._modules.items():
            if child in replacements:
                module._modules[name] = replacements[child]
        if isinstance(module, conv_module_type()) and isinstance(module.norm, nn.Identity):
            module.turn_on_efficient_conv_bn_eval(False)  # it reads the statistics of the norm


def _outermost(
    module: nn.Module, matches: Callable[[nn.Module], bool], name: str = ''
) -> Iterator[tuple[str, Any]]:
    """Yields the matching modules that lie in no other matching module."""
    if matches(module):
        yield name, module
        return
    for child_name, child in module.named_children():
        yield from _outermost(child, matches, f'{name}.{child_name}' if name else child_name)


def _is_foreign(module: nn.Module) -> bool:
    """Whether another package offers to merge this module."""
    offers = callable(getattr(module, 'switch_to_deploy', None))
    return offers and not isinstance(module, SwitchToDeploy)


def _conv_bn_pairs(model: nn.Module) -> Iterator[tuple[nn.Conv2d, _BatchNorm]]:
    """Yields the convolutions whose output goes into one batch norm and nowhere else.

    ``mmcv.cnn.fuse_conv_bn`` pairs layers by the order in which a module registers
    them, which need not be the order in which it runs them, and computes in the
    parameters' precision. Here only containers with a known order count, and only
    layers that the model uses in one place.
    """
    uses = Counter(id(child) for module in model.modules() for child in module._modules.values())
    own = {id(part) for block in mergeable_modules(model).values() for part in block.modules()}
    for module in model.modules():
        for conv, norm in _consecutive_layers(module):
            single = uses[id(conv)] == uses[id(norm)] == 1 and id(conv) not in own
            if is_plain_conv(conv) and is_plain_norm(norm) and single:
                if conv.out_channels == norm.num_features:
                    yield conv, norm


def is_plain_conv(layer: nn.Module) -> bool:
    """Whether this is torch's convolution and nothing else, such as weight normalization."""
    return type(layer) is nn.Conv2d and not has_hooks(layer) and 'forward' not in vars(layer)


def is_plain_norm(layer: nn.Module) -> bool:
    """Whether this is, in evaluation mode, an affine map and nothing else, such as an activation."""
    if not isinstance(layer, _BatchNorm) or layer.running_mean is None:
        return False
    own = type(layer).forward in PLAIN_FORWARDS and 'forward' not in vars(layer)
    return own and not has_hooks(layer)


def has_hooks(layer: nn.Module) -> bool:
    """Whether something else is called with the layer, before or after it."""
    return bool(layer._forward_hooks or layer._forward_pre_hooks)


def _consecutive_layers(module: Any) -> Iterator[tuple[Any, Any]]:
    """Yields the pairs of children of which the second reads just the first's output."""
    if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
        yield from pairwise(module.children())
    elif isinstance(module, conv_module_type()) and module.with_norm:
        if module.order.index('norm') == module.order.index('conv') + 1:
            yield module.conv, module.norm
