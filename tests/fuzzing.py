"""How much is fuzzed, and what networks, statistics and files are drawn from.

In ``make test`` a few examples of each property, always the same ones; ``python tests/fuzz
--minutes 20`` draws new ones until the time is up.
"""

import json
import os
from collections import Counter
from typing import Any

import torch
from helpers import M_ARCHS
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from repnext_mm.models import RepNeXt

VARIABLE = 'REPNEXT_MM_FUZZ'
"""Environment variable; with the value ``'long'`` examples are new ones, and more of them."""

LONG = os.environ.get(VARIABLE) == 'long'
EXAMPLES = 40
"""Of each property, before the long run turns to the next one."""

COUNTS: Counter[str] = Counter()
"""Examples by property, for the note of a long run."""


def budget(examples: int) -> settings:
    """Settings of a property: so many examples in ``make test``, always the same."""
    return settings(
        max_examples=EXAMPLES if LONG else examples,
        derandomize=not LONG,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def counted(name: str) -> None:
    """Counts an example."""
    COUNTS[name] += 1


@st.composite
def archs(draw: Any) -> dict[str, Any]:
    """An arch dict of any family, with one to five small stages."""
    variant = draw(st.sampled_from(tuple(RepNeXt.arch_settings)))
    stages = draw(st.integers(1, 5))
    if variant in M_ARCHS:
        first = 4 * draw(st.integers(1, 3))
        channels = [first * 2**stage for stage in range(stages)]
    else:
        channels = draw(st.lists(st.integers(1, 20), min_size=stages, max_size=stages))
    depths = draw(st.lists(st.integers(1, 3), min_size=stages, max_size=stages))
    return dict(channels=channels, depths=depths, variant=variant)


@st.composite
def options(draw: Any) -> dict[str, Any]:
    """Arguments of a backbone that are allowed together."""
    arch = draw(archs())
    stages = len(arch['depths'])
    indices = st.lists(st.integers(0, stages - 1), min_size=1, max_size=stages, unique=True)
    out = draw(indices)
    signed = [index - stages if draw(st.booleans()) else index for index in out]
    return dict(
        arch=arch,
        in_channels=draw(st.integers(1, 5)),
        out_indices=tuple(signed),
        frozen_stages=draw(st.integers(-1, stages)),
        norm_eval=draw(st.booleans()),
        drop_path_rate=draw(st.floats(0, 0.9)),
        merge_frozen_norms=draw(st.booleans()),
    )


sizes = st.one_of(st.integers(32, 257), st.integers(1, 257))
"""Heights and widths of images, in pixels."""

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=8,
)
"""Whatever JSON can hold, and NaN and infinities, which Python's JSON holds too."""


def draw_statistics(model: nn.Module, seed: int, spread: float) -> nn.Module:
    """Random statistics and affine parameters, over as many powers of ten as ``spread`` says."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(like: torch.Tensor, scale: float) -> torch.Tensor:
        return scale * torch.randn(like.shape, generator=generator, dtype=torch.float64)

    for module in model.modules():
        if isinstance(module, _BatchNorm):
            with torch.no_grad():
                module.running_mean.copy_(drawn(module.running_mean, 1.0))
                module.running_var.copy_(10 ** drawn(module.running_var, spread).clamp(-4, 4))
                module.weight.copy_(1 + drawn(module.weight, 0.5))
                module.bias.copy_(drawn(module.bias, 0.5))
    return model


def report() -> str:
    """The counts as JSON."""
    return json.dumps(dict(COUNTS), indent=2)
