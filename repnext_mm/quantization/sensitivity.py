"""Which layers must stay in float, found by the metric that counts."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from repnext_mm.deprecation import renamed_argument, warn_of_old_name
from repnext_mm.quantization.quantizer import Quantizer

MAX_LOSS = 0.01


class Trial(NamedTuple):
    """A quantized file that was measured."""

    keep_float: tuple[str, ...]
    """Names of the layers in float."""

    metric: float
    """Larger is better."""


class Search(NamedTuple):
    """The trials of a search for layers that must stay in float, and its result."""

    trials: list[Trial]
    """In the order in which they were measured."""

    result: Trial
    """The one with the fewest layers in float among those that lose little enough, or the best."""

    errors: dict[str, float]
    """The error that 8 bits cause in each layer alone (:meth:`Quantizer.layer_errors`); empty if
    the first trial was good enough."""

    reached: bool
    """Whether the loss of the result is allowed."""

    @property
    def chosen(self) -> Trial:
        """The old name of ``result``."""
        warn_of_old_name('Search.chosen', 'Search.result')
        return self.result


@renamed_argument('reference', 'float_metric')
@renamed_argument('images', 'ranking_images')
def search(
    quantizer: Quantizer,
    target: str | Path,
    evaluate: Callable[[Path], float],
    float_metric: float,
    ranking_images: Sequence[np.ndarray],
    max_loss: float = MAX_LOSS,
    keep_float: Collection[str] = (),
) -> Search:
    """Quantizes, and while the metric loses too much, keeps the worst layers in float.

    Their number doubles: 1, 2, 4 ... up to half of all. Then bisection takes back what it can.

    Args:
        quantizer: Calibrated for the float file.
        target: File to write; at the end it is that of the result.
        evaluate: The metric of a file, larger is better.
        float_metric: That of the float file.
        ranking_images: ``(H, W, 3)`` uint8, RGB, on which the layers' errors are measured.
        max_loss: Difference of the metrics that is allowed, 0 or more.
        keep_float: Names of layers that stay in float in any case.

    Raises:
        ValueError: If a name is unknown, or the loss that is allowed negative.
    """
    if not max_loss >= 0:
        raise ValueError(f'max_loss must be 0 or more, got {max_loss}')
    target = Path(target)
    always = quantizer.find_layers(keep_float)
    trials: list[Trial] = []

    def is_good_with(layers: Sequence[str]) -> bool:
        names = tuple(dict.fromkeys((*always, *layers)))
        quantizer.write(target, names)
        trials.append(Trial(names, evaluate(target)))
        return float_metric - trials[-1].metric <= max_loss

    if is_good_with(()):
        return Search(trials, trials[0], {}, True)
    errors = quantizer.layer_errors(ranking_images)
    ranked = [layer for layer in errors if layer not in (*always, *quantizer.always_float)]
    _try_growing_numbers(ranked, is_good_with)
    allowed = [trial for trial in trials if float_metric - trial.metric <= max_loss]
    result = (
        min(allowed, key=lambda trial: len(trial.keep_float))
        if allowed
        else max(trials, key=lambda trial: trial.metric)
    )
    quantizer.write(target, result.keep_float)
    return Search(trials, result, errors, bool(allowed))


def _try_growing_numbers(ranked: Sequence[str], suffice: Callable[[Sequence[str]], bool]) -> None:
    """Tries the first 1, 2, 4 ... names, up to half of them, then bisects the last interval."""
    enough, count = None, 1
    while enough is None and 2 * count <= max(len(ranked), 2):
        enough = count if suffice(ranked[:count]) else None
        count *= 2
    if enough is None:
        return
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        enough, too_few = (middle, too_few) if suffice(ranked[:middle]) else (enough, middle)
