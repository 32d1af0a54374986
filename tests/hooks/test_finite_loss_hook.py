"""Training that diverges stops, says where, and leaves the last good checkpoint."""

import json
from pathlib import Path

import pytest
import torch
from interrupted import read, runner
from mmengine.structures import BaseDataElement, InstanceData
from runners import Classifier, RandomImages, loader

from repnext_mm.hooks import finite_loss_hook
from repnext_mm.hooks.finite_loss_hook import FiniteLossHook, NotFiniteError, image_names
from repnext_mm.integrity import named_tensors, not_finite

pytestmark = pytest.mark.distribution
HOOK = dict(type='repnext_mm.FiniteLossHook')


class Photos(RandomImages):
    """Images with file names."""

    def __getitem__(self, index: int) -> dict:
        item = super().__getitem__(index)
        sample = BaseDataElement(metainfo=dict(img_path=f'photos/{index}.jpg'))
        return item | dict(data_samples=sample)


class Diverging(Classifier):
    """Its loss is not finite from some step on."""

    def __init__(self, step: int, value: float = float('nan'), poisoned: bool = False):
        super().__init__()
        self.steps, self.last, self.value, self.poisoned = 0, step, value, poisoned

    def forward(self, inputs, labels=None, data_samples=None, mode='tensor'):
        result = super().forward(inputs, labels, mode)
        if mode == 'loss':
            self.steps += 1
            bad = self.steps >= self.last
            if bad and self.poisoned:  # a finite loss, and gradients that are not
                result['loss'] = result['loss'] + (self.head.weight * 0).sum().sqrt()
            elif bad:
                result['loss_extra'] = result['loss'] * 0 + self.value
            result['acc'] = torch.tensor(float('nan'))  # no loss
        return result


def run(folder: Path, model: Classifier, iterations: int = 6, checkpoint=(), **options) -> None:
    arguments = dict(
        model=model,
        train_cfg=dict(by_epoch=False, max_iters=iterations),
        param_scheduler=None,
        train_dataloader=loader(Photos()),
        checkpoint=dict(by_epoch=False, max_keep_ckpts=1) | dict(checkpoint),
    )
    runner(folder, [HOOK], **(arguments | options)).train()


def finite(path: Path) -> bool:
    return not not_finite(dict(named_tensors(read(path)['state_dict'])))


def test_a_loss_that_is_finite_trains_as_ever(tmp_path):
    run(tmp_path, Diverging(99))
    assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_6.pth']
    assert not list(tmp_path.glob('not_finite*'))


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
@pytest.mark.parametrize('kind', ['repnext_mm.SafeCheckpointHook', 'CheckpointHook'])
def test_training_stops_at_the_loss_and_keeps_the_last_checkpoint(value, kind, tmp_path):
    with pytest.raises(NotFiniteError) as info:
        run(tmp_path, Diverging(4, value), checkpoint=dict(type=kind))
    message = str(info.value)
    for words in (
        'iteration 4',
        f'loss_extra: {value}',
        '.jpg and 1 more',
        'iter_3.pth',
        'clip_grad',
    ):
        assert words in message
    assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_3.pth']
    assert finite(tmp_path / 'iter_3.pth')
    report = json.loads((tmp_path / 'not_finite_loss.json').read_text())
    assert report['iteration'] == 4 and report['losses']['loss_extra'] == str(value)
    assert len(report['images']) == 4 and report['last_checkpoint'].endswith('iter_3.pth')
    assert report['learning_rates']['lr'] == [0.01]


@pytest.mark.parametrize('kind', ['repnext_mm.SafeCheckpointHook', 'CheckpointHook'])
@pytest.mark.parametrize('by_epoch', [True, False])
def test_weights_that_are_not_finite_are_never_saved(kind, by_epoch, tmp_path):
    train_cfg = dict(by_epoch=by_epoch) | (dict(max_epochs=4) if by_epoch else dict(max_iters=8))
    with pytest.raises(NotFiniteError, match=r'head\.weight.*not saved'):
        run(
            tmp_path,
            Diverging(6, poisoned=True),
            checkpoint=dict(type=kind, by_epoch=by_epoch, interval=1),
            train_cfg=train_cfg,
        )
    names = [path.name for path in tmp_path.glob('*.pth')]
    assert names == ['epoch_1.pth' if by_epoch else 'iter_5.pth']
    assert finite(tmp_path / names[0])


def test_training_does_not_start_from_weights_that_are_not_finite(tmp_path):
    model = Diverging(99)
    model.register_buffer('mask', torch.full((3,), -float('inf')))
    run(tmp_path, model, 1)
    model.neck.bn.running_var[0] = float('nan')
    with pytest.raises(NotFiniteError, match=r"from weights.*'neck\.bn\.running_var'"):
        run(tmp_path, model, 1)


def test_nobody_else_saves_weights_that_are_not_finite(tmp_path):
    built = runner(tmp_path, [HOOK], model=Diverging(99), train_dataloader=loader(Photos()))
    built.model.head.weight.detach()[0, 0] = float('inf')
    options = dict(save_optimizer=False, save_param_scheduler=False)
    with pytest.raises(NotFiniteError, match=r"'head\.weight', so they are not saved"):
        built.save_checkpoint(str(tmp_path), 'mine.pth', **options)
    assert not list(tmp_path.glob('*.pth'))


def test_mixed_precision_may_leave_some_steps_out(monkeypatch, tmp_path):
    """A stand-in for the wrapper, which takes a GPU."""

    class Scaled:
        pass

    monkeypatch.setattr(finite_loss_hook, 'AmpOptimWrapper', Scaled)
    hook = FiniteLossHook(patience=2)
    built = runner(tmp_path, [hook], train_dataloader=loader(Photos()))
    monkeypatch.setattr(built, 'optim_wrapper', Scaled(), raising=False)
    warnings: list[str] = []
    monkeypatch.setattr(built.logger, 'warning', warnings.append)
    bad = dict(loss=torch.tensor(float('nan')))
    for outputs in (bad, bad, dict(loss=torch.tensor(1.0)), bad, bad):
        hook.after_train_iter(built, 0, None, outputs)
    assert len(warnings) == 4 and 'number 2 in a row' in warnings[1]
    built.optim_wrapper.get_lr = lambda: dict(lr=[0.1])
    with pytest.raises(NotFiniteError):
        hook.after_train_iter(built, 0, None, bad)
    hook._in_a_row = 0
    built.model.head.weight.detach()[0, 0] = float('inf')
    with pytest.raises(NotFiniteError):
        hook.after_train_iter(built, 0, None, bad)


def test_names_of_images_are_found_in_any_batch():
    sample = BaseDataElement(metainfo=dict(img_path='a.jpg'))
    batch = dict(inputs=[torch.zeros(1)], data_samples=[sample, dict(inner=(sample,))])
    assert list(image_names(batch)) == ['a.jpg', 'a.jpg']
    assert list(image_names(None)) == list(image_names([BaseDataElement()])) == []
    with pytest.raises(ValueError, match='patience'):
        FiniteLossHook(patience=-1)


class Boxes(Photos):
    """An annotated box of the image 3 has no right border."""

    def __getitem__(self, index: int) -> dict:
        item = super().__getitem__(index)
        boxes = torch.tensor([[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, float('inf'), 4.0]])
        found = InstanceData(bboxes=boxes[: 2 if index == 3 else 1])
        found.labels = torch.tensor([0, 7])[: len(found)]
        item['data_samples'].gt_instances = found
        return item


def test_a_box_that_is_not_finite_is_named_with_its_image(tmp_path):
    with pytest.raises(NotFiniteError, match=r'annotation 1 of the 2 on photos/3.jpg') as info:
        run(tmp_path, Diverging(99), train_dataloader=loader(Boxes()))
    assert 'class number 7' in str(info.value) and '[1.0, 2.0, inf, 4.0]' in str(info.value)
    assert 'at iteration ' in str(info.value) and not (tmp_path / 'not_finite_loss.json').exists()
