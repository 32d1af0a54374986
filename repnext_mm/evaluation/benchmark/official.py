"""RepNeXt-M merged as its authors' code does it, to be compared with our ``fused`` form.

Their ``fuse`` (https://github.com/suous/RepNeXt, model/repnext.py) merges the branches of S and of
M and folds the batch norm behind a convolution into it. The batch norms between token mixer and
channel mixer stay, S and M stay two convolutions, and the features are split and joined around
them. Such a network exists here to be measured, and nothing else takes it.
"""

from torch import nn

from repnext_mm.networks.repnext_m import ConvNorm
from repnext_mm.networks.token_mixers import MediumMixer, SmallMixer
from repnext_mm.reparam import layers
from repnext_mm.trained import plain_copy


def has_official_form(model: nn.Module) -> bool:
    """Whether a model contains a RepNeXt-M in training form."""
    return any(isinstance(module, SmallMixer | MediumMixer) for module in model.modules())


def official_copy(model: nn.Module) -> nn.Module:
    """Copies a model and merges its RepNeXt-M as the authors' code does.

    Blocks and downsampling layers run the forward pass of their training form, with fewer layers
    in it. Without the primitives of :mod:`repnext_mm.reparam.primitives` that is what the authors'
    network computes in inference, operator by operator.

    Args:
        model: In training form; it stays as it is.

    Returns:
        The copy in evaluation mode, which computes the same.

    Raises:
        ValueError: If there is no RepNeXt-M in training form in it.
    """
    if not has_official_form(model):
        raise ValueError(
            "the form 'official' is of RepNeXt-M alone, and starts from its training form: "
            f'there is none in {type(model).__name__}'
        )
    copy = plain_copy(model)
    for parent in list(copy.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, ConvNorm):
                setattr(parent, name, child.merged_conv().build())
            elif isinstance(child, SmallMixer):
                setattr(parent, name, layers.build_conv(*child.kernel(), child.conv_3_3, [child]))
            elif isinstance(child, MediumMixer):
                setattr(parent, name, layers.build_conv(*child.kernel(), child.conv_7_7, [child]))
    return copy
