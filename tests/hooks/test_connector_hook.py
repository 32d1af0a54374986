"""Connectors outlive a run that is resumed."""

import pytest
import torch
from mmengine.runner import CheckpointLoader
from runners import build_runner
from students import STAGES, image_loader, save_teacher, tiny_student

from repnext_mm.hooks import ConnectorHook

pytestmark = pytest.mark.distribution

FEATURES = [dict(module='backbone', channels=STAGES)]


def runner_of(folder, name: str, hooks, epochs: int, teacher: str, **options):
    return build_runner(
        folder,
        name,
        hooks,
        tiny_student(teacher, FEATURES, seed=len(name)),
        train_dataloader=image_loader(),
        train_cfg=dict(by_epoch=True, max_epochs=epochs, val_interval=10),
        val_dataloader=image_loader(),
        test_dataloader=image_loader(),
        **options,
    )


def test_resumed_run_has_the_connectors_of_the_first(tmp_path):
    teacher = save_teacher(tmp_path)
    first = runner_of(tmp_path, 'first', [ConnectorHook()], 1, teacher)
    first.train()
    content = CheckpointLoader.load_checkpoint(str(tmp_path / 'epoch_1.pth'))
    assert not [name for name in content['state_dict'] if 'connector' in name]
    trained = first.model.connector_state()
    assert len(trained) == 4 and content['connectors'].keys() == trained.keys()

    path = str(tmp_path / 'epoch_1.pth')
    second = runner_of(
        tmp_path, 'second', [ConnectorHook()], 2, teacher, load_from=path, resume=True
    )
    assert not torch.equal(
        *(next(iter(m.connector_state().values())) for m in (first.model, second.model))
    )
    second.load_or_resume()
    for name, value in second.model.connector_state().items():
        assert torch.equal(value, trained[name])


def test_resuming_without_connectors_is_an_error(tmp_path):
    teacher = save_teacher(tmp_path)
    runner_of(tmp_path, 'forgot', [], 1, teacher).train()
    path = str(tmp_path / 'epoch_1.pth')
    options = dict(load_from=path)
    with pytest.raises(ValueError, match='load_from instead of resume'):
        runner_of(
            tmp_path, 'remembers', [ConnectorHook()], 2, teacher, resume=True, **options
        ).load_or_resume()
    runner_of(tmp_path, 'anew', [ConnectorHook()], 2, teacher, **options).load_or_resume()


def test_other_connectors_are_refused(tmp_path):
    model = tiny_student(save_teacher(tmp_path), FEATURES)
    with pytest.raises(ValueError, match='other connectors'):
        model.load_connector_state({})
