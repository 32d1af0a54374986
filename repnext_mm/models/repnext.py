"""The RepNeXt backbone under OpenMMLab's contract."""

import copy
from collections.abc import Sequence
from functools import partial
from typing import Any

from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from repnext_mm import networks
from repnext_mm.models.layer_depth import staged_depth
from repnext_mm.registry import MODELS, register
from repnext_mm.reparam import INFERENCE_FORMS, TRAINING
from repnext_mm.reparam.arguments import check_switches, check_whole


@register(MODELS)
class RepNeXt(networks.RepNeXt, BaseModule):
    """:class:`repnext_mm.networks.RepNeXt` as a backbone of mmdet, mmseg and mmpretrain.

    The same layers with the same names, outputs and checkpoints, and what OpenMMLab's models
    expect of a backbone besides: frozen stages, mmcv's norm configs, mmengine's
    initialization, and the depth of every parameter.

    Args:
        arch: A name from ``RepNeXt.arch_settings``, or a dict with ``channels``,
            ``depths`` and optionally ``variant``, the name of the architecture whose
            kind of layers it uses; see
            :func:`repnext_mm.networks.architectures.resolve_architecture`, also for the widths
            of a pruned network. Defaults to ``'tiny'``.
        in_channels: Channels of the input image.
        out_indices: The stages whose outputs are returned, counted from 0;
            negative ones count from the last.
        frozen_stages: -1 freezes nothing, 0 the stem, k the stem and the first k
            stages: no gradients, and batch norm in evaluation mode.
        norm_eval: Keep every batch norm in evaluation mode while training.
        drop_path_rate: Stochastic depth; the rate grows linearly from 0 in the
            first block to this in the last.
        with_cp: Save memory by recomputing activations in the backward pass.
        norm_cfg: mmcv's norm config. Merging needs a batch norm.
        deploy: None for the training form; ``'fused'`` or ``'plain'`` builds that
            inference form directly. A checkpoint of the training form is merged on
            its way in.
        allow_partial_load: Load what fits of a checkpoint in which entries are missing,
            foreign or of another shape, instead of an error.
        finetune_deployed: Let a merged network be trained, instead of an error.
        init_cfg: mmengine's initialization config. Defaults to the family's own
            initialization; with ``deploy``, to nothing.
        merge_frozen_norms: While training, run every block whose batch norms are all in
            evaluation mode (``norm_eval``, ``frozen_stages``) with merged kernels, computed anew
            in each forward pass. Outputs and gradients of all parameters are the same, for less
            time and memory.
        output_stride: The largest stride of a feature map, 8, 16 or 32; None for the published
            ones, 4, 8, 16, 32. What mmseg's ResNet has as ``strides`` and ``dilations`` is one
            number here: 8 is ``strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4)`` with
            ``contract_dilation``.

    Raises:
        ValueError: If a value is not among the allowed ones; the message lists them.
        TypeError: If a value has another type; the message says which.

    Examples:
        >>> import torch
        >>> from repnext_mm.models import RepNeXt
        >>> backbone = RepNeXt('tiny').eval()
        >>> for features in backbone(torch.rand(1, 3, 64, 64)):
        ...     print(tuple(features.shape))
        (1, 96, 16, 16)
        (1, 192, 8, 8)
        (1, 384, 4, 4)
        (1, 768, 2, 2)
        >>> backbone.switch_to_deploy()
        >>> backbone.deploy
        'fused'
    """

    frozen_stages = -1
    norm_eval = False

    def __init__(
        self,
        arch: str | dict = 'tiny',
        in_channels: int = 3,
        out_indices: Sequence[int] | int = (0, 1, 2, 3),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        drop_path_rate: float = 0.0,
        with_cp: bool = False,
        norm_cfg: dict[str, Any] = {'type': 'BN'},  # noqa: B006 (read only, as all over mmcv)
        deploy: str | None = None,
        allow_partial_load: bool = False,
        finetune_deployed: bool = False,
        init_cfg: dict | list | None = None,
        merge_frozen_norms: bool = False,
        output_stride: int | None = None,
    ):
        if deploy not in (None, *INFERENCE_FORMS):
            raise ValueError(f'unknown deploy {deploy!r}: choose None or one of {INFERENCE_FORMS}')
        super().__init__(
            arch,
            in_channels,
            out_indices,
            drop_path_rate,
            with_cp,
            norm_layer=partial(build_norm, norm_cfg),
            form=deploy or TRAINING,
            allow_partial_load=allow_partial_load,
            finetune_deployed=finetune_deployed,
            merge_frozen_norms=merge_frozen_norms,
            output_stride=output_stride,
            initialize=False,
        )
        self.init_cfg = copy.deepcopy(init_cfg)
        check_whole('frozen_stages, from -1 (none) to all,', frozen_stages, -1, len(self.depths))
        check_switches(norm_eval=norm_eval)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self._freeze_stages()

    def init_weights(self) -> None:
        """Initializes as ``init_cfg`` says; without one, in training form, as the family does."""
        if not self.init_cfg and not self.is_init and self.form == TRAINING:
            self.initialize()
        super().init_weights()

    def train(self, mode: bool = True) -> 'RepNeXt':
        """Sets the mode, except for what is frozen."""
        super().train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def argument_for(self, form: str) -> str:
        """The argument that builds this backbone in a form, also as a config has it."""
        deploy = None if form == TRAINING else form
        return f'deploy={deploy!r} (in a config: model.backbone.deploy={deploy})'

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Numbers the parameters from stem to head, for layer-wise learning rates.

        :func:`~repnext_mm.models.layer_depth.staged_depth` says how.

        Args:
            param_name: Name of a parameter.
            prefix: Where this backbone lies in the model, such as ``'backbone.'``.

        Returns:
            ``(depth, number of depths)``. The stem has depth 0, what does not lie in
            the backbone the last one.
        """
        name = param_name.removeprefix(prefix)
        _, layers = staged_depth(self.depths, None)
        if not param_name.startswith(prefix) or not name.startswith(('stem.', 'stages.')):
            return layers - 1, layers
        if name.startswith('stem.'):
            return 0, layers
        _, stage, part, block, *_ = name.split('.')
        return staged_depth(self.depths, int(stage), int(block) if part == 'blocks' else 0)

    def _freeze_stages(self) -> None:
        if self.frozen_stages >= 0:
            for module in (self.stem, *list(self.stages)[: self.frozen_stages]):
                module.eval().requires_grad_(False)


def build_norm(norm_cfg: dict[str, Any], channels: int) -> nn.Module:
    """mmcv's norm layer without the name that comes with it."""
    return build_norm_layer(norm_cfg, channels)[1]
