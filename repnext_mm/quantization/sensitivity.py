"""Which layers must stay in float, found by the metric that counts."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from repnext_mm.quantization.quantizer import Quantizer

MAX_LOSS = 0.01


class Trial(NamedTuple):
    """A quantized file that was measured."""

    keep_float: tuple[str, ...]
    """Names of the layers in float."""

    metric: float


class Search(NamedTuple):
    """What was tried."""

    trials: list[Trial]
    chosen: Trial
    """The one with the fewest layers in float among those that lose little enough, or the best."""

    errors: dict[str, float]
    """What 8 bits do to each layer alone, the worst first; empty if that was not asked."""

    reached: bool
    """Whether the loss of the chosen one is allowed."""


def search(
    quantizer: Quantizer,
    target: Path,
    evaluate: Callable[[Path], float],
    reference: float,
    images: Sequence,
    max_loss: float = MAX_LOSS,
    keep_float: Collection[str] = (),
) -> Search:
    """Quantizes, and while the metric loses too much, keeps the worst layers in float.

    Their number doubles: 1, 2, 4 ... up to half of all. Then bisection takes back what it can.

    Args:
        quantizer: Of the float file.
        target: File to write; at the end it is the chosen one.
        evaluate: The metric of a file, larger is better.
        reference: That of the float file.
        images: ``(H, W, 3)`` uint8, RGB; to rank the layers.
        max_loss: What the metric may lose.
        keep_float: Names of layers that stay in float in any case.

    Raises:
        ValueError: If a name is unknown, or the loss that is allowed negative.
    """
    if not max_loss >= 0:
        raise ValueError(f'max_loss must be 0 or more, got {max_loss}')
    always = quantizer.named(keep_float)
    trials: list[Trial] = []

    def try_with(layers: Sequence[str]) -> bool:
        names = tuple(dict.fromkeys((*always, *layers)))
        quantizer.write(target, names)
        trials.append(Trial(names, evaluate(target)))
        return reference - trials[-1].metric <= max_loss

    if try_with(()):
        return Search(trials, trials[0], {}, True)
    errors = quantizer.errors(images)
    ranked = [layer for layer in errors if layer not in (*always, *quantizer.spared)]
    enough, count = None, 1
    while enough is None and 2 * count <= max(len(ranked), 2):
        enough = count if try_with(ranked[:count]) else None
        count *= 2
    if enough is not None:
        too_few = enough // 2
        while enough - too_few > 1:
            middle = (enough + too_few) // 2
            enough, too_few = (middle, too_few) if try_with(ranked[:middle]) else (enough, middle)
    allowed = [trial for trial in trials if reference - trial.metric <= max_loss]
    chosen = (
        min(allowed, key=lambda trial: len(trial.keep_float))
        if allowed
        else max(trials, key=lambda trial: trial.metric)
    )
    quantizer.write(target, chosen.keep_float)
    return Search(trials, chosen, errors, bool(allowed))
