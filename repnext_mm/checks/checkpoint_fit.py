"""A checkpoint against the model that it is tested in: every entry, its shape and its values."""

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel
from mmengine.runner import Runner
from torch import Tensor, nn

from repnext_mm.checkpoints.identity import dataset_meta
from repnext_mm.checks.findings import Finding, Level, report
from repnext_mm.checks.origins import describe_origin
from repnext_mm.integrity import divergence, not_finite
from repnext_mm.reparam.loading import FormAware, compare_keys
from repnext_mm.trained import unwrapped

CHECKPOINT_KIND = 'checkpoint'
PARTIAL = '--allow-partial tests it all the same, with random values where it has none'
SIZE_MISMATCH = re.compile(r'size mismatch for ([^:]+):')


class CheckpointFitHook(Hook):
    """Refuses a checkpoint that lacks a part of the model, heads included, before anything runs.

    mmengine loads what fits and logs the rest, so that a head stays random and a test still gives
    numbers.

    Args:
        source: Name of the file, for messages.
        allow_partial: Only warn of what is missing or has another shape, in merging backbones
            too. Values that are not finite stay errors.

    Raises:
        ChecksFailedError: In the run, if the checkpoint does not fit.
    """

    priority = 'VERY_LOW'
    """After the hooks that change what a checkpoint holds."""

    def __init__(self, source: str, allow_partial: bool = False):
        self.source = source
        self.allow_partial = allow_partial

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compares the content of the file with the model, which mmengine fills after this."""
        model = unwrapped(runner.model)
        if isinstance(model, BaseTTAModel):
            model = model.module
        report(check_fit(checkpoint, model, self.source, self.allow_partial))


def check_fit(
    checkpoint: Mapping[str, Any], model: nn.Module, source: str, allow_partial: bool = False
) -> Iterator[Finding]:
    """Loads a checkpoint into a model and tells what does not fit.

    What loads counts, and not what is called the same: networks that merge, and heads that rename
    entries of earlier versions, do so here as well. Counters of batch norms may be missing.

    Args:
        checkpoint: Content of a file, in OpenMMLab's layout.
        model: The model as the config builds it, which gets the weights.
        source: Name of the file.
        allow_partial: Whether missing entries, and those of another shape, are warnings.
    """
    state = _entries(checkpoint)
    if problem := divergence(state, not_finite(model.state_dict())):
        yield Finding('error', 'broken-weights', source, problem, 'Take an earlier checkpoint')
    level: Level = 'warning' if allow_partial else 'error'
    missing, mismatched, refusals = _load(state, model, allow_partial)
    if not missing and not mismatched and not refusals:
        return
    origin = describe_origin(checkpoint, state, model.state_dict())
    for refusal in refusals:
        yield Finding(
            'error', CHECKPOINT_KIND, source, f'{refusal}. {origin}'.rstrip('. '), f'Or {PARTIAL}'
        )
    if mismatched:
        yield Finding(
            level,
            CHECKPOINT_KIND,
            source,
            f'{len(mismatched)} entries have another shape than in the model of the config: '
            f'{_listed(mismatched)}. {_classes(checkpoint)}{origin}'.rstrip('. '),
            "Take the config that it was trained with, or set the heads' num_classes and the "
            f'classes as there; {PARTIAL}',
        )
    if missing:
        parts = sorted({'.'.join(name.split('.')[:2]) for name in missing})
        yield Finding(
            level,
            CHECKPOINT_KIND,
            source,
            f'it lacks {len(missing)} entries of the model, all or some of {_listed(parts)}, such as '
            f'{missing[0]!r}. {origin}'.rstrip('. '),
            f'Take the checkpoint of this whole model; {PARTIAL}',
        )


def _entries(checkpoint: Mapping[str, Any]) -> 'OrderedDict[str, Tensor]':
    """The weights by their names in the model, as mmengine finds them."""
    found = checkpoint.get('state_dict', checkpoint)
    state = OrderedDict(
        (str(name).removeprefix('module.'), value)
        for name, value in found.items()
        if isinstance(value, Tensor)
    )
    state._metadata = getattr(found, '_metadata', OrderedDict())  # type: ignore[attr-defined]
    return state


def _load(
    state: 'OrderedDict[str, Tensor]', model: nn.Module, allow_partial: bool
) -> tuple[list[str], list[str], list[str]]:
    """Loads what fits.

    Returns:
        Names of missing entries; entries of another shape, in words; and what merging networks
        say of a checkpoint that they refuse.
    """
    merging = [(n, m) for n, m in model.named_modules() if isinstance(m, FormAware)]
    for _, module in merging:
        if allow_partial:
            module.allow_partial_load = True
    prefixes = tuple(f'{name}.' if name else '' for name, _ in merging)
    outside = {n: v for n, v in state.items() if not (prefixes and n.startswith(prefixes))}
    mismatched = compare_keys(outside, model).mismatched
    names = [text.partition(':')[0] for text in mismatched]
    fitting = state.copy()
    fitting._metadata = state._metadata  # type: ignore[attr-defined]
    for name in names:
        del fitting[name]
    try:
        missing = list(model.load_state_dict(fitting, strict=False).missing_keys)
    except RuntimeError as error:  # of shapes, in merging heads: all the rest is loaded
        if not (inside := SIZE_MISMATCH.findall(str(error))):
            raise
        return [], [*mismatched, *inside], []
    except ValueError as error:
        return [], mismatched, [str(error)]
    missing = [n for n in missing if n not in names and not n.endswith('num_batches_tracked')]
    return missing, mismatched, []


def _listed(names: list[str]) -> str:
    return ', '.join(names[:4]) + (f' and {len(names) - 4} more' if len(names) > 4 else '')


def _classes(checkpoint: Mapping[str, Any]) -> str:
    """A sentence about the classes that a checkpoint was trained on, if it says so."""
    classes = (dataset_meta(checkpoint) or {}).get('classes')
    if not classes:
        return ''
    return f'It was trained on {len(classes)} classes: {_listed(list(map(str, classes)))}. '
