"""A small real Runner: a classifier with a RepNeXt backbone on random images."""

import torch
from helpers import randomize, slim
from mmcv.cnn import ConvModule
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel, BaseTTAModel
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from repnext_mm.models import RepNeXt

CLASSES = 3


class RandomImages(Dataset):
    """Images whose class is the channel that is brightest on average."""

    def __init__(self, count: int = 12):
        self.metainfo = dict(classes=('red', 'green', 'blue'))
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict:
        image = torch.randn(3, 40, 36, generator=torch.Generator().manual_seed(index))
        image[index % CLASSES] += 1
        return dict(inputs=image, labels=torch.tensor(index % CLASSES))


class Augmented(RandomImages):
    """The same images as they are and flipped, for test-time augmentation."""

    def __getitem__(self, index: int) -> dict:
        item = super().__getitem__(index)
        images = [item['inputs'], item['inputs'].flip(-1)]
        return dict(inputs=images, labels=[item['labels']] * 2)


class Classifier(BaseModel):
    """Backbone, a neck with batch norm, and a linear head."""

    def __init__(self, arch: dict | None = None, deploy: str | None = None):
        super().__init__()
        torch.manual_seed(0)
        self.backbone = RepNeXt(arch or slim(), out_indices=(3,), deploy=deploy)
        self.neck = ConvModule(24, 16, 1, norm_cfg=dict(type='BN'))
        self.head = nn.Linear(16, CLASSES)
        randomize(self)

    def forward(self, inputs, labels=None, mode='tensor'):
        images = inputs if isinstance(inputs, torch.Tensor) else torch.stack(tuple(inputs))
        logits = self.head(self.neck(self.backbone(images)[0]).mean((2, 3)))
        if mode == 'loss':
            return dict(loss=nn.functional.cross_entropy(logits, torch.stack(labels)))
        return [dict(logits=logit) for logit in logits]


class MeanOverViews(BaseTTAModel):
    """Averages the logits of all views."""

    def merge_preds(self, data_samples_list):
        return [
            dict(logits=torch.stack([view['logits'] for view in views]).mean(0))
            for views in data_samples_list
        ]


class Logits(BaseMetric):
    """Collects what the network put out, and whether it was merged."""

    default_prefix = 'test'

    def process(self, data_batch, data_samples):
        self.results.extend(sample['logits'].detach().cpu().double() for sample in data_samples)

    def compute_metrics(self, results):
        self.logits = torch.stack(results)
        return dict(mean=self.logits.mean().item())


class Failure(Logits):
    """Breaks off the evaluation."""

    def process(self, data_batch, data_samples):
        raise RuntimeError('no space left on device')


def loader(dataset: Dataset, shuffle: bool = False) -> dict:
    return dict(
        dataset=dataset,
        batch_size=4,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=shuffle),
        collate_fn=pseudo_collate,
    )


def build_runner(work_dir, name: str, hooks=(), model=None, metric=None, **options) -> Runner:
    """A runner with all loops; ``options`` override its arguments."""
    DefaultScope.get_instance(name, scope_name='mmengine')
    arguments = dict(
        model=model or Classifier(),
        work_dir=str(work_dir),
        train_dataloader=loader(RandomImages(), shuffle=True),
        val_dataloader=loader(RandomImages()),
        test_dataloader=loader(RandomImages()),
        train_cfg=dict(by_epoch=True, max_epochs=2, val_interval=1),
        val_cfg=dict(),
        test_cfg=dict(),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9)),
        val_evaluator=[Logits()],
        test_evaluator=[metric or Logits()],
        custom_hooks=list(hooks),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=100)),
        randomness=dict(seed=0, deterministic=False),
        experiment_name=name,
        log_level='WARNING',
    )
    return Runner(**(arguments | options))
