"""Small teachers and students of features, on random images."""

from pathlib import Path
from typing import ClassVar

import torch
from helpers import randomize, slim
from mmcv.cnn import ConvModule
from mmengine.dataset import pseudo_collate
from mmengine.model import BaseModel, ImgDataPreprocessor
from torch import Tensor, nn
from torch.utils.data import Dataset

from repnext_mm.distillation import build_student
from repnext_mm.models import RepNeXt

SIZE = 64


class TinyModel(BaseModel):
    """Backbone, neck and head under the contract of OpenMMLab's models: a class for each image."""

    def __init__(
        self,
        channels=(8, 12, 16, 24),
        width: int = 8,
        mean=(127.0,),
        variant: str = 'tiny',
        **kwargs,
    ):
        super().__init__(data_preprocessor=ImgDataPreprocessor(mean=mean, std=(50.0,)))
        self.backbone = RepNeXt(slim(variant, channels), **kwargs)
        self.neck = ConvModule(channels[-1], width, 1, norm_cfg=dict(type='BN'))
        self.head = nn.Conv2d(width, 3, 1)

    def extract_feat(self, inputs: Tensor) -> Tensor:
        return self.neck(self.backbone(inputs)[-1])

    def forward(self, inputs: Tensor, data_samples=None, mode: str = 'tensor'):
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        scores = self.head(self.extract_feat(inputs)).mean((2, 3))
        return scores if mode == 'tensor' else [dict(logits=logits) for logits in scores]

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        scores = self.head(self.extract_feat(inputs)).mean((2, 3))
        return dict(loss=nn.functional.cross_entropy(scores, torch.tensor(data_samples)))


class Images(Dataset):
    """Random images with classes, as bytes."""

    metainfo: ClassVar[dict] = {}

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict:
        generator = torch.Generator().manual_seed(index)
        image = torch.randint(0, 256, (3, SIZE, SIZE), generator=generator, dtype=torch.uint8)
        return dict(inputs=image, data_samples=index % 3)


def image_loader(shuffle: bool = False) -> dict:
    return dict(
        dataset=Images(),
        batch_size=4,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=shuffle),
        collate_fn=pseudo_collate,
    )


WIDE = (8, 12, 20, 32)
TEACHER = dict(type=TinyModel, channels=WIDE, width=8)
STAGES = [(8, 8), (12, 12), (16, 20), (24, 32)]
"""Channels of the student's and the teacher's stages."""


def save_teacher(folder: Path, config: dict = TEACHER) -> str:
    """A teacher with weights and statistics as after training; returns its file."""
    torch.manual_seed(7)
    arguments = {key: value for key, value in config.items() if key != 'type'}
    folder.mkdir(exist_ok=True)
    path = folder / 'teacher.pth'
    torch.save(dict(state_dict=randomize(config['type'](**arguments)).state_dict()), path)
    return str(path)


def tiny_student(teacher_ckpt: str, features: list, seed: int = 0, **options):
    torch.manual_seed(seed)
    options = dict(teacher_config=TEACHER) | options
    return build_student(TinyModel, teacher_ckpt=teacher_ckpt, features=features, **options)
