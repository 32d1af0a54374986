"""The choice of the fastest form and layout: by time, the first of equals, and what is kept."""

import json

import pytest
import torch
from helpers import assert_close, randomize, slim
from torch import nn

from repnext_mm import timing
from repnext_mm.models import RepNeXt
from repnext_mm.reparam import fastest
from repnext_mm.reparam.fastest import arranged, fastest_form, forms_to_try
from repnext_mm.trained import merged_copy


def is_channels_last(model: nn.Module) -> bool:
    weight = next(
        m.weight for m in model.modules() if isinstance(m, nn.Conv2d) and m.in_channels > 1
    )
    return weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()


def network() -> RepNeXt:
    return randomize(RepNeXt(slim())).eval()


@pytest.fixture
def choose(monkeypatch):
    """The choice if a candidate takes as long as a function says of its form and layout."""
    monkeypatch.setattr(timing, '_seconds', lambda run, arguments, pause: run(*arguments))

    def chosen(seconds, **options):
        model = network()
        return fastest_form(
            model,
            lambda form: merged_copy(model, form),
            lambda merged: seconds(merged.form, is_channels_last(merged)),
            **options,
        )

    return chosen


@pytest.mark.parametrize(
    ('seconds', 'expected'),
    [
        (lambda form, last: 0.012 if form == 'fused' else 0.01, ('plain', 'as-is')),
        (lambda form, last: 0.011 if last else 0.02, ('fused', 'channels-last')),
        (
            lambda form, last: 0.011 if form == 'plain' and last else 0.02,
            ('plain', 'channels-last'),
        ),
        (lambda form, last: 0.013, ('fused', 'as-is')),
    ],
)
def test_fastest_candidate_is_chosen_and_the_first_of_equals(seconds, expected, choose):
    choice = choose(seconds)
    assert (choice.form, choice.layout) == expected
    assert list(choice.milliseconds) == [
        'fused', 'fused, channels-last', 'plain', 'plain, channels-last'
    ]  # fmt: skip
    assert choice.milliseconds['plain'] == 1000 * seconds('plain', False)


def test_choice_keeps_what_it_holds_for(choose):
    choice = choose(lambda form, last: 0.01, layouts=['as-is'], shape=[1, 3, 8, 8])
    entries = json.loads(json.dumps(choice.to_json()))
    assert entries['form'] == choice.form and set(entries['milliseconds']) == {'fused', 'plain'}
    assert entries['target']['shape'] == [1, 3, 8, 8]
    assert entries['target']['device'].startswith('cpu, ')
    assert entries['target']['precision'] == 'float32'
    assert entries['target']['threads'] == torch.get_num_threads()
    assert choice.form in str(choice)


def test_a_model_without_branches_has_one_form_to_try():
    assert forms_to_try(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))) == ('fused',)
    assert forms_to_try(network()) == ('fused', 'plain')
    assert forms_to_try(RepNeXt('m0')) == ('fused',)


@pytest.mark.parametrize('form', ['fused', 'plain'])
@pytest.mark.parametrize('layout', fastest.LAYOUTS)
def test_every_candidate_computes_the_same(form, layout):
    model, image = network(), torch.randn(2, 3, 33, 47)
    merged = arranged(merged_copy(model, form), layout)
    with torch.no_grad():
        for actual, expected in zip(merged(image), model(image), strict=True):
            assert_close(actual, expected, 1e-5)


def test_merged_copy_takes_the_choice(monkeypatch):
    monkeypatch.setattr(fastest, 'fastest', lambda timings: 'plain, channels-last')
    merged = merged_copy(network(), 'auto', shape=(1, 3, 32, 32))
    assert merged.form == 'plain' and is_channels_last(merged)


def test_what_cannot_be_chosen_is_refused(choose):
    model = network()
    with pytest.raises(ValueError, match=r'give it as well, such as shape=\(1, 3, 800, 1216\)'):
        merged_copy(model, 'auto')
    with pytest.raises(ValueError, match='use merged_copy, ReparameterizeHook or the tools'):
        model.switch_to_deploy('auto')
    with pytest.raises(ValueError, match="unknown layout 'NHWC'"):
        arranged(model, 'NHWC')
    with pytest.raises(ValueError, match='nothing to choose from'):
        choose(lambda form, last: 0.01, layouts=[])
