"""Weights that are not finite, and damaged files, are not used by any tool."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from helpers import slim
from mmengine.config import Config
from mmengine.registry import init_default_scope

from repnext_mm.checkpoints.files import load_from_http
from repnext_mm.checkpoints.loading import build_model, load_parts
from repnext_mm.checkpoints.merging import merge_checkpoint


def config() -> Config:
    init_default_scope('mmpretrain')
    backbone = dict(type='repnext_mm.RepNeXt', arch=slim(), out_indices=(3,))
    head = dict(type='LinearClsHead', num_classes=3, in_channels=24)
    neck = dict(type='GlobalAveragePooling')
    return Config(dict(model=dict(type='ImageClassifier', backbone=backbone, neck=neck, head=head)))


@pytest.mark.distribution
@pytest.mark.parametrize('name', ['head.fc.bias', 'backbone'])
def test_merging_and_exporting_name_the_first_entry_that_is_not_finite(name, tmp_path):
    cfg = config()
    state = build_model(cfg).state_dict()
    name = next(n for n in state if n.startswith(name) and state[n].is_floating_point())
    path = str(tmp_path / 'a.pth')
    torch.save(dict(state_dict=state), path)
    merge_checkpoint(cfg, path)
    load_parts(build_model(cfg), path, ('backbone', 'head'))
    state[name] = torch.full_like(state[name], float('inf'))
    torch.save(dict(state_dict=state), path)
    with pytest.raises(ValueError, match=f"a.pth is of no use: 1 of its entries .*'{name}'"):
        merge_checkpoint(cfg, path)
    with pytest.raises(ValueError, match=f"'{name}'"):
        load_parts(build_model(cfg), path, ('backbone', 'head'))


def test_a_damaged_download_says_where_it_is_kept(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save(dict(state_dict=dict(weight=torch.zeros(100))), path)
    content = path.read_bytes()
    start = content.index(bytes(400))
    path.write_bytes(content[:start] + b'\1\2\3\4' + content[start + 4 :])
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        url = f'http://127.0.0.1:{http.server_port}/a.pth'
        kept = Path(tmp_path, 'kept')
        with pytest.raises(ValueError, match=rf'a\.pth cannot.*Remove {kept}/\w+/a\.pth'):
            load_from_http(url, 'cpu', model_dir=str(kept))
        http.shutdown()
