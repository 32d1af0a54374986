"""Published weights of timm by name, without a network."""

import pytest
import timm
import torch
from mmengine.runner import CheckpointLoader
from safetensors.torch import save_file

from repnext_mm.checkpoints.timm_weights import published_at
from repnext_mm.models import TimmFeatures

NAME = 'resnet18.a1_in1k'


def test_a_file_in_the_folder_is_taken(tmp_path, monkeypatch):
    torch.manual_seed(0)
    expected = timm.create_model('resnet18').state_dict()
    save_file(expected, tmp_path / f'{NAME}.safetensors')
    monkeypatch.setenv('REPNEXT_PRETRAINED', str(tmp_path))
    backbone = TimmFeatures(NAME, init_cfg=dict(type='Pretrained', checkpoint=f'timm://{NAME}'))
    backbone.init_weights()
    found = backbone.network.state_dict()
    assert found and all(torch.equal(tensor, expected[name]) for name, tensor in found.items())


@pytest.mark.parametrize('folder', [None, '/weights'])
def test_missing_weights_are_named_with_the_place_to_fetch_them_from(folder, monkeypatch):
    def offline(*args, **options):
        raise ConnectionError

    monkeypatch.setattr(timm, 'create_model', offline)
    monkeypatch.delenv('REPNEXT_PRETRAINED', raising=False)
    if folder:
        monkeypatch.setenv('REPNEXT_PRETRAINED', folder)
    url = f'https://huggingface.co/timm/{NAME}/resolve/main/model.safetensors'
    with pytest.raises(FileNotFoundError, match=f'{url}.*{folder or "FOLDER"}/{NAME}'):
        CheckpointLoader.load_checkpoint(f'timm://{NAME}')


@pytest.mark.parametrize('name', ['resnet18', 'resnet18.nope', 'nothing.a1_in1k'])
def test_names_that_timm_does_not_publish_are_refused(name):
    with pytest.raises(ValueError, match=f"knows no weights '{name}'"):
        published_at(name)
