"""RepNeXt-T's block in the form ``'plain'``: convolutions and ReLU in a row, without residual."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from repnext_mm.deprecation import renamed_argument
from repnext_mm.reparam import Reparameterizable, kernels, layers
from repnext_mm.reparam.primitives import ConvSequential

UNIT_SIZE = 7
"""Height and width of the kernel that the branches of a block become."""


class PlainBlock(ConvSequential, Reparameterizable):
    """The block as three convolutions in a row, without residual.

    The input passes beside the branch on channels of its own. That is exact because
    it is not negative: the ReLU in between leaves it as it is.

    Args:
        mixer: Grouped 7x7 convolution, C to 2C.
        expand: 1x1 convolution, 2C to 5C.
        project: 1x1 convolution, 5C to C.
    """

    mixer: nn.Conv2d
    expand: nn.Conv2d
    project: nn.Conv2d
    form = 'plain'
    forms = ('plain',)

    def __init__(self, mixer: nn.Conv2d, expand: nn.Conv2d, project: nn.Conv2d):
        super().__init__(
            OrderedDict(mixer=mixer, expand=expand, act1=nn.ReLU(), project=project, act2=nn.ReLU())
        )

    @classmethod
    def from_residual(cls, mixer: nn.Conv2d, expand: nn.Conv2d, project: nn.Conv2d) -> 'PlainBlock':
        """Builds it from the three convolutions of a fused :class:`Block`."""
        widened = (
            (kernels.carry_input_depthwise, mixer),
            (kernels.carry_input_expand, expand),
            (kernels.carry_input_project, project),
        )
        return cls(
            *(
                layers.build_conv(*widen(*layers.conv_weights(conv)), conv)
                for widen, conv in widened
            )
        ).eval()

    @classmethod
    def of_widths(
        cls, in_channels: int, hidden_channels: int, channels: int, dilation: int = 1
    ) -> 'PlainBlock':
        """A block of any three widths, as pruning leaves them; its weights are torch's own."""
        mixer = nn.Conv2d(
            in_channels,
            2 * in_channels,
            UNIT_SIZE,
            padding=dilation * (UNIT_SIZE // 2),
            dilation=dilation,
            groups=in_channels,
        )
        expand = nn.Conv2d(2 * in_channels, hidden_channels, 1)
        return cls(mixer, expand, nn.Conv2d(hidden_channels, channels, 1)).eval()

    def divided(self) -> 'DividedPlainBlock':
        """An equal block of depthwise and pointwise convolutions alone."""
        mixer, expand = self.mixer, self.expand
        weight, bias = layers.conv_weights(mixer)
        mixed, carried = (
            layers.build_conv(weight[part::2], bias[part::2], mixer) for part in range(2)
        )
        weight, bias = layers.conv_weights(expand)
        weight = torch.cat((weight[:, ::2], weight[:, 1::2]), dim=1)
        expand = layers.build_conv(weight, bias, expand)
        return DividedPlainBlock(mixed, carried, expand, self.project).eval()

    @renamed_argument('mode', 'form')
    def merged(self, form: str) -> nn.Module:
        raise NotImplementedError('it has its only form already')


class DividedPlainBlock(nn.Module):
    """:class:`PlainBlock` with two depthwise convolutions in the place of the grouped one.

    The grouped convolution puts out two channels for each that it reads, next to each other.
    Tools that follow channels through a network, such as those that prune, know depthwise
    convolutions and concatenation, and not this.

    Args:
        mixed: Depthwise 7x7 convolution, C to C: the even channels of the grouped one.
        carried: Depthwise 7x7 convolution, C to C: the odd ones, which pass the input on.
        expand: 1x1 convolution that reads the outputs of ``mixed``, then those of ``carried``.
        project: 1x1 convolution.
    """

    form = 'plain'

    def __init__(self, mixed: nn.Conv2d, carried: nn.Conv2d, expand: nn.Conv2d, project: nn.Conv2d):
        super().__init__()
        self.mixed = mixed
        self.carried = carried
        self.expand = expand
        self.project = project
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(N, C_in, H, W)`` to ``(N, C, H, W)``."""
        y = torch.cat((self.mixed(x), self.carried(x)), dim=1)
        return self.act(self.project(self.act(self.expand(y))))

    def united(self) -> PlainBlock:
        """The block as a :class:`PlainBlock`."""
        pairs = [layers.conv_weights(conv) for conv in (self.mixed, self.carried)]
        weight, bias = (
            torch.stack(values, dim=1).flatten(0, 1) for values in zip(*pairs, strict=True)
        )
        mixer = layers.build_conv(weight, bias, self.mixed)
        weight, bias = layers.conv_weights(self.expand)
        woven = torch.stack(weight.chunk(2, dim=1), dim=2).flatten(1, 2)
        expand = layers.build_conv(woven, bias, self.expand)
        return PlainBlock(mixer, expand, self.project).eval()
