"""Merged copies of models in every state, and what is left of their batch norms: nothing."""

import copy
import uuid

import pytest
import torch
from helpers import TOLERANCE, assert_close, assert_same_state, backbone, randomize, slim, state_of
from mmcv.cnn import ConvModule
from mmengine.hooks import EMAHook, Hook
from mmengine.model import ExponentialMovingAverage, MMDistributedDataParallel
from mmengine.model.efficient_conv_bn_eval import turn_on_efficient_conv_bn_eval
from mmengine.registry import MODEL_WRAPPERS, MODELS
from mmengine.runner.activation_checkpointing import turn_on_activation_checkpointing
from runners import Classifier, build_runner
from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from repnext_mm import reparameterize_model
from repnext_mm.models import RepNeXt
from repnext_mm.reparam import complete, layers
from repnext_mm.trained import merged_copy, plain_copy

pytestmark = pytest.mark.distribution

BN = dict(type='BN')
NORM_FIRST = ('norm', 'act', 'conv')


def name() -> str:
    return f'run_{uuid.uuid4().hex}'


def modes(model: nn.Module) -> list[bool]:
    return [module.training for module in model.modules()]


def affine_maps(model: nn.Module) -> int:
    return sum(isinstance(module, layers.ChannelAffine) for module in model.modules())


def check(
    model: nn.Module, maps: int = 0, dtype: torch.dtype = torch.float64, mode: str = 'fused'
) -> nn.Module:
    """Merges, compares, and sees that the source is as it was; ``maps`` scales and shifts stay."""
    randomize(model).to(dtype)
    state, before, random = state_of(model), modes(model), torch.get_rng_state()
    merged = merged_copy(model, mode)
    assert torch.equal(torch.get_rng_state(), random)
    assert_same_state(model, state)
    assert modes(model) == before and not any(modes(merged))
    assert not complete.batch_norms(merged) and affine_maps(merged) == maps
    assert_same_outputs(merged, model)
    return merged


def assert_same_outputs(merged: nn.Module, reference: nn.Module, tolerance=None) -> None:
    """Compares with the reference in evaluation mode, at an odd size."""
    training = {module: module.training for module in reference.modules()}
    reference.eval()
    like = next(reference.parameters())
    images = torch.randn(2, 3, 70, 93, generator=torch.Generator().manual_seed(1)).to(like)
    with torch.no_grad():
        expected, actual = reference(images), merged(images)
    for module, mode in training.items():
        module.training = mode
    if isinstance(expected, list):  # the classifier's
        expected, actual = ([item['logits'] for item in out] for out in (expected, actual))
    assert_close(actual, expected, tolerance)


@pytest.fixture
def process_group(tmp_path):
    """One process, gloo."""
    init = f'file://{tmp_path}/group'
    torch.distributed.init_process_group('gloo', init_method=init, rank=0, world_size=1)
    yield torch.distributed.group.WORLD
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize('mode', ['fused', 'plain'])
@pytest.mark.parametrize('training', [False, True])
def test_backbones_in_any_mode_are_copied_and_merged(mode, training):
    model = backbone(slim(), norm_cfg=dict(type='SyncBN'), frozen_stages=1).train(training)
    merged = check(model, mode=mode)
    assert merged.deploy == mode and model.deploy is None
    check(merged, mode=mode)


def test_dtype_and_trainability_are_kept():
    merged = merged_copy(backbone(slim()).half().requires_grad_(False))
    assert {p.dtype for p in merged.parameters()} == {torch.float16}
    assert not any(p.requires_grad for p in merged.parameters())


@pytest.mark.parametrize('wrap', [DataParallel, DistributedDataParallel, MMDistributedDataParallel])
def test_models_come_out_of_data_parallel_wrappers(process_group, wrap):
    model = Classifier()
    wrapped = wrap(model.train(), **({} if wrap is DataParallel else dict(device_ids=None)))
    state = state_of(wrapped)
    merged = merged_copy(wrapped)
    assert type(merged) is Classifier and not complete.batch_norms(merged)
    assert_same_state(wrapped, state)
    assert all(modes(wrapped)) and wrapped.module is model
    assert_same_outputs(merged, model, 1e-5)


def test_synchronized_batch_norms_are_merged(process_group):
    model = nn.SyncBatchNorm.convert_sync_batchnorm(Classifier(), process_group)
    assert model.neck.bn.process_group is process_group
    assert_same_outputs(merged_copy(model.train()), Classifier(), 1e-5)


def test_synchronized_batch_norms_of_mmcv_are_merged(process_group):
    from mmcv.ops import SyncBatchNorm

    layer = SyncBatchNorm(4)
    with torch.no_grad():
        layer.running_mean.copy_(torch.tensor([0.5, -1.0, 2.0, 0.0]))
    model = nn.Sequential(nn.Conv2d(3, 4, 3), layer, nn.ReLU())
    merged = merged_copy(model)
    assert type(merged[1]) is nn.Identity and type(model[1]) is SyncBatchNorm
    assert_same_outputs(merged, model, 1e-5)


@pytest.mark.parametrize('average', [ExponentialMovingAverage, AveragedModel])
def test_averages_of_weights_are_merged_as_they_are(average):
    model = randomize(Classifier())
    averaged = average(model)
    for seed in range(3):
        averaged.update_parameters(randomize(model, seed))
    state = state_of(averaged)
    merged = merged_copy(averaged)
    assert type(merged) is Classifier
    assert_same_state(averaged, state)
    assert_same_outputs(merged, averaged.module, 1e-5)


class Exporter(Hook):
    """Makes a merged copy of the Runner at one point of it."""

    def __init__(self, point: str):
        self.copies: list[nn.Module] = []
        self.references: list[nn.Module] = []
        setattr(self, point, self.export)

    def export(self, runner, *args, **kwargs):
        before = state_of(runner.model), modes(runner.model), torch.get_rng_state()
        self.copies.append(merged_copy(runner))
        assert_same_state(runner.model, before[0])
        assert modes(runner.model) == before[1]
        assert torch.equal(torch.get_rng_state(), before[2])
        averages = [hook.ema_model.module for hook in runner.hooks if isinstance(hook, EMAHook)]
        self.references.append(copy.deepcopy((averages or [runner.model])[0]))


def test_runner_in_training_goes_on_as_if_nothing_had_happened(tmp_path):
    states = []
    exporter = Exporter('after_train_iter')
    for hooks in ([], [exporter]):
        runner = build_runner(tmp_path / str(len(states)), name(), hooks)
        runner.train()
        states.append(state_of(runner.model))
    assert len(exporter.copies) == 6
    assert all(torch.equal(states[1][key], states[0][key]) for key in states[0])
    for merged, reference in zip(exporter.copies, exporter.references, strict=True):
        assert_same_outputs(merged, reference, 1e-5)


@pytest.mark.parametrize('update_buffers', [False, True])
def test_runner_with_ema_gives_the_average(tmp_path, update_buffers):
    ema = EMAHook(momentum=0.3, update_buffers=update_buffers)
    exporter = Exporter('after_val')
    runner = build_runner(tmp_path, name(), [ema, exporter])
    assert_same_outputs(merged_copy(runner), runner.model, 1e-5)  # not averaged yet
    runner.train()
    for merged, reference in zip(exporter.copies, exporter.references, strict=True):
        assert_same_outputs(merged, reference, 1e-5)
    averaged = ema.ema_model.module
    assert not torch.equal(averaged.head.weight, runner.model.head.weight)
    merged = merged_copy(runner)
    assert torch.equal(merged.head.weight, averaged.head.weight)
    assert_same_outputs(merged, averaged, 1e-5)


def test_runner_gives_the_model_until_ema_begins(tmp_path):
    class InitializesLate(Classifier):
        def init_weights(self):  # runs after EMAHook has copied the model
            nn.init.constant_(self.head.bias, 3.0)

    exporter = Exporter('before_train')
    hooks = [EMAHook(momentum=0.3, begin_iter=5), exporter]
    build_runner(tmp_path, name(), hooks, model=InitializesLate()).train()
    assert exporter.copies[0].head.bias.eq(3).all()
    assert not exporter.references[0].head.bias.eq(3).any()


@pytest.mark.parametrize('point', ['before_val_epoch', 'after_val_iter', 'after_val_epoch'])
def test_runner_whose_ema_may_be_swapped_in_is_refused(tmp_path, point):
    runner = build_runner(tmp_path, name(), [EMAHook(momentum=0.3), Exporter(point)])
    with pytest.raises(ValueError, match=r'evaluation \(val\).*after_val'):
        runner.train()


@pytest.mark.parametrize(
    'turn_on', [turn_on_activation_checkpointing, turn_on_efficient_conv_bn_eval]
)
@pytest.mark.parametrize('merge', [merged_copy, reparameterize_model])
def test_methods_that_mmengine_replaced_are_those_of_the_copy(merge, turn_on):
    model = Classifier()
    model.neck = randomize(nn.Sequential(nn.Conv2d(24, 16, 1), nn.BatchNorm2d(16)))
    reference = copy.deepcopy(model)
    turn_on(model, ['neck'])
    model.val_step = model.test_step = lambda data: pytest.fail('this is the original')
    model.eval()
    merged = merge(model)
    assert_same_outputs(merged, reference, 1e-5)
    with torch.no_grad():
        merged.neck[0].weight.zero_()
        merged.neck[0].bias.fill_(1)
    logits = merged.test_step(dict(inputs=list(torch.randn(2, 3, 64, 64))))
    assert torch.equal(logits[0]['logits'], logits[1]['logits'])


def test_a_forward_that_runs_the_original_is_refused():
    model = Classifier()
    original = model.neck.forward
    model.neck.forward = lambda x: original(x) + 1
    with pytest.raises(ValueError, match=r"forward of 'neck'.*remove it"):
        merged_copy(model)


@pytest.mark.parametrize('dtype', TOLERANCE, ids=str)
@pytest.mark.parametrize(
    'config',
    [
        dict(type='mmpretrain.ResNet', depth=18, out_indices=(1, 3)),
        dict(
            type='mmpretrain.ResNet', depth=50, stem_channels=16, base_channels=16, deep_stem=True
        ),
        dict(type='mmpretrain.MobileNetV2', out_indices=(2, 7)),
    ],
    ids=lambda config: config['type'] + str(config.get('depth', '')),
)
def test_backbones_that_call_layers_by_name_keep_no_batch_norm(config, dtype):
    check(MODELS.build(config), dtype=dtype)


class Detector(nn.Module):
    """A backbone, a neck that takes something else than the backbone gives, and a head."""

    def __init__(self):
        super().__init__()
        resnet = dict(type='mmpretrain.ResNet', depth=18, stem_channels=8, base_channels=8)
        self.backbone = MODELS.build(resnet)
        self.neck = Twisted(64)
        self.head = Twisted(64)

    def forward(self, image):
        return self.head(self.neck(self.backbone(image)[-1]))


def test_parts_that_do_not_run_on_an_image_get_affine_maps(caplog):
    check(Detector(), maps=2)
    [message] = caplog.messages
    assert message.startswith('Twisted is not run') and '(1, 3, 64, 64)' in message
    check(Layers(lambda model, x: model.norm(model.conv(x[:, :3]))))
    assert len(caplog.messages) == 1
    merged = merged_copy(Twisted(5), shape=(1, 5, 8, 8))
    assert affine_maps(merged) == 0 and len(caplog.messages) == 1


class Twisted(nn.Module):
    """Registers its layers in another order than it runs them."""

    def __init__(self, channels=3):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.first, self.second = (nn.Conv2d(channels, channels, 1) for _ in range(2))

    def forward(self, x):
        return self.second(torch.relu(self.norm(self.first(x))))


class Layers(nn.Module):
    """A convolution and a batch norm, connected as ``connect`` says."""

    def __init__(self, connect):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.other = nn.Conv2d(3, 3, 1)
        self.references = [self.conv, self.norm]
        self.connect = connect

    def forward(self, x):
        return self.connect(self, x)


def residual(model, x):
    y = model.conv(x)
    return model.norm(y) + y


def residual_of_a_view(model, x):
    y = model.conv(x)
    return model.norm(y) + y.detach()


def changed_through_an_alias(model, x):
    y = model.conv(x)
    y.data.mul_(2)
    return model.norm(y)


def returned(model, x):
    y = model.conv(x)
    return model.norm(y), y


def kept(model, x):
    model.cache = model.conv(x)
    return model.norm(model.cache)


def shared_convolution(model, x):
    return model.conv(model.norm(model.conv(x)))


def shared_norm(model, x):
    return model.norm(model.other(model.norm(model.conv(x))))


def functional_weight(model, x):
    return model.norm(model.conv(x)) + nn.functional.conv2d(x, model.conv.weight, padding=1)


def functional_statistics(model, x):
    return model.other(x) + model.norm(model.conv(x)) * model.references[1].running_var.mean()


def part_of_the_channels(model, x):
    return model.norm(torch.cat([model.conv(x)[:, :2], x[:, :1]], 1))


def through_other_references(model, x):
    conv, norm = model.references
    return norm(conv(x))


def norm_through_another_reference(model, x):
    return model.references[1](model.conv(x))


def norm_first(model, x):
    return model.conv(model.norm(x))


def pool_between(model, x):
    return model.norm(nn.functional.avg_pool2d(model.conv(x), 2))


UNFOLDABLE = [
    residual,
    residual_of_a_view,
    changed_through_an_alias,
    returned,
    kept,
    shared_convolution,
    shared_norm,
    functional_weight,
    functional_statistics,
    part_of_the_channels,
    through_other_references,
    norm_through_another_reference,
    norm_first,
    pool_between,
]


@pytest.mark.parametrize('connect', UNFOLDABLE, ids=lambda connect: connect.__name__)
def test_what_is_no_pair_becomes_an_affine_map(connect):
    check(Layers(connect), maps=1)


def test_layers_that_an_unobserved_part_uses_too_are_left_alone():
    class Borrowing(nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone = Layers(lambda model, x: model.norm(model.conv(x)))
            self.head = self.backbone.conv

        def forward(self, image):
            return self.head(self.backbone(image))

    check(Borrowing(), maps=1)


def test_layers_run_in_another_order_than_registered_are_folded():
    merged = check(Twisted())
    assert type(merged.norm) is nn.Identity


@pytest.mark.filterwarnings('ignore:`torch.nn.utils.weight_norm` is deprecated')
@pytest.mark.parametrize(
    'wrap',
    [nn.utils.weight_norm, nn.utils.spectral_norm, nn.utils.parametrizations.weight_norm],
    ids=['weight_norm', 'spectral_norm', 'parametrization'],
)
def test_convolutions_with_weight_tricks_are_left_alone(wrap):
    model = Layers(lambda model, x: model.norm(model.conv(x)))
    wrap(model.conv)
    model.references = []
    check(model, maps=1)


def test_convolutions_with_hooks_or_tied_weights_are_left_alone():
    model = Layers(lambda model, x: model.norm(model.conv(x)))
    model.conv.register_forward_hook(lambda module, args, output: output * 2)
    check(model, maps=1)
    tied = Layers(lambda model, x: model.norm(model.conv(x)) + model.other(x))
    tied.conv = nn.Conv2d(3, 3, 1)
    tied.other.weight = tied.conv.weight
    check(tied, maps=1)


@pytest.mark.parametrize('size', [(), (5,), (5, 6), (4, 5, 6)], ids=len)
@pytest.mark.parametrize('affine', [True, False])
def test_batch_norms_of_any_rank_become_affine_maps(size, affine):
    kind = {0: nn.BatchNorm1d, 1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[len(size)]
    norm = randomize(kind(3, affine=affine)).double().eval()
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    merged = merged_copy(norm, shape=x.shape)
    assert isinstance(merged, layers.ChannelAffine)
    assert_close(merged(x), norm(x))
    assert merged(x.half()).dtype == torch.float16
    assert all(p.requires_grad == affine for p in merged.parameters())


def test_conv_modules_that_are_not_folded_get_affine_maps():
    first, second = (
        ConvModule(3, 3, 3, norm_cfg=BN, efficient_conv_bn_eval=True) for _ in range(2)
    )
    second.conv = first.conv
    check(nn.Sequential(first, second, ConvModule(3, 4, 3, norm_cfg=BN, order=NORM_FIRST)), maps=3)


def test_batch_norms_that_are_no_affine_maps_are_refused():
    class Activated(nn.BatchNorm2d):
        def forward(self, x):
            return super().forward(x).relu()

    hooked = nn.BatchNorm2d(4)
    hooked.register_forward_hook(lambda *args: None)
    for norm, reason in (
        (nn.BatchNorm2d(4, track_running_stats=False), 'track_running_stats=True'),
        (Activated(4), 'BatchNorm2d and layers for the rest'),
        (hooked, 'remove them'),
    ):
        with pytest.raises(ValueError, match=rf"'1' cannot be merged: .*{reason}"):
            merged_copy(nn.Sequential(nn.Conv2d(3, 4, 1), norm))


def test_random_numbers_stay_as_they_are_and_autocast_changes_nothing():
    model = Layers(lambda model, x: model.norm(model.conv(x)) + 0 * torch.rand(()))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        merged = merged_copy(model)
    assert_same_outputs(merged, model, 1e-5)
    check(model)


def test_blocks_in_training_form_are_left_to_their_own_merging():
    model = randomize(RepNeXt(slim())).eval()
    count = len(complete.batch_norms(model))
    image = torch.randn(1, 3, 64, 64)
    assert complete.fuse_observed_pairs(model, lambda form: form(image)) == 0
    assert len(complete.batch_norms(model)) == count


def test_plain_copies_keep_the_form(process_group):
    model = MMDistributedDataParallel(Classifier().train(), device_ids=None)
    plain = plain_copy(model)
    assert type(plain) is Classifier and not any(modes(plain)) and model.module.training
    assert_same_state(plain, state_of(model.module))


def test_wrappers_that_shard_parameters_are_refused():
    @MODEL_WRAPPERS.register_module(name=name())
    class Sharded(nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

    with pytest.raises(TypeError, match=r'Sharded cannot be merged'):
        merged_copy(Sharded(Classifier()))
    with pytest.raises(TypeError, match=r'Runner of mmengine.*got dict'):
        merged_copy(dict(type='RepNeXt'))
    with pytest.raises(ValueError, match=r"'merged'.*fused"):
        merged_copy(Classifier(), 'merged')
