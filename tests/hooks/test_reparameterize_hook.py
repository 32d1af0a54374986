"""The hook in a real Runner: what is evaluated, and what is left behind."""

import uuid

import pytest
import torch
from helpers import assert_close, assert_same_state, randomize, state_of
from mmcv.cnn import ConvModule
from mmengine.hooks import EMAHook, Hook
from mmengine.registry import MODELS
from runners import Augmented, Classifier, Failure, Logits, MeanOverViews, build_runner, loader
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from repnext_mm import reparameterize_model
from repnext_mm.hooks import ReparameterizeHook
from repnext_mm.reparam import fastest
from repnext_mm.reparam.complete import batch_norms, merge_completely
from repnext_mm.trained import merged_copy

pytestmark = pytest.mark.distribution


class Probe(Hook):
    """Notes which form the network has in every batch, and its batch norms."""

    priority = 'LOWEST'

    def __init__(self):
        self.forms: dict[str, list] = {'train': [], 'val': [], 'test': []}
        self.norms: list[int] = []

    def _before_iter(self, runner, batch_idx, data_batch=None, mode='train'):
        model = getattr(runner.model, 'module', runner.model)
        self.forms[mode].append(model.backbone.deploy)
        if mode == 'test':
            self.norms.append(sum(isinstance(m, _BatchNorm) for m in model.modules()))


def name() -> str:
    return f'run_{uuid.uuid4().hex}'


def optimizer_state(runner) -> list[torch.Tensor]:
    groups = runner.optim_wrapper.optimizer.state.values()
    return [state['momentum_buffer'].clone() for state in groups]


@pytest.mark.parametrize('mode', ['fused', 'plain'])
def test_test_runs_on_the_merged_network_and_gives_the_same(tmp_path, mode):
    probe, plain, merged = Probe(), Logits(), Logits()
    build_runner(tmp_path, name(), metric=plain).test()
    hooks = [ReparameterizeHook(mode), probe]
    runner = build_runner(tmp_path, name(), hooks, metric=merged)
    runner.test()
    assert probe.forms['test'] == [mode] * 3 and set(probe.norms) == {0}
    assert runner.model.backbone.deploy is None
    assert_close(merged.logits, plain.logits, 1e-5)


@pytest.mark.parametrize('fold_conv_bn', [True, False])
def test_auto_tests_the_form_that_is_fastest_on_the_first_batch(
    tmp_path, fold_conv_bn, monkeypatch
):
    monkeypatch.setattr(fastest, 'fastest', lambda timings: 'plain, channels-last')
    plain, chosen, again = Logits(), Logits(), Logits()
    build_runner(tmp_path, name(), metric=plain).test()
    hook, probe = ReparameterizeHook('auto', fold_conv_bn=fold_conv_bn), Probe()
    build_runner(tmp_path, name(), [hook, probe], metric=chosen).test()
    assert probe.forms['test'] == ['plain'] * 3
    assert (hook.choice.form, hook.choice.layout) == ('plain', 'channels-last')
    assert hook.choice.target['inputs'] == [[3, 40, 36]] * 4
    assert_close(chosen.logits, plain.logits, 1e-5)
    stored = ReparameterizeHook(hook.choice.form, layout=hook.choice.layout)
    build_runner(tmp_path, name(), [stored], metric=again).test()
    assert_close(again.logits, chosen.logits, 1e-5)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(layout='NHWC'), "unknown layout 'NHWC'"),
        (dict(form='auto', layout='channels-last'), 'chooses the layout'),
    ],
)
def test_layouts_that_cannot_be_had_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ReparameterizeHook(**options)


@pytest.mark.parametrize('val', [False, True])
def test_validation_is_merged_only_on_request(tmp_path, val):
    probe = Probe()
    runner = build_runner(tmp_path, name(), [ReparameterizeHook(val=val), probe])
    runner.train()
    assert probe.forms['val'] == ['fused' if val else None] * 6
    assert probe.forms['train'] == [None] * 6


def test_training_goes_on_bit_by_bit_as_if_there_had_been_no_test(tmp_path):
    def train_in_two_parts(test_between: bool):
        options = dict(train_cfg=dict(by_epoch=True, max_epochs=2, val_interval=100))
        hooks = [ReparameterizeHook('plain', val=True), TestAfterEpoch()] if test_between else []
        runner = build_runner(tmp_path / str(test_between), name(), hooks, **options)
        runner.train()
        return state_of(runner.model), optimizer_state(runner)

    class TestAfterEpoch(Hook):
        tested = 0

        def after_train_epoch(self, runner):
            model = runner.model
            runner.build_test_loop(runner._test_loop)
            runner._test_loop = runner.build_test_loop(runner._test_loop)
            runner.call_hook('before_run')
            runner.test_loop.run()
            assert runner.model is model
            TestAfterEpoch.tested += 1

    expected_state, expected_optimizer = train_in_two_parts(False)
    state, optimizer = train_in_two_parts(True)
    assert TestAfterEpoch.tested == 2
    assert all(torch.equal(state[key], expected_state[key]) for key in expected_state)
    for actual, expected in zip(optimizer, expected_optimizer, strict=True):
        assert torch.equal(actual, expected)


@pytest.mark.parametrize('stage', ['metric', 'model'])
def test_training_network_is_back_after_an_evaluation_that_raises(tmp_path, stage, monkeypatch):
    model = Classifier()
    state = state_of(model)
    metric = Failure() if stage == 'metric' else Logits()
    if stage == 'model':
        # Raises in the merged copy only, in the middle of a batch.
        forward = Classifier.forward

        def broken(self, *args, **kwargs):
            if self.backbone.deploy:
                raise RuntimeError('no space left on device')
            return forward(self, *args, **kwargs)

        monkeypatch.setattr(Classifier, 'forward', broken)
    hook = ReparameterizeHook(verify=None)
    runner = build_runner(tmp_path, name(), [hook], model=model, metric=metric)
    with pytest.raises(RuntimeError, match='no space left'):
        runner.test()
    assert runner.model is model
    assert_same_state(model, state)
    monkeypatch.undo()
    if stage == 'model':
        runner.test()
        assert metric.logits.shape == (12, 3)


@pytest.mark.parametrize('order', ['ema_first', 'ema_last'])
@pytest.mark.parametrize('priority', ['NORMAL', 'VERY_HIGH', 'LOWEST'])
@pytest.mark.parametrize('update_buffers', [False, True])
def test_ema_weights_are_what_is_merged_in_any_order(tmp_path, order, priority, update_buffers):
    metric, probe = Logits(), Probe()
    ema = EMAHook(momentum=0.3, update_buffers=update_buffers)
    hook = ReparameterizeHook('plain')
    hook.priority = priority
    hooks = [ema, hook, probe] if order == 'ema_first' else [hook, ema, probe]
    runner = build_runner(tmp_path, name(), hooks, metric=metric)
    runner.train()
    trained, averaged = state_of(runner.model), state_of(ema.ema_model.module)
    assert not torch.equal(trained['head.weight'], averaged['head.weight'])

    # Runner.test() would run before_run again, with which EMAHook starts anew.
    runner._test_loop = runner.build_test_loop(runner._test_loop)
    hook.before_run(runner)
    runner.test_loop.run()
    assert probe.forms['test'] == ['plain'] * 3
    assert_same_state(runner.model, trained)
    assert_same_state(ema.ema_model.module, averaged)

    reference = Classifier()
    parameters = dict(reference.named_parameters())
    chosen = averaged if update_buffers else None
    reference.load_state_dict(
        {key: averaged[key] if key in parameters or chosen else trained[key] for key in trained}
    )
    expected = Logits()
    build_runner(tmp_path, name(), model=reference, metric=expected).test()
    assert_close(metric.logits, expected.logits, 1e-5)


@pytest.mark.parametrize('ema', [False, True])
def test_checkpoints_hold_the_training_form(tmp_path, ema):
    hooks = [ReparameterizeHook(val=True), *([EMAHook()] if ema else [])]
    checkpoints = dict(type='CheckpointHook', interval=1, save_best='test/mean', rule='greater')
    runner = build_runner(
        tmp_path, name(), hooks, default_hooks=dict(checkpoint=checkpoints), val_cfg=dict()
    )
    runner.train()
    files = sorted(tmp_path.glob('*.pth'))
    assert len(files) >= 3 and any(file.name.startswith('best') for file in files)
    for file in files:
        checkpoint = torch.load(file, weights_only=True)
        assert list(checkpoint['state_dict']) == list(Classifier().state_dict())


def test_resumed_training_equals_uninterrupted_training(tmp_path):
    def run(folder, epochs, **options):
        hooks = [ReparameterizeHook('plain', val=True)]
        cfg = dict(by_epoch=True, max_epochs=epochs, val_interval=1)
        runner = build_runner(tmp_path / folder, name(), hooks, train_cfg=cfg, **options)
        runner.train()
        return runner

    expected = state_of(run('whole', 2).model)
    run('parts', 1)
    resumed = run('parts', 2, resume=True)
    assert resumed.epoch == 2
    assert_same_state(resumed.model, expected)


def test_amp_evaluation_is_verified_in_full_precision(tmp_path):
    metric, plain = Logits(), Logits()
    options = dict(test_cfg=dict(fp16=True), log_level='INFO')
    hooks = [ReparameterizeHook('plain')]
    build_runner(tmp_path / 'amp', name(), hooks, metric=metric, **options).test()
    build_runner(tmp_path / 'full', name(), metric=plain).test()
    assert_close(metric.logits, plain.logits, 5e-2)
    [log] = (tmp_path / 'amp').glob('*/*.log')
    [line] = [line for line in log.read_text().splitlines() if 'relative difference' in line]
    assert 0 < float(line.split("'plain': ")[1].split()[0]) < 1e-5
    assert not torch.equal(metric.logits, plain.logits)  # autocast was on


def test_test_time_augmentation_runs_on_the_merged_network(tmp_path):
    results = []
    for hooks in ([], [ReparameterizeHook('plain')]):
        metric, model = Logits(), MeanOverViews(Classifier())
        options = dict(test_dataloader=loader(Augmented()))
        runner = build_runner(tmp_path, name(), hooks, model, metric, **options)
        runner.test()
        assert runner.model is model and model.module.backbone.deploy is None
        results.append(metric.logits)
    assert_close(results[1], results[0], 1e-5)


@pytest.fixture
def resnet() -> Classifier:
    """A classifier whose backbone calls its layers by name, in no order that containers tell."""
    model = Classifier()
    config = dict(type='mmpretrain.ResNet', depth=18, stem_channels=8, base_channels=3)
    model.backbone = MODELS.build(config)
    return randomize(model)


class Structure(Hook):
    """Notes the model that a batch is evaluated on."""

    priority = 'LOWEST'

    def before_test_iter(self, runner, batch_idx, data_batch=None):
        self.model = runner.model


def test_other_backbones_are_merged_as_completely_as_by_merged_copy(tmp_path, resnet):
    plain, merged, structure = Logits(), Logits(), Structure()
    build_runner(tmp_path, name(), model=resnet, metric=plain).test()
    state = state_of(resnet)
    hooks = [ReparameterizeHook(), structure]
    build_runner(tmp_path, name(), hooks, model=resnet, metric=merged).test()
    expected = merged_copy(resnet)
    assert not batch_norms(structure.model)
    assert_same_state(structure.model, state_of(expected))
    images = torch.randn(2, 3, 70, 93)
    with torch.no_grad():
        assert_close(
            [item['logits'] for item in structure.model(images)],
            [item['logits'] for item in expected(images)],
            0,
        )
    assert_close(merged.logits, plain.logits, 1e-5)
    assert_same_state(resnet, state)


def test_blocks_alone_are_merged_without_fold_conv_bn(tmp_path, resnet):
    structure = Structure()
    hooks = [ReparameterizeHook(fold_conv_bn=False), structure]
    build_runner(tmp_path, name(), hooks, model=resnet).test()
    assert len(batch_norms(structure.model)) == len(batch_norms(resnet)) > 20
    build_runner(tmp_path, name(), hooks, model=Classifier()).test()
    assert list(batch_norms(structure.model)) == ['neck.bn']
    assert structure.model.backbone.form == 'fused'


def test_batch_norms_that_are_no_affine_maps_stay_with_a_warning(tmp_path):
    model = Classifier()
    model.neck = ConvModule(24, 16, 1, norm_cfg=dict(type='BN', track_running_stats=False))
    plain, merged, structure = Logits(), Logits(), Structure()
    build_runner(tmp_path / 'plain', name(), model=model, metric=plain).test()
    hooks = [ReparameterizeHook(), structure]
    build_runner(tmp_path / 'merged', name(), hooks, model=model, metric=merged).test()
    assert list(batch_norms(structure.model)) == ['neck.bn']
    # The statistics of a batch of a few pixels make more of rounding.
    assert_close(merged.logits, plain.logits, 1e-4)
    [log] = (tmp_path / 'merged').glob('*/*.log')
    assert "'neck.bn' cannot be merged: it keeps no running statistics" in log.read_text()
    with pytest.raises(ValueError, match=r"'neck.bn' cannot be merged"):
        merged_copy(model)


class WrongMerge(ReparameterizeHook):
    """What a faulty conversion would do."""

    def _merged(self, model, form):
        merged = reparameterize_model(model, form)
        with torch.no_grad():
            merged.backbone.stages[0].blocks[0].project.bias.add_(0.1)
        return merged


def test_verification_raises_when_the_forms_differ(tmp_path):
    model = Classifier()
    runner = build_runner(tmp_path, name(), [WrongMerge('plain')], model=model)
    with pytest.raises(ValueError, match=r'differs from the training form.*verify=0.0001'):
        runner.test()
    assert runner.model is model


def test_verification_raises_when_features_are_not_finite(tmp_path):
    model = Classifier()
    with torch.no_grad():
        model.backbone.stem.norm.weight[0] = float('nan')
    runner = build_runner(tmp_path, name(), [ReparameterizeHook()], model=model)
    with pytest.raises(ValueError, match='by inf'):
        runner.test()


def test_a_second_hook_is_refused(tmp_path):
    model = Classifier()
    hooks = [ReparameterizeHook('fused'), ReparameterizeHook('plain')]
    with pytest.raises(ValueError, match='several ReparameterizeHooks'):
        build_runner(tmp_path, name(), hooks, model=model).test()
    assert model.backbone.deploy is None


@pytest.mark.parametrize('verify', [0, -1.0, True])
def test_bad_tolerances_and_modes_are_refused(verify):
    with pytest.raises(ValueError, match='verify must be a positive'):
        ReparameterizeHook(verify=verify)
    with pytest.raises(ValueError, match=r"'merged'.*fused"):
        ReparameterizeHook('merged')


def test_wrappers_that_shard_parameters_are_refused(tmp_path):
    from mmengine.registry import MODEL_WRAPPERS

    @MODEL_WRAPPERS.register_module(name=name())
    class Sharded(nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

        def test_step(self, data):
            return self.module.test_step(data)

    runner = build_runner(tmp_path, name(), [ReparameterizeHook()], model=Sharded(Classifier()))
    with pytest.raises(TypeError, match='Sharded'):
        runner.test()


def test_merging_counts_once_per_evaluation(tmp_path, monkeypatch):
    from repnext_mm.hooks import reparameterize_hook

    calls = []

    def counted(*args, **kwargs):
        calls.append(1)
        return merge_completely(*args, **kwargs)

    monkeypatch.setattr(reparameterize_hook, 'merge_completely', counted)
    runner = build_runner(tmp_path, name(), [ReparameterizeHook(val=True)])
    runner.train()
    assert len(calls) == 2
    runner.test()
    assert len(calls) == 3
