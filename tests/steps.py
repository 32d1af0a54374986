"""One training step of a config's model, as a Runner does it, and what is to be seen of it."""

from functools import partial
from typing import Any, NamedTuple

import torch
from batches import classification_batch, detection_batch, segmentation_batch
from mmengine.config import Config
from mmengine.optim import OptimWrapper, build_optim_wrapper

BATCHES = dict(mmdet=detection_batch, mmseg=segmentation_batch, mmpretrain=classification_batch)
"""Functions that make a batch, by the default scope of a config."""

LOSSES = dict(
    MaskRCNN={'loss_cls', 'loss_bbox', 'loss_mask', 'loss_rpn_cls'},
    CascadeRCNN={f's{i}.loss_{kind}' for i in range(3) for kind in ('cls', 'bbox', 'mask')},
    EncoderDecoder={'decode.loss_ce'},
    ImageClassifier={'loss'},
    TimmClassifier={'loss'},
    DistilledClassifier={'loss', 'loss_distill'},
    SoftDistilledClassifier={'loss_distill'},
)
"""What each type of model has among its losses."""


class Step(NamedTuple):
    """A training step that was done."""

    losses: dict[str, torch.Tensor]
    wrapper: OptimWrapper
    unused: set[str]
    """Names of trainable parameters that got no gradient."""

    moved: bool
    """Whether the first trainable parameter, one of the backbone's stem, has changed."""


def train_one_step(model: Any, cfg: Config) -> Step:
    """Trains a model on a random batch with the optimizer of its config."""
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    unused = set(trainable)
    for name, parameter in trainable.items():
        parameter.register_hook(partial(lambda n, _: unused.discard(n), name))
    first = next(iter(trainable.values()))
    before = first.detach().clone()
    losses = model.train().train_step(BATCHES[cfg.default_scope](), wrapper)
    assert all(torch.isfinite(loss).all() for loss in losses.values()), losses
    return Step(losses, wrapper, unused, not torch.equal(before, first))


def check_groups(model: Any, optimizer: torch.optim.Optimizer) -> None:
    """Every parameter is in one group, and rates fall from the heads to the stem."""
    groups = optimizer.param_groups
    names = [name for group in groups for name in group['param_names']]
    assert sorted(names) == sorted(n for n, p in model.named_parameters() if p.requires_grad)
    rates = [group['lr'] for group in groups]
    assert rates == sorted(rates, reverse=True) and rates[0] == optimizer.defaults['lr']
    heads = [
        g['lr'] for g in groups for name in g['param_names'] if not name.startswith('backbone')
    ]
    assert set(heads) == {optimizer.defaults['lr']}
