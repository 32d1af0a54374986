"""Any model of OpenMMLab as the student of a teacher's features."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from mmengine.registry import MODELS as ROOT_MODELS
from torch import Tensor, nn

from repnext_mm.distillation.features import FeatureLoss, recorded
from repnext_mm.distillation.teacher import Teacher
from repnext_mm.registry import MODELS, register

FEATURE_PARTS = ('backbone', 'neck')
"""What ``extract_feat`` of OpenMMLab's models runs."""


class FeatureStudent:
    """A mixin before a model's class: the model's own losses, and those of features.

    The model is changed in ``loss`` alone. It has the module names, arguments and methods of its
    class and :func:`isinstance` of it; so whatever tests, merges, averages or exports
    the class takes the student.

    Args:
        args: Arguments of the model.
        teacher: Whose features count.
        features: Arguments of a :class:`FeatureLoss` each.
        kwargs: More arguments of the model.

    Raises:
        ValueError: If no features are named, or a module twice.
    """

    def __init__(self, *args: Any, teacher: Teacher, features: Sequence[dict], **kwargs: Any):
        super().__init__(*args, **kwargs)
        names = [pair['module'] for pair in features]
        if not names or len(set(names)) < len(names):
            raise ValueError(
                "features must name one or several modules, each once, such as [dict(module='neck')"
                f']; got {names}'
            )
        self.teacher = teacher
        self.feature_losses = nn.ModuleList(FeatureLoss(**pair) for pair in features)

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Any]:
        """Computes the losses of a batch ``(N, 3, H, W)``.

        Returns:
            Those of the model, and for each pair of modules ``loss_distill_MODULE``, a list with
            an element for each feature map; OpenMMLab adds them up.

        Raises:
            ValueError: If the teacher's images are normalized in another way, or features do
                not fit; see :class:`FeatureLoss`.
        """
        pairs: Any = self.feature_losses
        wanted = self._teacher_features(inputs, data_samples)
        with recorded(self, [pair.module for pair in pairs]) as found:  # type: ignore[arg-type]
            losses = super().loss(inputs, data_samples)  # type: ignore[misc]
        for pair in pairs:
            losses[pair.name] = pair(found[pair.module], wanted[pair.teacher_module])
        return losses

    @torch.no_grad()
    def _teacher_features(self, inputs: Tensor, data_samples: list) -> dict[str, list[Tensor]]:
        pairs: Any = self.feature_losses
        names = {pair.teacher_module for pair in pairs}
        teacher: Any = self.teacher.ready_for(inputs)
        check_normalization(self, teacher)  # type: ignore[arg-type]
        with recorded(teacher, names) as found:
            if all(name.split('.')[0] in FEATURE_PARTS for name in names):
                teacher.extract_feat(inputs)  # so its head may be that of another task
            else:
                teacher(inputs, data_samples, mode='tensor')
        return found

    def connector_state(self) -> dict[str, Tensor]:
        """The parameters of all connectors by name, which are in no state dict."""
        parameters = self.feature_losses.named_parameters()
        return {name: value.detach().clone() for name, value in parameters}

    @torch.no_grad()
    def load_connector_state(self, state: dict[str, Tensor]) -> None:
        """Takes what :meth:`connector_state` has given.

        Raises:
            ValueError: If it is that of other connectors.
        """
        parameters = dict(self.feature_losses.named_parameters())
        own, given = ({n: tuple(v.shape) for n, v in s.items()} for s in (parameters, state))
        if own != given:
            raise ValueError(f'these are other connectors: expected {own}, got {given}')
        for name, parameter in parameters.items():
            parameter.copy_(state[name])


def check_normalization(student: nn.Module, teacher: nn.Module) -> None:
    """Makes sure that a teacher is used to images that are normalized as the student's.

    Raises:
        ValueError: If means or standard deviations differ.
    """
    own, other = (
        {
            name: tuple(buffer.flatten().tolist())
            for name, buffer in part.named_buffers()
            if name in ('mean', 'std')
        }
        for part in (preprocessor_of(student), preprocessor_of(teacher))
    )
    if own and other and own != other:
        raise ValueError(
            f'the student normalizes images with {own}, its teacher with {other}: the teacher sees '
            "the student's images, so give both the data_preprocessor of the teacher"
        )


def preprocessor_of(model: nn.Module) -> nn.Module:
    """The data preprocessor of a model of mmengine, else a module without buffers."""
    return model._modules.get('data_preprocessor') or nn.Identity()


@register(MODELS, name='FeatureDistillation')
def build_student(
    student: str | type,
    teacher_config: dict | str | Path,
    teacher_ckpt: str,
    features: Sequence[dict],
    **model: Any,
) -> nn.Module:
    """Builds a model that learns from a teacher's features; ``repnext_mm.FeatureDistillation``.

    A config gives, beside the model's own parts, what there is to learn::

        _base_ = './mask_rcnn_repnext_m0_coco.py'
        model = dict(
            type='repnext_mm.FeatureDistillation',
            student='MaskRCNN',
            teacher_config='configs/mask_rcnn_repnext_m5_coco.py',
            teacher_ckpt='pretrained/mask_rcnn_repnext_m5_coco.pth',
            features=[dict(module='neck')],
        )

    Args:
        student: What would be the ``type`` of the model: a name such as ``'MaskRCNN'``, or a class.
        teacher_config: Path of the teacher's config file, or the config of its model. It
            sees the student's images, normalized and augmented; if the named features are those of
            its backbone and neck, no other part of it runs, and its head may be any.
        teacher_ckpt: The teacher's weights, every one of them, in any known layout.
        features: Arguments of a :class:`FeatureLoss` each.
        model: The arguments of the student's class.

    Returns:
        An instance of the student's class and of :class:`FeatureStudent`.

    Raises:
        KeyError: If no class is registered as ``student``.
        TypeError: If that is no model with losses.
        ValueError: If the teacher has no weights, or as :class:`FeatureStudent`.
    """
    if not teacher_ckpt:
        raise ValueError('a teacher needs trained weights: name their file with model.teacher_ckpt')
    teacher = Teacher(teacher_config, teacher_ckpt)
    return student_class(model_class(student))(teacher=teacher, features=features, **model)


def model_class(kind: str | type) -> type:
    """The class of a config's ``type``.

    Raises:
        KeyError: If no class is registered under this name.
        TypeError: If it is no model that computes losses.
    """
    if isinstance(kind, str):
        with ROOT_MODELS.switch_scope_and_registry(None) as registry:
            cls = registry.get(kind)
    else:
        cls = kind
    if cls is None:
        raise KeyError(f'no model is registered as {kind!r}: set student to the type of a model')
    if not isinstance(cls, type) or not callable(getattr(cls, 'loss', None)):
        raise TypeError(
            f'{kind!r} is no model that computes losses: set student to the type of one'
        )
    return cls


@cache
def student_class(cls: type) -> type:
    """The class of the students of a model's class; one for each."""
    return type(f'Distilled{cls.__name__}', (FeatureStudent, cls), {'__doc__': cls.__doc__})
