"""Files that hold something else than a checkpoint, and what is said of them."""

import os

import pytest
import safetensors.torch
import torch
from helpers import backbone, slim

from repnext_mm.checkpoints.contents import check_content
from repnext_mm.checkpoints.files import load_from_local
from repnext_mm.compat import forbid_code_in_checkpoints
from repnext_mm.compat.checkpoints import SAFE, UNSAFE

WEIGHT = {'conv.weight': torch.ones(1)}
NAME = 'stages.0.blocks.0.token_mixer.conv_l.weight'

ODD = {
    'a list': ([WEIGHT], 'is no checkpoint: it holds a list'),
    'a tensor': (torch.ones(2), 'is no checkpoint: it holds a Tensor'),
    'a number': (3, 'is no checkpoint: it holds an int'),
    'nothing': (None, 'is no checkpoint: it holds nothing'),
    'an empty dict': ({}, 'holds no weights: it is empty'),
    'numbers': (dict(epoch=3, lr=0.1), r"holds no weights: it has 'epoch' \(an int\), 'lr'"),
    'another wrapper': (dict(net=WEIGHT), r"holds no weights: it has 'net' \(a dict\)"),
    'a list of weights': (dict(state_dict=[1]), "under 'state_dict' it has a list"),
    'no weights': (dict(state_dict=None), "under 'state_dict' it has nothing"),
    'empty weights': (dict(state_dict={}), r"holds no weights: it has 'state_dict' \(a dict\)"),
    'numbered entries': ({0: torch.ones(1)}, 'names an entry 0, which is no text'),
    'a list as an entry': (
        dict(state_dict={NAME: torch.ones(1), 'stem.x': [1.0]}),
        "is damaged: it has a list as 'stem.x', in the place of a tensor",
    ),
    'metadata in a list': (dict(state_dict=WEIGHT, meta=['a']), "a list under 'meta'"),
    'a text as dataset': (
        dict(state_dict=WEIGHT, meta=dict(dataset_meta='coco')),
        "a text under 'dataset_meta'",
    ),
    'a number as classes': (
        dict(state_dict=WEIGHT, meta=dict(dataset_meta=dict(classes=80))),
        'classes is 80, no list of names',
    ),
    'a text as old classes': (
        dict(state_dict=WEIGHT, meta=dict(CLASSES='cat')),
        "CLASSES is 'cat'",
    ),
}


@pytest.mark.distribution
@pytest.mark.parametrize('name', ODD)
def test_a_file_that_is_something_else_says_what_it_is_and_is_not(name, tmp_path):
    content, message = ODD[name]
    torch.save(content, tmp_path / 'odd.pth')
    with pytest.raises(ValueError, match=rf'odd\.pth .*{message}.* A checkpoint is a dict of'):
        load_from_local(str(tmp_path / 'odd.pth'))


@pytest.mark.parametrize(
    'content',
    [
        WEIGHT,
        dict(state_dict=WEIGHT, meta=None),
        dict(state_dict=WEIGHT, meta=dict(dataset_meta=dict(classes=('a', 'b')), epoch=3)),
        dict(model=WEIGHT, optimizer=dict(lr=1)),
        dict(state_dict={NAME: torch.ones(1), 'head._extra_state': None}),
        {**WEIGHT, 'epoch': 3},
    ],
    ids=['bare', 'no_meta', 'dataset', 'official', 'extra_state', 'mixed'],
)
def test_whatever_can_be_loaded_is_a_checkpoint(content):
    check_content(content, 'good.pth')


def test_metadata_of_safetensors_that_are_no_json_name_the_file(tmp_path):
    safetensors.torch.save_file(WEIGHT, tmp_path / 'odd.safetensors', {'meta': '{"arch": '})
    with pytest.raises(ValueError, match=r'odd\.safetensors cannot be loaded \('):
        load_from_local(str(tmp_path / 'odd.safetensors'))


@pytest.mark.distribution
@pytest.mark.parametrize(
    ('safe', 'loads'), [(None, False), ('1', False), ('0', True)], ids=['unset', 'safe', 'trusted']
)
def test_an_environment_that_lets_code_run_does_not_make_good_files_bad(
    safe, loads, tmp_path, monkeypatch
):
    monkeypatch.setenv(UNSAFE, '1')
    if safe is not None:
        monkeypatch.setenv(SAFE, safe)
    torch.save(dict(state_dict=backbone(slim()).state_dict()), tmp_path / 'good.pth')
    forbid_code_in_checkpoints()
    assert (UNSAFE in os.environ) == loads
    if not loads:
        assert os.environ[SAFE] == '1'
        assert len(load_from_local(str(tmp_path / 'good.pth'))['state_dict']) > 10
