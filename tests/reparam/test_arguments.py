"""Nonsense is refused by name, with the values that are allowed."""

import numpy
import pytest
import torch
from helpers import slim
from torch import nn

from repnext_mm import models, networks, reparameterize_model
from repnext_mm.networks import RepNeXtClassifier

NETWORKS = (networks.RepNeXt, models.RepNeXt)


@pytest.mark.parametrize('network', NETWORKS, ids=['torch', 'openmmlab'])
@pytest.mark.parametrize(
    ('options', 'error', 'problem'),
    [
        (dict(in_channels=0), ValueError, 'in_channels must be 1 or more, got 0'),
        (dict(in_channels='3'), TypeError, "in_channels must be a whole number.*got '3'"),
        (dict(in_channels=2.5), TypeError, 'in_channels must be a whole number.*got 2.5'),
        (dict(in_channels=True), TypeError, 'in_channels must be a whole number.*got True'),
        (dict(drop_path_rate='0.1'), TypeError, r"must be a number in \[0, 1\), got '0.1'"),
        (dict(drop_path_rate=None), TypeError, r'must be a number in \[0, 1\), got None'),
        (dict(drop_path_rate=1.0), ValueError, r'must lie in \[0, 1\), got 1.0'),
        (dict(drop_path_rate=float('nan')), ValueError, r'must lie in \[0, 1\), got nan'),
        (
            dict(out_indices='0123'),
            TypeError,
            "must be whole numbers, stages of 0 to 3, got '0123'",
        ),
        (dict(out_indices=1.5), TypeError, 'must be whole numbers.*got 1.5'),
        (dict(out_indices=(0, '1')), TypeError, 'must be whole numbers.*'),
        (dict(out_indices=None), TypeError, 'must be whole numbers.*got None'),
        (dict(out_indices=(0, 4)), ValueError, '0 to 3, got'),
        (dict(out_indices=()), ValueError, '0 to 3, got'),
        (dict(with_cp='no'), TypeError, "with_cp must be True or False, got 'no'"),
        (dict(allow_partial_load='False'), TypeError, 'allow_partial_load must be True or False'),
        (dict(finetune_deployed=2), TypeError, 'finetune_deployed must be True or False, got 2'),
        (dict(merge_frozen_norms=None), TypeError, 'merge_frozen_norms must be True or False'),
        (dict(arch=['m0']), TypeError, r"arch must be a name or a dict, got \['m0'\]"),
        (dict(arch=dict(channels=8, depths=1)), ValueError, 'one positive int per stage each'),
        (dict(arch=dict(channels='12', depths='11')), ValueError, 'one positive int per stage'),
        (dict(arch=dict(channels=[8.0], depths=[1])), ValueError, 'one positive int per stage'),
        (dict(arch=dict(channels=[8], depths=[True])), ValueError, 'one positive int per stage'),
        (dict(arch=dict(slim(), variant=['m0'])), ValueError, "variant \\['m0'\\]"),
        (dict(arch=dict(slim(), hidden_channels=5)), ValueError, "'hidden_channels' needs"),
        (dict(arch=dict(slim(), hidden_channels=[5])), ValueError, "'hidden_channels' needs"),
    ],
    ids=str,
)
def test_backbones_name_the_argument_and_what_is_allowed(network, options, error, problem):
    with pytest.raises(error, match=problem):
        network(**(dict(arch=slim()) | options))


@pytest.mark.parametrize(
    ('options', 'error', 'problem'),
    [
        (
            dict(frozen_stages='1'),
            TypeError,
            "frozen_stages.*whole number, between -1 and 4, got '1'",
        ),
        (dict(frozen_stages=1.0), TypeError, 'frozen_stages.*whole number'),
        (dict(frozen_stages=5), ValueError, 'frozen_stages.*between -1 and 4, got 5'),
        (dict(norm_eval='True'), TypeError, "norm_eval must be True or False, got 'True'"),
        (dict(deploy='merged'), ValueError, "unknown deploy 'merged': choose None or one of"),
    ],
    ids=str,
)
def test_openmmlab_s_arguments_are_checked_too(options, error, problem):
    with pytest.raises(error, match=problem):
        models.RepNeXt(slim(), **options)


@pytest.mark.parametrize(
    ('options', 'error', 'problem'),
    [
        (dict(num_classes=-1), ValueError, 'num_classes must be 0 or more, got -1'),
        (dict(num_classes='10'), TypeError, 'num_classes must be a whole number'),
        (dict(norm_layer='BN'), TypeError, "norm_layer must build a layer .* got 'BN'"),
        (dict(initialize='no'), TypeError, 'initialize must be True or False'),
        (dict(form=3), ValueError, 'unknown form 3: choose from'),
    ],
    ids=str,
)
def test_classifiers_name_theirs(options, error, problem):
    with pytest.raises(error, match=problem):
        RepNeXtClassifier(slim(), **options)


@pytest.mark.parametrize(
    ('model', 'options', 'error', 'problem'),
    [
        (None, {}, TypeError, 'model must be a torch.nn.Module, got NoneType'),
        ({'a': torch.ones(1)}, {}, TypeError, 'model must be a torch.nn.Module, got dict'),
        (nn.Identity, {}, TypeError, 'model must be a torch.nn.Module, got type'),
        (nn.ReLU().eval(), dict(inplace='False'), TypeError, 'inplace must be True or False'),
        (nn.ReLU().eval(), dict(fold_conv_bn=None), TypeError, 'fold_conv_bn must be True or'),
        (nn.ReLU().eval(), dict(form=None), ValueError, 'unknown form None'),
        (nn.ReLU().eval(), dict(form=['fused']), ValueError, r"unknown form \['fused'\]"),
        (nn.ReLU(), {}, ValueError, r'call model.eval\(\) first'),
    ],
    ids=str,
)
def test_merging_names_what_it_takes(model, options, error, problem):
    with pytest.raises(error, match=problem):
        reparameterize_model(model, **options)


def test_numbers_of_other_libraries_are_numbers():
    network = networks.RepNeXt(
        slim(),
        in_channels=numpy.int64(3),
        out_indices=[numpy.int64(0), -1],
        drop_path_rate=numpy.float32(0.5),
        with_cp=numpy.bool_(True),
        merge_frozen_norms=1,
    ).eval()
    assert len(network(torch.ones(1, 3, 32, 32))) == 2
