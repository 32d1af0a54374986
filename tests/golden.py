"""Deterministic weights and images: the same on every implementation of RepNeXt-M.

Values depend only on the name and the shape of an entry, so two networks that
agree on names and arithmetic agree on their outputs.
``data/golden_m.json`` holds those of the official network.
"""

import functools
import json
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

DATA = Path(__file__).parent / 'data'
GOLDEN = json.loads((DATA / 'golden_m.json').read_text())
OFFICIAL_KEYS = json.loads((DATA / 'official_keys.json').read_text())


def values(name: str, shape: tuple[int, ...], salt: int = 0) -> Tensor:
    """One entry of a state dict, and nobody else's."""
    return drawn_once(name, shape, salt).clone()


@functools.cache
def drawn_once(name: str, shape: tuple[int, ...], salt: int) -> Tensor:
    rng = np.random.default_rng([zlib.crc32(name.encode()), salt])
    if name.endswith('num_batches_tracked'):
        return torch.zeros(shape, dtype=torch.int64)
    if name.endswith('running_mean'):
        drawn = 0.1 * rng.standard_normal(shape)
    elif name.endswith('running_var'):
        drawn = rng.uniform(0.5, 1.5, shape)
    elif len(shape) > 1:
        drawn = rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
    elif name.endswith('norm.weight'):
        drawn = rng.uniform(0.5, 1.5, shape)
    else:
        drawn = 0.1 * rng.standard_normal(shape)
    if name.endswith('channel_mixer.2.norm.weight'):
        drawn = 0.2 * drawn  # keeps deep residual stacks in range
    return torch.from_numpy(drawn.astype(np.float32))


def official_state(arch: str) -> dict[str, Tensor]:
    """A state dict with the official names and shapes: backbone and both classifiers."""
    return {name: values(name, tuple(shape)) for name, shape in OFFICIAL_KEYS[arch].items()}


def image(height: int, width: int, batch: int = 1) -> Tensor:
    """The input that belongs to the golden outputs, ``(N, 3, H, W)``."""
    drawn = np.random.default_rng([7, 0]).standard_normal((batch, 3, height, width))
    return torch.from_numpy(drawn.astype(np.float32))
