"""Image classifiers of torch alone: a RepNeXt backbone, global average pooling, a head."""

from typing import Any

from torch import Tensor, nn

from repnext_mm.networks import layouts
from repnext_mm.networks.backbone import RepNeXt
from repnext_mm.networks.family import NormLayer
from repnext_mm.networks.heads import with_both_classifiers
from repnext_mm.reparam import TRAINING, FormAware
from repnext_mm.reparam.arguments import check_switches, check_whole
from repnext_mm.reparam.forms import check_form


class RepNeXtClassifier(RepNeXt):
    """RepNeXt that classifies images.

    RepNeXt-T has one linear layer as its head; RepNeXt-M has two classifiers whose mean
    counts, and which become one linear layer when merged
    (:class:`repnext_mm.networks.heads.TwoClassifiers`). It loads the official ImageNet files of
    RepNeXt-M as they are, and checkpoints of mmpretrain's classifiers with a RepNeXt.

    Args:
        arch: As for :class:`repnext_mm.networks.RepNeXt`.
        num_classes: Number of classes.
        in_channels: Channels of the input image.
        drop_path_rate: As for the backbone.
        with_cp: As for the backbone.
        norm_layer: As for the backbone; a head has ``BatchNorm1d``.
        form: As for the backbone.
        allow_partial_load: As for the backbone.
        finetune_deployed: As for the backbone.
        initialize: As for the backbone.
        merge_frozen_norms: As for the backbone; the head stays as it is.
        output_stride: As for the backbone.

    Raises:
        ValueError: As the backbone.
        TypeError: As the backbone.

    Examples:
        >>> import torch
        >>> from repnext_mm.networks import RepNeXtClassifier
        >>> classifier = RepNeXtClassifier('m0', num_classes=10).eval()
        >>> tuple(classifier(torch.rand(2, 3, 64, 64)).shape)
        (2, 10)
    """

    def __init__(
        self,
        arch: str | dict = 'tiny',
        num_classes: int = 1000,
        in_channels: int = 3,
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
        check_form(form)
        check_whole('num_classes', num_classes, 0)
        check_switches(initialize=initialize)
        super().__init__(
            arch,
            in_channels,
            out_indices=-1,
            drop_path_rate=drop_path_rate,
            with_cp=with_cp,
            norm_layer=norm_layer,
            allow_partial_load=allow_partial_load,
            finetune_deployed=finetune_deployed,
            merge_frozen_norms=merge_frozen_norms,
            output_stride=output_stride,
            initialize=bool(initialize) and form == TRAINING,
        )
        self.num_classes = num_classes
        self.head = self.build_head()
        if form != TRAINING:
            self.eval()
            self.switch_to_deploy(form)

    def build_head(self) -> nn.Module:
        """A new head in training form."""
        return self.family.build_head(self.channels[-1], self.num_classes)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """Classifies.

        Args:
            x: Image batch, ``(N, in_channels, H, W)``.

        Returns:
            Scores before the softmax, ``(N, num_classes)``.

        Raises:
            ValueError: If a merged network is trained; see :meth:`check_training`.
        """
        return self.head(super().forward(x)[-1].mean((2, 3)))

    def _built(self, **options: Any) -> FormAware:
        options = dict(output_stride=self.output_stride) | options
        return RepNeXtClassifier(self.arch, self.num_classes, self.in_channels, **options)

    def own_part(self, state: dict[str, Any]) -> dict[str, Tensor]:
        """The entries of backbone and head, from a state dict of any known layout."""
        return with_both_classifiers(layouts.classifier_part(state), layouts.HEAD)
