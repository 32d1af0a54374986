"""Any network of any family on images of any size: shapes, forms, and what must not change."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from fuzzing import budget, counted, draw_statistics, json_values, options, sizes
from helpers import M_ARCHS, assert_same_state, state_of
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from repnext_mm import reparameterize_model
from repnext_mm.border import is_foreseen
from repnext_mm.models import RepNeXt
from repnext_mm.reparam import inference_forms

LAYOUTS = (torch.contiguous_format, torch.channels_last)
TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-3}
DTYPES = (*TOLERANCES, torch.bfloat16)
SMALLEST = 1e-6
"""Magnitude below which features count as zero."""

seeds = st.integers(0, 2**31 - 1)
ONE_PIXEL = dict(arch=dict(channels=[4, 8], depths=[1, 1], variant='m0'), out_indices=(1,))


def sides(side: int, index: int, variant: str) -> int:
    """A side of a stage's features, as promised: RepNeXt-T rounds down, RepNeXt-M up."""
    if variant not in M_ARCHS:
        return side // 2 ** (index + 2)
    for _ in range(index + 2):
        side = math.ceil(side / 2)
    return side


def difference(candidate: Tensor, reference: Tensor) -> float:
    """Maximum difference relative to the largest feature."""
    largest = max(reference.abs().max().item(), SMALLEST)
    return (candidate - reference).abs().max().item() / largest


@budget(12)
@given(
    options(), sizes, sizes, st.sampled_from(LAYOUTS), st.sampled_from(DTYPES), seeds,
    st.floats(0, 0.5),
)  # fmt: skip
@example(ONE_PIXEL, 1, 1, LAYOUTS[0], torch.float64, 0, 0.0)
@example(ONE_PIXEL, 257, 31, LAYOUTS[1], torch.float64, 1, 0.5)
def test_shapes_are_as_promised_and_forms_are_equal(
    given, height, width, layout, dtype, seed, spread
):
    counted('networks')
    torch.manual_seed(seed)
    model = draw_statistics(RepNeXt(**given), seed, spread).to(dtype).eval()
    model = model.to(memory_format=layout)
    image = torch.randn((1, model.in_channels, height, width)).to(dtype)
    image = image.contiguous(memory_format=layout)
    variant = given['arch']['variant']
    promised = [
        (1, model.channels[i], sides(height, i, variant), sides(width, i, variant))
        for i in model.out_indices
    ]
    state, pixels = state_of(model), image.clone()
    with torch.no_grad():
        if min(map(min, promised)) < 1:
            with pytest.raises(RuntimeError):
                model(image)
            return
        reference = model(image)
        assert [tuple(features.shape) for features in reference] == promised
        assert {features.dtype for features in reference} == {dtype}
        for form in inference_forms(model):
            merged = reparameterize_model(model, form)(image)
            for candidate, features in zip(merged, reference, strict=True):
                assert candidate.shape == features.shape and candidate.dtype == dtype
                if dtype in TOLERANCES:
                    assert difference(candidate, features) <= TOLERANCES[dtype]
    assert_same_state(model, state)
    assert torch.equal(image, pixels)


@budget(4)
@given(options(), seeds)
def test_what_is_frozen_stays_and_the_rest_learns(given, seed):
    counted('training')
    torch.manual_seed(seed)
    given = given | dict(drop_path_rate=0.0)
    model = RepNeXt(**given).train()
    side = 2 ** (max(model.out_indices) + 3)
    frozen = [model.stem, *model.stages[: given['frozen_stages']]]
    frozen = [] if given['frozen_stages'] < 0 else frozen
    before = [state_of(module) for module in frozen]
    held = {id(parameter) for module in frozen for parameter in module.parameters()}
    outputs = model(torch.randn(2, model.in_channels, side, side))
    if any(output.requires_grad for output in outputs):
        sum(output.square().sum() for output in outputs).backward()
    for module, state in zip(frozen, before, strict=True):
        assert_same_state(module, state)
    for parameter in model.parameters():
        assert parameter.requires_grad == (id(parameter) not in held)
        assert id(parameter) not in held or parameter.grad is None
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if given['norm_eval']:
        assert not any(norm.training for norm in norms)


ARGUMENTS = (
    'arch', 'in_channels', 'out_indices', 'frozen_stages', 'drop_path_rate', 'deploy',
)  # fmt: skip
small = dict(channels=[4, 8], depths=[1, 1])
odd_archs = st.dictionaries(
    st.sampled_from(('channels', 'depths', 'variant', 'hidden_channels', 'input_channels', 'x')),
    st.lists(st.integers(-1, 8) | st.booleans(), max_size=3) | json_values,
    max_size=4,
)


def raised_by_us(call: Callable[[], Any]) -> bool:
    """Whether a call ends well, or with an error that somebody wrote for the user."""
    try:
        call()
    except (ValueError, TypeError) as error:
        return is_foreseen(error)
    return True


@budget(60)
@given(st.sampled_from(ARGUMENTS), odd_archs | json_values.filter(lambda v: not is_huge(v)))
def test_nonsense_is_refused_by_us(name, value):
    counted('arguments')
    given = dict(arch=small, out_indices=(0, 1)) | {name: value}
    with torch.device('meta'):
        assert raised_by_us(lambda: RepNeXt(**given)), (name, value)


@budget(15)
@given(st.text(max_size=6) | json_values)
def test_merging_to_nonsense_is_refused_by_us(form):
    counted('forms')
    with torch.device('meta'):
        model = RepNeXt(small, out_indices=(0, 1)).eval()
    assert raised_by_us(lambda: reparameterize_model(model, form)), form


def is_huge(value: object) -> bool:
    """Whether a number asks for a network that is too large to be built here."""
    return isinstance(value, int | float) and value > 1000
