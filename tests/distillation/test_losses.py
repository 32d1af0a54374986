"""The losses against their formulas, written out."""

import math

import pytest
import torch
from mmengine.registry import MODELS

from repnext_mm.distillation import (
    ChannelWiseDivergence,
    JensenShannonDivergence,
    SymmetricDivergence,
)

LOSSES = [ChannelWiseDivergence, JensenShannonDivergence, SymmetricDivergence]


def softmax(values: list[float], temperature: float) -> list[float]:
    powers = [math.exp(value / temperature) for value in values]
    return [power / sum(powers) for power in powers]


def kl(of: list[float], to: list[float]) -> float:
    return sum(p * math.log(p / q) for p, q in zip(of, to, strict=True))


def jensen_shannon(p: list[float], q: list[float]) -> float:
    middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    return (kl(p, middle) + kl(q, middle)) / 2


def symmetric(p: list[float], q: list[float]) -> float:
    return (kl(p, q) + kl(q, p)) / 2


@pytest.mark.parametrize('temperature', [1.0, 4.0])
@pytest.mark.parametrize(
    ('cls', 'formula'),
    [(JensenShannonDivergence, jensen_shannon), (SymmetricDivergence, symmetric)],
)
def test_soft_labels_are_compared_as_the_formula_says(cls, formula, temperature):
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 5, 7, dtype=torch.float64) * 3
    expected = [
        formula(softmax(own, temperature), softmax(other, temperature))
        for own, other in zip(student.tolist(), teacher.tolist(), strict=True)
    ]
    found = cls(temperature, loss_weight=2.0)(student, teacher)
    assert found.item() == pytest.approx(2 * temperature**2 * sum(expected) / 5, rel=1e-12)


@pytest.mark.parametrize('temperature', [1.0, 4.0])
def test_channels_are_compared_over_all_pixels(temperature):
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 2, 3, 4, 5, dtype=torch.float64) * 3
    expected = [
        kl(softmax(wanted, temperature), softmax(own, temperature))
        for own, wanted in zip(
            student.reshape(6, 20).tolist(), teacher.reshape(6, 20).tolist(), strict=True
        )
    ]
    found = ChannelWiseDivergence(temperature, loss_weight=0.5)(student, teacher)
    assert found.item() == pytest.approx(0.5 * temperature**2 * sum(expected) / 6, rel=1e-12)


@pytest.mark.parametrize('cls', LOSSES)
def test_equal_distributions_have_no_loss_and_gradients_reach_the_student_alone(cls):
    student, teacher = torch.randn(2, 2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    student.retain_grad()
    teacher.retain_grad()
    cls()(student, teacher).backward()
    assert student.grad.abs().sum() > 0 and teacher.grad is None
    # A softmax does not see a constant.
    assert cls()(teacher + 5, teacher).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize('cls', LOSSES)
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_full_and_stays_finite(cls, dtype):
    student, teacher = (torch.randn(2, 2, 3, 8, 8) * 20).to(dtype)
    found = cls()(student, teacher)
    assert found.dtype == torch.float32
    expected = cls()(student.double(), teacher.double())
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)


def test_distributions_of_a_single_class_do_not_overflow():
    certain = torch.tensor([[1e4, 0.0], [0.0, 1e4]])
    loss = JensenShannonDivergence()(certain, certain.flip(1))
    assert loss.item() == pytest.approx(math.log(2))


def test_losses_are_built_by_their_names():
    loss = MODELS.build(dict(type='repnext_mm.ChannelWiseDivergence', temperature=4, loss_weight=3))
    assert (loss.temperature, loss.loss_weight) == (4, 3) and 'temperature=4' in repr(loss)


@pytest.mark.parametrize(
    ('options', 'message'),
    [(dict(temperature=0), 'positive.*got 0'), (dict(loss_weight=-1), '0 or more, got -1')],
)
def test_bad_values_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        ChannelWiseDivergence(**options)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r'\(2, 3\) and \(2, 4\)'):
        JensenShannonDivergence()(torch.zeros(2, 3), torch.zeros(2, 4))
