"""mmengine's checkpoints load with the safe loader, and the loader stays safe."""

import os
import pickle

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

pytestmark = pytest.mark.distribution


def test_log_history_survives_the_safe_loader(tmp_path):
    history = HistoryBuffer()
    for value in (1.5, np.float64(2.5)):
        history.update(value)
    content = dict(history=history, scalars=[np.float32(3), np.int64(4), np.bool_(True)])
    torch.save(content, tmp_path / 'checkpoint.pth')
    loaded = torch.load(tmp_path / 'checkpoint.pth', weights_only=True)
    assert loaded['history'].mean() == 2.0 and loaded['history'].statistics('max') == 2.5
    assert loaded['scalars'] == [3, 4, True]


class Call:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    'payload',
    [
        Call(os.system, 'exit 1'),
        Call(getattr, HistoryBuffer, '__subclasses__'),
        Call(getattr, np.ndarray, 'tofile'),
    ],
    ids=['system', 'getattr_private', 'getattr_array'],
)
def test_safe_loader_still_refuses_code(tmp_path, payload):
    torch.save(dict(weights=payload), tmp_path / 'checkpoint.pth')
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / 'checkpoint.pth', weights_only=True)
