"""Evaluates a merged copy of the model and leaves the training network alone."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.dist import all_reduce, broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner
from mmengine.runner.amp import autocast
from torch import Tensor, nn

from repnext_mm.deprecation import renamed_argument, warn_of_old_name
from repnext_mm.registry import HOOKS, register
from repnext_mm.reparam import mergeable_modules, reparameterize_model
from repnext_mm.reparam.complete import merge_completely, unmergeable_batch_norms
from repnext_mm.reparam.difference import feature_differences
from repnext_mm.reparam.fastest import AS_IS, Choice, arranged, check_layout, fastest_form, label
from repnext_mm.reparam.forms import AUTO, check_inference_form
from repnext_mm.trained import copy_to_merge, unwrapped

FEATURE_EXTRACTORS = ('backbone', 'neck')
"""Names of the parts of OpenMMLab's models whose outputs are features."""


@register(HOOKS)
class ReparameterizeHook(Hook):
    """Runs every test, and on request every validation, on a merged copy of the model.

    The copy is made before the first batch, when all other hooks have prepared the
    model (``EMAHook`` has swapped its averages in, whatever the order of the hooks),
    and takes the model's place only while a batch is evaluated. So neither
    ``EMAHook`` nor ``CheckpointHook`` nor an exception ever meets it, and the network
    in training stays bit by bit what it was.

    Config::

        custom_hooks = [dict(type='repnext_mm.ReparameterizeHook', form='fused')]

    Args:
        form: ``'fused'`` or ``'plain'``; see :func:`repnext_mm.reparameterize_model`. ``'auto'``
            times both, in both layouts, on the first batch and takes the fastest; :attr:`choice` and the
            log say which.
        val: Also in validation, not only in tests.
        fold_conv_bn: Merge completely, as :func:`repnext_mm.trained.merged_copy` does: also fold
            the batch norms of other backbones, necks and heads. Otherwise only blocks with
            branches are merged.
        layout: ``'channels-last'`` for weights of the copy in this layout, which the feature maps
            follow; ``'as-is'`` leaves them as merging makes them. Not for ``'auto'``, which chooses it.
        verify: Tolerance for the maximum relative difference between the features
            of the two forms on the first batch, which is evaluated twice for that;
            None or False to skip the comparison. Float32 rounding gives about 1e-6.

    Raises:
        ValueError: If ``form`` is no inference form, ``layout`` unknown or ``verify`` not positive; in the run, if
            there is a second such hook or the difference exceeds ``verify``.
        TypeError: In the run, if the model is wrapped in something that shards it.
    """

    @renamed_argument('mode', 'form')
    def __init__(
        self,
        form: str = 'fused',
        val: bool = False,
        fold_conv_bn: bool = True,
        verify: float | None = 1e-4,
        layout: str = AS_IS,
    ):
        if form != AUTO:
            check_inference_form(form)
        check_layout(layout)
        if form == AUTO and layout != AS_IS:
            raise ValueError(f'form={form!r} chooses the layout: leave layout={layout!r} out')
        if verify is None or verify is False:
            self.tolerance = 0.0
        elif verify is not True and verify > 0:
            self.tolerance = float(verify)
        else:
            raise ValueError(
                f'verify must be a positive tolerance such as 1e-4, or None to skip the '
                f'comparison; got {verify!r}'
            )
        self.form = form
        self.val = val
        self.fold_conv_bn = fold_conv_bn
        self.layout = layout
        self.choice: Choice | None = None
        """What ``form='auto'`` has chosen in the latest evaluation."""
        self._training_model: nn.Module | None = None
        self._merged_model: nn.Module | None = None

    @property
    def mode(self) -> str:
        """The old name of :attr:`form`."""
        warn_of_old_name("the attribute 'mode' of ReparameterizeHook", "'form'")
        return self.form

    def before_run(self, runner: Runner) -> None:
        """Makes sure that the model is put back whenever an evaluation ends or breaks off."""
        if sum(isinstance(hook, ReparameterizeHook) for hook in runner._hooks) > 1:
            raise ValueError(
                'there are several ReparameterizeHooks, and a model can have one form at a time: '
                'leave one of them in custom_hooks'
            )
        for loop in (runner._val_loop, runner._test_loop):
            # A loop that is not built yet is a config, and is not run in this call either.
            if hasattr(loop, 'run') and 'run' not in vars(loop):
                loop.run = self._restores_model(runner)(loop.run)

    def before_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | tuple | list | None = None
    ) -> None:
        """Puts the merged copy in the model's place, if validation is asked for."""
        if self.val:
            self._swap_in(runner, data_batch, runner.val_loop)

    def before_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | tuple | list | None = None
    ) -> None:
        """Puts the merged copy in the model's place."""
        self._swap_in(runner, data_batch, runner.test_loop)

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | tuple | list | None = None,
        outputs: Sequence | None = None,
    ) -> None:
        """Puts the model back."""
        self._swap_out(runner)

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | tuple | list | None = None,
        outputs: Sequence | None = None,
    ) -> None:
        """Puts the model back."""
        self._swap_out(runner)

    @contextmanager
    def _restores_model(self, runner: Runner) -> Iterator[None]:
        try:
            yield
        finally:
            self._swap_out(runner)
            self._merged_model = None

    def _swap_in(
        self, runner: Runner, data_batch: dict | tuple | list | None, loop: BaseLoop
    ) -> None:
        if self._merged_model is None:
            self._merged_model = self._merge(runner, data_batch, getattr(loop, 'fp16', False))
        self._training_model, runner.model = runner.model, self._merged_model

    def _swap_out(self, runner: Runner) -> None:
        if self._training_model is not None:
            runner.model, self._training_model = self._training_model, None

    def _merge(
        self, runner: Runner, data_batch: dict | tuple | list | None, half: bool
    ) -> nn.Module:
        model = unwrapped(runner.model)
        form, layout = self.form, self.layout
        if form == AUTO:
            self.choice = self._choose(runner, model, data_batch, half)
            form, layout = self.choice.form, self.choice.layout
        merged = arranged(self._merged(model, form), layout)
        for problem in unmergeable_batch_norms(merged).values() if self.fold_conv_bn else ():
            runner.logger.warning(f'Evaluating a merged copy, except that {problem}')
        before, after = (sum(p.numel() for p in m.parameters()) for m in (model, merged))
        runner.logger.info(
            f'Evaluating a merged copy, form {label(form, layout)!r}: {before:,} -> {after:,} parameters'
        )
        if self.tolerance:
            self._verify(runner, model, merged, data_batch, form)
        return merged

    def _merged(self, model: nn.Module, form: str) -> nn.Module:
        if self.fold_conv_bn:
            return merge_completely(copy_to_merge(model), form)
        return reparameterize_model(model, form, fold_conv_bn=False)

    def _choose(
        self, runner: Runner, model: nn.Module, data_batch: dict | tuple | list | None, half: bool
    ) -> Choice:
        """The fastest on the first batch, in the precision of the loop; the first process decides."""
        choices: list[Choice | None] = [None]
        if is_main_process():
            runner.logger.info('Measuring which form and layout is the fastest on the first batch')
            with autocast(enabled=half):
                choices[0] = fastest_form(
                    model,
                    lambda form: self._merged(model, form),
                    lambda network: _tested(network, data_batch),
                    rounds=3,
                    mixed_precision=half,
                    inputs=_input_shapes(data_batch),
                )
            runner.logger.info(f'Chosen by time: {choices[0]}')
        broadcast_object_list(choices)
        assert choices[0] is not None
        return choices[0]

    def _verify(
        self,
        runner: Runner,
        model: nn.Module,
        merged: nn.Module,
        data_batch: dict | tuple | list | None,
        form: str,
    ) -> None:
        names = [
            name for name, _ in model.named_modules() if name.split('.')[-1] in FEATURE_EXTRACTORS
        ] or list(mergeable_modules(model))
        differences = feature_differences(
            model, merged, names, lambda network: _tested(network, data_batch)
        )
        # The worst of all processes, so that all of them raise or none.
        worst = torch.tensor(max(differences.values()), dtype=torch.float64)
        all_reduce(worst, 'max')
        runner.logger.info(
            f'Maximum relative difference of the features between training form and '
            f'{form!r}: {worst.item():.2e} (tolerance {self.tolerance:.0e})'
        )
        if not worst.item() <= self.tolerance:
            raise ValueError(
                f'the merged model differs from the training form by {worst.item():.2e} '
                f'(relative maximum per part: {differences}), more than verify={self.tolerance}; '
                'if the features are finite, please report it with the config'
            )


def _tested(model: Any, data_batch: dict | tuple | list | None) -> object:
    """The predictions for a batch, which stays as it is."""
    return model.test_step(copy.deepcopy(data_batch))


def _input_shapes(data_batch: dict | tuple | list | None) -> list[list[int]]:
    """The shapes of the images of a batch, as the data loader gives them."""
    inputs = data_batch.get('inputs') if isinstance(data_batch, dict) else None
    images = inputs if isinstance(inputs, list | tuple) else [inputs]
    return [list(image.shape) for image in images if isinstance(image, Tensor)]
