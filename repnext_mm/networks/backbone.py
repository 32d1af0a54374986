"""The RepNeXt backbone, the same for every family, in torch alone."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from repnext_mm.deprecation import renamed_argument
from repnext_mm.networks import layouts
from repnext_mm.networks.architectures import ARCHITECTURES, resolve_architecture
from repnext_mm.networks.family import NormLayer
from repnext_mm.networks.scripting import Traced, scriptable
from repnext_mm.networks.stage import Stage
from repnext_mm.networks.strides import check_output_stride, stage_geometries
from repnext_mm.reparam import TRAINING, FormAware
from repnext_mm.reparam.arguments import are_whole, check_rate, check_switches, check_whole
from repnext_mm.reparam.forms import check_form, form_name
from repnext_mm.reparam.live import run_merged_while_frozen
from repnext_mm.reparam.primitives import are_maps_unseen


class RepNeXt(FormAware):
    """RepNeXt backbone.

    It trains with parallel branches and can be merged, exactly, into a network
    with fewer and simpler operations: see :func:`repnext_mm.reparameterize_model`.
    Stages after the last of ``out_indices`` are not built, so that no parameter
    stays without gradient.

    It loads official RepNeXt-M checkpoints as they are, and those of every form that
    can become its own; see :class:`repnext_mm.reparam.FormAware`.

    Args:
        arch: A name from ``RepNeXt.arch_settings``, or a dict with ``channels``,
            ``depths`` and optionally ``variant``, the name of the architecture whose
            kind of layers it uses; see
            :func:`repnext_mm.networks.architectures.resolve_architecture`, also for the widths
            of a pruned network. Defaults to ``'tiny'``.
        in_channels: Channels of the input image.
        out_indices: The stages whose outputs are returned, counted from 0;
            negative ones count from the last.
        drop_path_rate: Stochastic depth; the rate grows linearly from 0 in the
            first block to this in the last.
        with_cp: Save memory by recomputing activations in the backward pass.
        norm_layer: Builds a normalization layer for a number of channels. Merging needs
            a batch norm.
        form: ``'training'``; ``'fused'`` or ``'plain'`` builds that inference form directly.
            A checkpoint of the training form is merged on its way in.
        allow_partial_load: Load what fits of a checkpoint in which entries are missing,
            foreign or of another shape, instead of an error.
        finetune_deployed: Let a merged network be trained, instead of an error.
        initialize: Draw the family's initial weights, in training form. Otherwise the weights
            are those that torch's layers draw, to be loaded or initialized later.
        merge_frozen_norms: While training, run every block whose batch norms are all in
            evaluation mode with merged kernels, computed anew in each forward pass. Outputs and
            gradients of all parameters are the same, for less time and memory.
        output_stride: The largest stride of a feature map, 8, 16 or 32; None for the published
            ones, which are 4, 8, 16, 32. Stages that would have a larger one read their input with
            dilation instead. The same checkpoints fit, and at every second pixel (or fourth) such
            a stage computes what it computes without.

    Raises:
        ValueError: If a value is not among the allowed ones; the message lists them.
        TypeError: If a value has another type; the message says which.

    Examples:
        >>> import torch
        >>> from repnext_mm.networks import RepNeXt
        >>> backbone = RepNeXt('m0').eval()
        >>> [tuple(features.shape) for features in backbone(torch.rand(1, 3, 64, 64))]
        [(1, 40, 16, 16), (1, 80, 8, 8), (1, 160, 4, 4), (1, 320, 2, 2)]
        >>> backbone.switch_to_deploy()
        >>> backbone.form
        'fused'
    """

    arch_settings = ARCHITECTURES

    def __init__(
        self,
        arch: str | dict = 'tiny',
        in_channels: int = 3,
        out_indices: Sequence[int] | int = (0, 1, 2, 3),
        drop_path_rate: float = 0.0,
        with_cp: bool = False,
        norm_layer: NormLayer = nn.BatchNorm2d,
        form: str = TRAINING,
        allow_partial_load: bool = False,
        finetune_deployed: bool = False,
        initialize: bool = True,
        merge_frozen_norms: bool = False,
        output_stride: int | None = None,
    ):
        super().__init__()
        self.architecture = resolve_architecture(arch)
        self.family, self.channels, self.depths = self.architecture[:3]
        check_form(form)
        check_whole('in_channels', in_channels, 1)
        check_output_stride(output_stride)
        check_rate('drop_path_rate', drop_path_rate)
        check_switches(
            with_cp=with_cp,
            allow_partial_load=allow_partial_load,
            finetune_deployed=finetune_deployed,
            initialize=initialize,
            merge_frozen_norms=merge_frozen_norms,
        )
        if not callable(norm_layer):
            raise TypeError(f'norm_layer must build a layer for a number, got {norm_layer!r}')
        if self.architecture.input_channels and form != 'plain':
            raise ValueError(
                f"a network with 'input_channels' was pruned in the form 'plain' and has no other, "
                f'got {form!r}: build it with {self.argument_for("plain")}'
            )
        self.out_indices = _resolve_out_indices(out_indices, len(self.depths))
        self.allow_partial_load = allow_partial_load
        self.finetune_deployed = finetune_deployed
        self.arch = arch
        self.in_channels = in_channels
        self.norm_layer = norm_layer
        self.output_stride = output_stride
        self.geometries = tuple(stage_geometries(len(self.depths), output_stride))

        self.stem = self._build_entry(0)
        self.stages = nn.Sequential(*self._build_stages(drop_path_rate, with_cp))
        self.merge_frozen_norms = merge_frozen_norms
        self.train()
        if form != TRAINING:
            self.eval()
            self.switch_to_deploy(form)
        elif initialize:
            self.initialize()

    def _build_stages(self, drop_path_rate: float, with_cp: bool) -> Iterator[Stage]:
        """Yields the stages up to the last of ``out_indices``."""
        rates = iter(torch.linspace(0, drop_path_rate, sum(self.depths), device='cpu').tolist())
        for index in range(max(self.out_indices) + 1):
            downsample = self._build_entry(index) if index else None
            blocks = [
                self._build_block(index, number, next(rates))
                for number in range(self.depths[index])
            ]
            yield Stage(downsample, blocks, with_cp)

    def _build_entry(self, stage: int) -> nn.Module:
        """The stem, or the downsampling layer before a later stage, in training form."""
        inputs = self.architecture.input_channels
        channels = inputs[stage][0] if inputs else self.channels[stage]
        hidden = self._hidden_channels(stage, -1) if self.family.hidden_in_entries else ()
        if stage == 0:
            return self.family.build_stem(self.in_channels, channels, self.norm_layer, *hidden)
        before, geometry = self.channels[stage - 1], self.geometries[stage]
        spread: dict[str, int] = {}
        if geometry.entry_stride == 1:
            spread = dict(stride=1, dilation=geometry.entry_dilation)
        return self.family.build_downsample(before, channels, self.norm_layer, *hidden, **spread)

    def _build_block(self, stage: int, number: int, drop_path_rate: float) -> nn.Module:
        """A block in training form; of a network pruned in the form ``'plain'``, in that."""
        hidden, inputs = self._hidden_channels(stage, number), self.architecture.input_channels
        arguments: tuple[Any, ...] = self.channels[stage], drop_path_rate, self.norm_layer, *hidden
        build = self.family.build_block
        if inputs is not None:
            widths = *inputs[stage], self.channels[stage]
            assert self.family.build_plain_block is not None  # resolve_architecture made sure
            build = self.family.build_plain_block
            arguments = widths[number], *hidden, widths[number + 1]
        dilation = self.geometries[stage].dilation
        return build(*arguments, **(dict(dilation=dilation) if dilation > 1 else {}))

    def _hidden_channels(self, stage: int, number: int) -> tuple[int, ...]:
        """The width inside a block, or with -1 inside the layer before the stage's blocks.

        Empty if it is the family's own.
        """
        widths = self.architecture.hidden_channels
        if widths is None:
            return ()
        return (widths[stage][number + int(self.family.hidden_in_entries)],)

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels of the image per pixel of the feature map, for each stage."""
        return tuple(geometry.output_stride for geometry in self.geometries)

    def initialize(self) -> None:
        """Draws the family's initial weights; for the training form."""
        self.apply(self.family.initialize)

    def train(self, mode: bool = True) -> 'RepNeXt':
        """Sets the mode; ``merge_frozen_norms`` holds in training only."""
        super().train(mode)
        run_merged_while_frozen(self, self.merge_frozen_norms and mode)
        return self

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Extracts features.

        Args:
            x: Image batch, ``(N, in_channels, H, W)``.

        Returns:
            For each of ``out_indices``, ``(N, C, H / s, W / s)`` with the stage's stride s of
            :attr:`strides`; RepNeXt-T rounds sizes down, RepNeXt-M up.

        Raises:
            ValueError: If a merged network is trained; see :meth:`check_training`.
        """
        self.check_training()
        x = self.stem(x)
        outputs: list[Tensor] = []
        for stage in self.stages:
            # What the stem puts out is nobody's but the first stage's; a later one reads an output.
            x = stage(x) if outputs else stage(x, overwrite=are_maps_unseen(self.stem))
            outputs.append(x)
        return tuple(outputs[index] for index in self.out_indices)

    def __prepare_scriptable__(self) -> Traced:
        """What ``torch.jit.script`` compiles in the place of this network."""
        return scriptable(self)

    @renamed_argument('deploy', 'form')
    def another_form(self, form: str) -> FormAware:
        """This network in another form, without values: its parameters are on 'meta'."""
        with torch.device('meta'):
            return self._built(norm_layer=self.norm_layer, form=form_name(form), initialize=False)

    def _built(self, **options: Any) -> FormAware:
        """A new network of this arch, in torch alone."""
        options = dict(output_stride=self.output_stride) | options
        return RepNeXt(self.arch, self.in_channels, self.out_indices, **options)

    def _other_forms(self) -> Iterator[tuple[str, FormAware]]:
        return iter(()) if self.architecture.input_channels else super()._other_forms()

    def own_part(self, state: dict[str, Any]) -> dict[str, Tensor]:
        """The entries of the stages that are built, from a state dict of any known layout."""
        unbuilt = tuple(f'stages.{i}.' for i in range(len(self.stages), len(self.depths)))
        part = layouts.backbone_part(state)
        return {name: value for name, value in part.items() if not name.startswith(unbuilt)}

    def describe(self, state: Mapping[str, Tensor]) -> str:
        """The architecture of which the checkpoint is, as a sentence."""
        shape = layouts.shape_of(state)
        names = [n for n, row in ARCHITECTURES.items() if (row.channels, row.depths) == shape]
        if not shape.channels:
            return 'It holds no RepNeXt. '
        return f'It has channels {shape.channels} and depths {shape.depths}' + (
            f', as {" or ".join(map(repr, names))}. ' if names else '. '
        )


def _resolve_out_indices(out_indices: Sequence[int] | int, stages: int) -> tuple[int, ...]:
    """Non-negative indices of stages.

    Raises:
        ValueError: If one is out of range, given twice, or none is given.
        TypeError: If they are no whole numbers.
    """
    given = (out_indices,) if isinstance(out_indices, int) else out_indices
    if not are_whole(given):
        raise TypeError(
            f'out_indices must be whole numbers, stages of 0 to {stages - 1}, got {out_indices!r}'
        )
    if not given or any(not -stages <= index < stages for index in given):
        raise ValueError(
            f'out_indices must name some of the {stages} stages, 0 to {stages - 1}, got '
            f'{out_indices!r}'
        )
    resolved = tuple(index % stages for index in given)
    if len(set(resolved)) < len(resolved):
        raise ValueError(f'out_indices names a stage twice: {out_indices!r}')
    return resolved
