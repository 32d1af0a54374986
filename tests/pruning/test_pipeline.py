"""Trained checkpoints of whole models become smaller ones, with the config that builds them."""

import numpy as np
import pytest
import torch
from commands import run_inside
from exports import noise, small_config, small_model
from helpers import assert_close
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint

from repnext_mm.checkpoints.loading import build_model
from repnext_mm.checkpoints.merging import deployed_config, merge_checkpoint
from repnext_mm.evaluation.complexity import complexity_of
from repnext_mm.export import open_session
from repnext_mm.pruning.pipeline import (
    Request,
    check_output,
    features_and_scores,
    prune_checkpoint,
    write_pruned,
)
from repnext_mm.quantization import quantize_file

pytest.importorskip('torch_pruning', reason="pip install 'repnext-mm[pruning]'")

MODELS = [
    ('repnext_m0_imagenet', 'training'),
    ('mask_rcnn_repnext_m0_coco', 'training'),
    ('mask_rcnn_repnext_tiny_coco', 'plain'),
    ('upernet_repnext_tiny_ade20k', 'training'),
    ('fpn_repnext_m0_ade20k', 'training'),
]


@pytest.fixture
def dense(tmp_path):
    """A function that writes the config and the checkpoint of a small model."""

    def write(name: str, **backbone):
        cfg = small_config(name)
        cfg.model.backbone.update(backbone)
        model = small_model(cfg)
        path = tmp_path / 'dense' / f'{name}.py'
        path.parent.mkdir(exist_ok=True)
        cfg.dump(path)
        checkpoint = path.with_suffix('.pth')
        torch.save(dict(state_dict=model.state_dict(), meta=dict()), checkpoint)
        return cfg, path, str(checkpoint), model

    return write


@torch.no_grad()
def outputs(model) -> list[torch.Tensor]:
    return features_and_scores(
        model, torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    )


@pytest.mark.distribution
@pytest.mark.parametrize(('name', 'form'), MODELS)
def test_written_config_and_checkpoint_are_the_pruned_model(dense, tmp_path, name, form):
    cfg, base, checkpoint, model = dense(name)
    pruned = prune_checkpoint(cfg, checkpoint, Request(0.5, form=form, scope='all'))
    target = write_pruned(
        pruned, tmp_path / 'out' / 'half.pth', base, {'model.extra': 1, 'work_dir': 'x'}
    )
    assert sorted(path.name for path in target.parent.iterdir()) == ['half.pth', 'half.py']
    written = Config.fromfile(target)
    assert written.work_dir == 'x' and written.model.pop('extra') == 1
    rebuilt = build_model(written).eval()
    load_checkpoint(rebuilt, written.load_from, strict=True)
    assert_close(outputs(rebuilt), outputs(pruned.model), 0)
    assert rebuilt.backbone.channels == tuple(c // 2 for c in model.backbone.channels)
    before, after = (
        complexity_of(m.backbone, (64, 64))
        for m in (build_model(deployed_config(cfg, form)) if form == 'plain' else model, rebuilt)
    )
    assert 0.2 < after.multiply_adds / before.multiply_adds < 0.52  # depthwise ones are halved
    assert 0.2 < after.parameters / before.parameters < 0.52


def test_pruned_classifier_trains_and_merges(dense, tmp_path):
    cfg, base, checkpoint, _ = dense('repnext_m0_imagenet')
    pruned = prune_checkpoint(cfg, checkpoint, Request(0.3))
    config = write_pruned(pruned, tmp_path / 'pruned.safetensors', base)
    written = Config.fromfile(config)
    model = build_model(written)
    load_checkpoint(model, written.load_from, strict=True)
    model.train()
    model.backbone(torch.rand(2, 3, 64, 64))[0].sum().backward()
    assert all(parameter.grad is not None for parameter in model.backbone.parameters())
    state, _ = merge_checkpoint(written, written.load_from)
    merged = build_model(deployed_config(written, 'fused')).eval()
    merged.load_state_dict(state, strict=True)
    assert_close(outputs(merged), outputs(pruned.model))


@pytest.mark.parametrize(
    ('name', 'form'),
    [('repnext_m0_imagenet', 'training'), ('upernet_repnext_tiny_ade20k', 'plain')],
)
def test_pruned_network_is_exported_and_quantized(dense, tmp_path, name, form):
    cfg, base, checkpoint, _ = dense(name)
    pruned = prune_checkpoint(cfg, checkpoint, Request(0.5, form=form, scope='all'))
    config = write_pruned(pruned, tmp_path / 'half.pth', base)
    source, int8 = tmp_path / 'half.onnx', tmp_path / 'int8.onnx'
    command = [config, tmp_path / 'half.pth', '--output', source, '--shape', 64, 64]
    result = run_inside('export.py', *command)  # which compares file and network
    assert result.returncode == 0, result.stderr[-3000:]
    assert open_session(source).spec.form == ('plain' if form == 'plain' else 'fused')
    layers = quantize_file(source, int8, [noise(64, 64, seed) for seed in range(2)])
    assert len(layers) > 20
    image = noise(64, 64, 9)[None]
    expected, found = (open_session(path)(image) for path in (source, int8))
    for key, values in expected.items():
        error = np.square(found[key] - values).mean() / values.var()
        assert error < 0.05, key


@pytest.mark.distribution
def test_taylor_reads_the_training_data_and_leaves_the_statistics(dense, tmp_path):
    cfg, _, checkpoint, model = dense('repnext_m0_imagenet')
    cfg.train_dataloader = dict(
        batch_size=2,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=True),
        dataset=dict(
            type='CustomDataset',
            data_root=str(classes(tmp_path)),
            pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')],
        ),
    )
    cfg.data_preprocessor.num_classes = 5
    pruned = prune_checkpoint(cfg, checkpoint, Request(0.5, 'taylor', batches=3))
    kept = pruned.model.backbone.stem.stem[2].norm.running_mean
    assert torch.equal(kept, model.backbone.stem.stem[2].norm.running_mean)
    assert pruned.model.backbone.architecture.hidden_channels[0] == (2, 8)


def classes(folder):
    """Two classes of two images each."""
    import cv2

    for name in ('cat', 'dog'):
        (folder / 'data' / name).mkdir(parents=True)
        for number in range(2):
            image = np.random.default_rng(number).integers(0, 255, (64, 64, 3), np.uint8)
            cv2.imwrite(str(folder / 'data' / name / f'{number}.png'), image)
    return folder / 'data'


def test_pruned_plain_network_prunes_again_and_refuses_other_forms(dense, tmp_path):
    cfg, base, checkpoint, _ = dense('upernet_repnext_tiny_ade20k')
    request = Request(0.3, form='plain')
    config = write_pruned(prune_checkpoint(cfg, checkpoint, request), tmp_path / 'a.pth', base)
    written = Config.fromfile(config)
    again = prune_checkpoint(written, written.load_from, request)
    assert max(again.model.backbone.architecture.hidden_channels[0]) < max(
        written.model.backbone.arch.hidden_channels[0]
    )
    with pytest.raises(ValueError, match='leave deploy out'):
        prune_checkpoint(written, written.load_from, Request(0.3))
    written.model.backbone.deploy = 'fused'
    with pytest.raises(ValueError, match='has no other'):
        build_model(written)


def test_wrong_input_is_refused_with_what_to_do(dense, tmp_path):
    cfg, base, checkpoint, _ = dense('repnext_m0_imagenet')
    state, meta = merge_checkpoint(cfg, checkpoint)
    torch.save(dict(state_dict=state, meta=meta), tmp_path / 'merged.pth')
    with pytest.raises(ValueError, match='branches cannot be recovered'):
        prune_checkpoint(cfg, str(tmp_path / 'merged.pth'), Request(0.3))
    with pytest.raises(ValueError, match='cannot take the form'):
        prune_checkpoint(cfg, checkpoint, Request(0.3, form='plain'))
    other = dense('upernet_repnext_tiny_ade20k')[2]
    init_default_scope('mmpretrain')
    with pytest.raises((ValueError, RuntimeError), match=r'state_dict|does not fit'):
        prune_checkpoint(cfg, other, Request(0.3))
    cfg.pop('train_dataloader', None)
    with pytest.raises(ValueError, match='train_dataloader'):
        prune_checkpoint(cfg, checkpoint, Request(0.3, 'taylor'))
    cfg.model.backbone = dict(type='ResNet', depth=18)
    with pytest.raises(ValueError, match='nothing to prune'):
        prune_checkpoint(cfg, checkpoint, Request(0.3))
    with pytest.raises(ValueError, match='would replace'):
        check_output(base.with_suffix('.pth'), base)


@pytest.mark.parametrize('name', ['criterion', 'form', 'scope'])
def test_unknown_choices_are_named(name):
    with pytest.raises(ValueError, match=f"unknown {name} 'x': choose from"):
        Request(0.3, **{name: 'x'})
