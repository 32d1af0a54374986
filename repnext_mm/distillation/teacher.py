"""A frozen model that students learn from."""

from pathlib import Path
from typing import Any

from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS
from mmengine.runner import load_checkpoint
from torch import Tensor, nn

from repnext_mm.compat import read_config
from repnext_mm.config_dicts import pretrained_files


class Teacher:
    """A model in evaluation mode without gradients, built when it is first asked.

    It is no module: so it is in no checkpoint, optimizer or average of weights, and copies of a
    student share it. Nothing of it is read before training begins: a student is tested,
    merged and exported without it.

    Args:
        config: A model's config, or the path of a config file.
        checkpoint: Its weights, every one of them, in any known layout. None for those that
            the model's config names itself.
        scope: The package whose registry knows the model, such as ``'mmdet'``; None for the
            ``default_scope`` of a config file, or the one that the model's type names
            (``'mmdet.MaskRCNN'``), and else the current one.
    """

    def __init__(
        self, config: dict | str | Path, checkpoint: str | None = None, scope: str | None = None
    ):
        self.config = config
        self.checkpoint = checkpoint
        self.scope = scope
        self.model: Any = None

    def __deepcopy__(self, memo: dict) -> 'Teacher':
        return self

    def ready_for(self, images: Tensor) -> nn.Module:
        """The model on the device and in the dtype of images.

        Raises:
            FileNotFoundError: If the config file or the checkpoint does not exist.
            RuntimeError: If the checkpoint lacks an entry of the model, or has more.
        """
        if self.model is None:
            self.model = self._build().requires_grad_(False)
            self.model.eval()  # in mmpretrain it does not return the model
        one = next(self.model.parameters())
        if (one.device, one.dtype) != (images.device, images.dtype):
            self.model.to(images.device, images.dtype)
        return self.model

    def _build(self) -> nn.Module:
        self._check_files()
        config, scope = self.config, self.scope
        if isinstance(config, str | Path):
            whole = read_config(config)
            config, scope = whole.model, scope or whole.get('default_scope')
        if not scope and isinstance(config['type'], str):
            scope = config['type'].rpartition('.')[0]
        # In its own scope: whoever builds the student may have set another one.
        model = MODELS.build({**(dict(_scope_=scope) if scope else {}), **config})
        model = revert_sync_batchnorm(model)  # nothing is synchronized in evaluation mode
        if self.checkpoint is not None:
            load_checkpoint(model, self.checkpoint, map_location='cpu', strict=True)
        elif any(pretrained_files(config)):  # else they are random, or timm has loaded them
            model.init_weights()
        return model

    def _check_files(self) -> None:
        for path, setting in ((self.config, 'teacher_config'), (self.checkpoint, 'teacher_ckpt')):
            local = isinstance(path, str | Path) and '://' not in str(path)
            if local and not Path(path).expanduser().is_file():  # type: ignore[arg-type]
                raise FileNotFoundError(
                    f'the teacher is not there: {Path(path).absolute()} does not exist. '  # type: ignore[arg-type]
                    f'Train it first, or name its file with model.{setting}'
                )
