"""Evaluates a merged copy of the model and leaves the training network alone."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from repnext_mm.deprecation import renamed_argument, warn_of_old_name
from repnext_mm.registry import HOOKS, register
from repnext_mm.reparam import mergeable_modules, reparameterize_model
from repnext_mm.reparam.complete import merge_completely, unmergeable_batch_norms
from repnext_mm.reparam.difference import feature_differences
from repnext_mm.reparam.forms import check_inference_form
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
        form: ``'fused'`` or ``'plain'``; see :func:`repnext_mm.reparameterize_model`.
        val: Also in validation, not only in tests.
        fold_conv_bn: Merge completely, as :func:`repnext_mm.trained.merged_copy` does: also fold
            the batch norms of other backbones, necks and heads. Otherwise only blocks with
            branches are merged.
        verify: Tolerance for the maximum relative difference between the features
            of the two forms on the first batch, which is evaluated twice for that;
            None or False to skip the comparison. Float32 rounding gives about 1e-6.

    Raises:
        ValueError: If ``form`` is no inference form or ``verify`` not positive; in the run, if
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
    ):
        check_inference_form(form)
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
            self._swap_in(runner, data_batch)

    def before_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | tuple | list | None = None
    ) -> None:
        """Puts the merged copy in the model's place."""
        self._swap_in(runner, data_batch)

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

    def _swap_in(self, runner: Runner, data_batch: dict | tuple | list | None) -> None:
        if self._merged_model is None:
            self._merged_model = self._merge(runner, data_batch)
        self._training_model, runner.model = runner.model, self._merged_model

    def _swap_out(self, runner: Runner) -> None:
        if self._training_model is not None:
            runner.model, self._training_model = self._training_model, None

    def _merge(self, runner: Runner, data_batch: dict | tuple | list | None) -> nn.Module:
        model = unwrapped(runner.model)
        if self.fold_conv_bn:
            merged = copy_to_merge(model)
            for problem in unmergeable_batch_norms(merged).values():
                runner.logger.warning(f'Evaluating a merged copy, except that {problem}')
            merged = merge_completely(merged, self.form)
        else:
            merged = reparameterize_model(model, self.form, fold_conv_bn=False)
        before, after = (sum(p.numel() for p in m.parameters()) for m in (model, merged))
        runner.logger.info(
            f'Evaluating a merged copy, form {self.form!r}: {before:,} -> {after:,} parameters'
        )
        if self.tolerance:
            self._verify(runner, model, merged, data_batch)
        return merged

    def _verify(
        self,
        runner: Runner,
        model: nn.Module,
        merged: nn.Module,
        data_batch: dict | tuple | list | None,
    ) -> None:
        names = [
            name for name, _ in model.named_modules() if name.split('.')[-1] in FEATURE_EXTRACTORS
        ] or list(mergeable_modules(model))
        differences = feature_differences(
            model, merged, names, lambda network: network.test_step(copy.deepcopy(data_batch))
        )
        # The worst of all processes, so that all of them raise or none.
        worst = torch.tensor(max(differences.values()), dtype=torch.float64)
        all_reduce(worst, 'max')
        runner.logger.info(
            f'Maximum relative difference of the features between training form and '
            f'{self.form!r}: {worst.item():.2e} (tolerance {self.tolerance:.0e})'
        )
        if not worst.item() <= self.tolerance:
            raise ValueError(
                f'the merged model differs from the training form by {worst.item():.2e} '
                f'(relative maximum per part: {differences}), more than verify={self.tolerance}; '
                'if the features are finite, please report it with the config'
            )
