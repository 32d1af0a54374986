"""Files run on the device that they are asked for, or an error says what is missing."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from exports import CLASSIFIERS, noise, small_config, small_model

from repnext_mm.export import ExportOptions, export_model, open_session
from repnext_mm.runtime.devices import check_providers, providers_for, torch_device

CPU_ALONE = SimpleNamespace(get_available_providers=lambda: ['CPUExecutionProvider'])
WITH_CUDA = SimpleNamespace(
    get_available_providers=lambda: ['CUDAExecutionProvider', 'CPUExecutionProvider']
)


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """A classifier as ONNX and as a program of torch.export."""
    model = small_model(small_config(CLASSIFIERS[0]))
    folder = tmp_path_factory.mktemp('files')
    return [
        export_model(model, folder / name, None, ExportOptions(shape=(160, 160), static=True)).path
        for name in ('model.onnx', 'model.pt2')
    ]


def test_providers_follow_the_device():
    assert providers_for('cpu', CPU_ALONE) == ['CPUExecutionProvider']
    assert providers_for('cuda:1', WITH_CUDA) == [
        ('CUDAExecutionProvider', {'device_id': 1}),
        'CPUExecutionProvider',
    ]
    with pytest.raises(ValueError, match='pip install onnxruntime-gpu'):
        providers_for('cuda', CPU_ALONE)
    with pytest.raises(ValueError, match="unknown device 'gpu'"):
        providers_for('gpu', WITH_CUDA)


def test_a_provider_that_does_not_start_is_told():
    fallen_back = SimpleNamespace(get_providers=lambda: ['CPUExecutionProvider'])
    check_providers('cpu', fallen_back)
    with pytest.raises(ValueError, match='could not start CUDAExecutionProvider'):
        check_providers('cuda', fallen_back)


def test_a_program_leaves_no_device_behind(files):
    """On the device ``meta`` a tensor of another one would be told from the rest."""
    session = open_session(files[1], trust=True, device='meta')
    devices = {
        str(value)
        for graph in session.module.modules()
        if hasattr(graph, 'graph')
        for node in graph.graph.nodes
        for name, value in node.kwargs.items()
        if name == 'device'
    }
    devices |= {str(value.device) for value in session.module.state_dict().values()}
    assert devices == {'meta'}


def test_files_run_on_the_cpu_by_name(files):
    image = noise(160, 160)[None]
    first, second = (open_session(path, trust=True, device='cpu')(image) for path in files)
    np.testing.assert_allclose(first['scores'], second['scores'], atol=1e-5)


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_a_missing_gpu_is_told(files):
    for path in files:
        with pytest.raises(ValueError, match=r'device=.cuda. .*(onnxruntime-gpu|pytorch.org)'):
            open_session(path, trust=True, device='cuda')
    with pytest.raises(ValueError, match="unknown device 'gpu1'"):
        torch_device('gpu1')


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA')
def test_a_program_runs_on_a_gpu(files):
    image = noise(160, 160)[None]
    expected = open_session(files[1], trust=True)(image)['scores']
    found = open_session(files[1], trust=True, device='cuda')(image)['scores']
    np.testing.assert_allclose(found, expected, atol=1e-3)
