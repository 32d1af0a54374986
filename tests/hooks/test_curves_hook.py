"""The picture of the curves is there while a training runs, and never ends it."""

from pathlib import Path
from unittest.mock import patch

import pytest
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from runners import build_runner

from repnext_mm.visualization import curves
from repnext_mm.visualization.curves import read_curves

pytestmark = pytest.mark.distribution
HOOKS = dict(
    logger=dict(type='LoggerHook', interval=1),
    checkpoint=dict(type='repnext_mm.SafeCheckpointHook', interval=1),
)


class Seen(Hook):
    """Notes after each validation whether there is a picture."""

    priority = 'LOWEST'

    def __init__(self):
        self.after_validation = []

    def after_val_epoch(self, runner, metrics=None):
        self.after_validation.append((Path(runner.work_dir) / 'curves.png').is_file())


def train(folder, name, epochs, **options):
    seen = Seen()
    options.setdefault('train_cfg', dict(by_epoch=True, max_epochs=epochs, val_interval=1))
    runner = build_runner(
        folder, name, [dict(type='repnext_mm.CurvesHook'), seen], default_hooks=HOOKS, **options
    )
    runner.train()
    return seen.after_validation


def test_it_is_current_and_goes_on_after_a_resume(tmp_path):
    drawn = []

    def note(files, path):
        drawn.append(read_curves(files).losses['loss'].steps.tolist())
        return real(files, path)

    real = curves.write_curves
    with patch.object(curves, 'write_curves', note):
        assert train(tmp_path, 'curves_first', 1) == [True]
        assert drawn == [[1, 2, 3]] * 2  # after validation, and at the end
        options = dict(load_from=str(tmp_path / 'epoch_1.pth'), resume=True)
        train(tmp_path, 'curves_resumed', 2, **options)
        assert drawn[2:] == [[1, 2, 3, 4, 5, 6]] * 2
        train(tmp_path, 'curves_anew', 1)
        assert drawn[4:] == [[1, 2, 3]] * 2  # what was there before is another training
    build_runner(tmp_path / 'val', 'curves_val', [dict(type='repnext_mm.CurvesHook')]).val()
    assert not (tmp_path / 'val/curves.png').exists()


def test_an_error_in_drawing_does_not_end_a_training(tmp_path):
    with (
        patch.object(curves, 'write_curves', side_effect=OSError(28, 'no space left')),
        patch.object(MMLogger, 'warning') as warning,
    ):
        train(tmp_path, 'curves_error', 1)
    assert 'no space left' in str(warning.call_args_list)
    assert (tmp_path / 'last_checkpoint').is_file() and not (tmp_path / 'curves.png').exists()
