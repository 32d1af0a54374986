"""Features of modules named in a config, and how far those of a student are from a teacher's."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from mmengine.registry import MODELS as ROOT_MODELS
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves


@contextmanager
def recorded(model: nn.Module, names: Collection[str]) -> Iterator[dict[str, list[Tensor]]]:
    """Records the feature maps that modules put out, and leaves no hook behind.

    Args:
        model: Any model.
        names: Of its modules, such as ``'neck'`` or ``'decode_head.conv_seg'``.

    Yields:
        By name the tensors ``(N, C, H, W)``, in the order in which they came; more than one from
        modules with several outputs, and from those that run several times.

    Raises:
        ValueError: If there is no such module.
    """
    found: dict[str, list[Tensor]] = {name: [] for name in names}
    modules = {name: named_module(model, name) for name in names}
    handles = [
        module.register_forward_hook(partial(_keep, found[name]))
        for name, module in modules.items()
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _keep(found: list[Tensor], module: nn.Module, args: tuple, output: Any) -> None:
    found += [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor) and leaf.ndim == 4]


def named_module(model: nn.Module, name: str) -> nn.Module:
    """A module by its name in the model.

    Raises:
        ValueError: If there is none.
    """
    try:
        return model.get_submodule(name)
    except AttributeError:
        parent = name
        while parent not in dict(model.named_modules()):
            parent = parent.rpartition('.')[0]
        children = ', '.join(child for child, _ in model.get_submodule(parent).named_children())
        raise ValueError(
            f'{type(model).__name__} has no module {name!r} whose features could be compared: '
            f'{parent or "the model"} has {children or "no parts"}'
        ) from None


class Connector(nn.Conv2d):
    """A 1x1 convolution from a student's channels to a teacher's; needed in training only.

    It is in no state dict, so that a student's checkpoint is that of the student alone; see
    :class:`repnext_mm.hooks.ConnectorHook` for runs that are resumed.

    Args:
        in_channels: Channels of the student.
        out_channels: Channels of the teacher.
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(in_channels, out_channels, 1)

    def _save_to_state_dict(self, *args: Any) -> None:
        """Adds nothing."""

    def _load_from_state_dict(self, *args: Any) -> None:
        """Misses nothing."""


class FeatureLoss(nn.Module):
    """The loss between the features of a module of the student and one of the teacher.

    Args:
        module: Name of the student's module.
        teacher_module: Name of the teacher's. Defaults to the same.
        channels: For each feature map ``(student's, teacher's)`` channels; where they differ a
            :class:`Connector` takes the student's to the teacher's. Defaults to equal ones.
        loss: Config of a loss of ``(student, teacher)``, both ``(N, C, H, W)``, whose value
            is a scalar. Defaults to :class:`repnext_mm.distillation.ChannelWiseDivergence`.
    """

    def __init__(
        self,
        module: str,
        teacher_module: str | None = None,
        channels: Sequence[Sequence[int]] | None = None,
        loss: dict[str, Any] = {'type': 'repnext_mm.ChannelWiseDivergence'},  # noqa: B006 (read only)
    ):
        super().__init__()
        self.module = module
        self.teacher_module = teacher_module or module
        self.loss = ROOT_MODELS.build(dict(loss))
        self.connectors: nn.ModuleList | None = None
        if channels is not None:
            self.connectors = nn.ModuleList(
                nn.Identity() if own == other else Connector(own, other) for own, other in channels
            )

    @property
    def name(self) -> str:
        """The name of the loss in logs, such as ``'loss_distill_neck'``."""
        return f'loss_distill_{self.module.replace(".", "_")}'

    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> list[Tensor]:
        """Computes the loss of each feature map.

        Args:
            student: What the student's module has put out, ``(N, C, H, W)`` each.
            teacher: What the teacher's has.

        Raises:
            ValueError: If they do not fit each other; the message says why and what to do.
        """
        self._check(student, teacher)
        connectors = self.connectors or [nn.Identity()] * len(student)
        losses = []
        for index, (own, other, connect) in enumerate(
            zip(student, teacher, connectors, strict=True)
        ):
            connected = connect(own)
            self._check_shapes(index, connected, other)
            losses.append(self.loss(connected, other))
        return losses

    def _check(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> None:
        for whose, name, maps in (
            ('student', self.module, student),
            ('teacher', self.teacher_module, teacher),
        ):
            if not maps:
                raise ValueError(
                    f"the {whose}'s module {name!r} has put out no feature map (N, C, H, W): it "
                    'did not run, or not as a module. Heads of mmdet and mmseg are no places for '
                    "that, their layers are: 'decode_head.conv_seg' instead of 'decode_head'"
                )
        if len(student) != len(teacher):
            raise ValueError(
                f"the student's {self.module!r} puts out {len(student)} feature maps, the "
                f"teacher's {self.teacher_module!r} {len(teacher)}: name modules with equally many"
            )
        if self.connectors is not None and len(self.connectors) != len(student):
            raise ValueError(
                f'channels of {self.module!r} must have one pair for each of the {len(student)} '
                f'feature maps, got {len(self.connectors)}'
            )
        if torch.is_grad_enabled() and not any(own.requires_grad for own in student):
            raise ValueError(
                f"no gradient leads through the student's {self.module!r}: it is frozen, or a "
                'part that is recomputed (with_cp); name a module behind it'
            )

    def _check_shapes(self, index: int, student: Tensor, teacher: Tensor) -> None:
        if student.shape == teacher.shape:
            return
        pair = (student.shape[1], teacher.shape[1])
        remedy = (
            f'give channels=[...] with {pair} for this map'
            if pair[0] != pair[1]
            else 'name modules of the same stride; nothing is resized, since the loss compares '
            'distributions over pixels'
        )
        raise ValueError(
            f"feature map {index} of the student's {self.module!r} is {tuple(student.shape)}, that "
            f"of the teacher's {self.teacher_module!r} {tuple(teacher.shape)}: {remedy}"
        )
