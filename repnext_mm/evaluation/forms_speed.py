"""How fast the forms of one model are, side by side in one run."""

import statistics
import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.runner import Runner, load_checkpoint

from repnext_mm.checkpoints.loading import build_model
from repnext_mm.reparam import inference_forms, reparameterize_model

TRAINING = 'training'


def measure_forms(
    cfg: Config,
    checkpoint: str | None = None,
    images: int = 32,
    rounds: int = 5,
    others: Mapping[str, Any] | None = None,
) -> dict[str, dict[str, float]]:
    """Times whole predictions on test images, in the training form and all merged forms in turn.

    The forms alternate from round to round, so that a machine that is busy for a
    while slows all of them; the median round counts. Compare numbers of one run
    only.

    Args:
        cfg: A config with a model and a test dataloader.
        checkpoint: Weights of the training form; they matter for detectors, whose
            time depends on how much they find.
        images: How many test images to use.
        rounds: How often to time each form.
        others: More models to time in the same turns, by name; such as exported files.

    Returns:
        For ``'training'``, each form that the network offers, and the others:
        ``images_per_second``, ``ratio`` to the training form, and ``parameters``.

    Raises:
        ValueError: If ``images`` or ``rounds`` is not positive.
    """
    if min(images, rounds) < 1:
        raise ValueError(f'images and rounds must be positive, got {images} and {rounds}')
    model = build_model(cfg)
    if checkpoint:
        load_checkpoint(model, checkpoint, map_location='cpu')
    model.to(get_device()).eval()
    models = {TRAINING: model} | {
        form: reparameterize_model(model, form) for form in inference_forms(model)
    }
    models |= others or {}
    batches, count = _first_batches(cfg, images)
    for form in models.values():
        _seconds(form, batches[:1])  # warm-up
    times: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(rounds):
        for name, form in models.items():
            times[name].append(_seconds(form, batches))
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {
        name: dict(
            images_per_second=count / medians[name],
            ratio=medians[TRAINING] / medians[name],
            parameters=sum(p.numel() for p in form.parameters()),
        )
        for name, form in models.items()
    }


def _first_batches(cfg: Config, images: int) -> tuple[list[dict], int]:
    """Batches of the test data with at least so many images if there are, and their number."""
    batches, count = [], 0
    for batch in Runner.build_dataloader(cfg.test_dataloader, seed=0):
        batches.append(batch)
        count += len(batch['inputs'])
        if count >= images:
            break
    return batches, count


@torch.inference_mode()
def _seconds(model: Any, batches: Sequence[dict]) -> float:
    """How long predictions of these batches take; without loading and copying the data."""
    batches = deepcopy(batches)
    synchronize()
    start = time.perf_counter()
    for batch in batches:
        model.test_step(batch)
    synchronize()
    return time.perf_counter() - start


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
