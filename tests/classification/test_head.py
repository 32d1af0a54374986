"""The two classifiers: official outputs, merging, distillation, checkpoints."""

from pathlib import Path

import mmpretrain
import pytest
import torch
from classifiers import LOSS, samples
from golden import GOLDEN, image, official_state
from helpers import MODES, assert_close, backbone, randomize, slim
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint, load_state_dict
from official_files import IMAGENET_LAYOUTS, save
from torch import nn

from repnext_mm import reparameterize_model
from repnext_mm.checkpoints.loading import build_model
from repnext_mm.checkpoints.merging import deployed_config, form_aware_parts, merge_checkpoint
from repnext_mm.classification import RepNeXtClsHead
from repnext_mm.models import RepNeXt
from repnext_mm.reparam import inference_forms

pytestmark = pytest.mark.distribution


def classifier(arch: str | dict, classes: int = 1000, deploy: str | None = None, **head):
    backbone = RepNeXt(arch, out_indices=-1, deploy=deploy)
    return mmpretrain.models.ImageClassifier(
        backbone=backbone,
        neck=dict(type='mmpretrain.GlobalAveragePooling'),
        head=RepNeXtClsHead(classes, backbone.channels[-1], deploy=deploy, loss=LOSS, **head),
        data_preprocessor=dict(type='mmpretrain.ClsDataPreprocessor'),
    )


@pytest.mark.parametrize('deploy', [None, 'fused'])
@pytest.mark.parametrize(
    ('arch', 'layout'),
    [('m0', layout) for layout in IMAGENET_LAYOUTS]
    + [(arch, 'model') for arch in GOLDEN if arch != 'm0'],
)
def test_official_files_give_the_official_logits(arch, layout, deploy, tmp_path):
    path = save(IMAGENET_LAYOUTS[layout](arch), tmp_path / 'official.pth')
    model = classifier(arch, deploy=deploy).eval()
    load_checkpoint(model, path, strict=True)
    golden = GOLDEN[arch]
    with torch.no_grad():
        logits = model(image(*golden['input_size'])).flatten()[:16]
    expected = torch.tensor(golden['logits'])
    assert (logits - expected).abs().max() <= 1e-4 * expected.std()


@pytest.mark.parametrize('form', MODES)
def test_merged_head_is_one_linear_layer_with_equal_scores(form):
    torch.manual_seed(0)
    head = randomize(RepNeXtClsHead(5, 16)).double().eval()
    x = (torch.randn(7, 16, dtype=torch.float64),)
    merged = reparameterize_model(head, form)
    in_place = reparameterize_model(head, form, inplace=False)
    in_place.switch_to_deploy(form)
    assert [type(m) for m in merged.children() if list(m.parameters())] == [nn.Linear]
    assert merged.state_dict().keys() == {'linear.weight', 'linear.bias'}
    assert merged.deploy == in_place.deploy == form and head.deploy is None
    with torch.no_grad():
        for form in (merged, in_place):
            assert_close(form(x), head(x))


def test_switch_to_deploy_merges_the_head_in_place():
    head = randomize(RepNeXtClsHead(5, 16)).eval()
    assert head.switch_to_deploy() is None
    assert head.deploy == 'fused' and list(head.state_dict()) == ['linear.weight', 'linear.bias']
    with pytest.raises(ValueError, match='eval'):
        RepNeXtClsHead(5, 16).switch_to_deploy()


def test_whole_classifier_merges_without_any_batch_norm():
    for arch, forms in (('m0', ('fused',)), ('tiny', MODES)):
        model = classifier(slim(arch), 3)
        model.backbone = backbone(slim(arch), out_indices=-1)
        randomize(model).double().eval()
        assert inference_forms(model) == forms
        x = torch.randn(2, 3, 40, 36, dtype=torch.float64)
        for form in forms:
            merged = reparameterize_model(model, form)
            assert not [m for m in merged.modules() if 'BatchNorm' in type(m).__name__]
            with torch.no_grad():
                assert_close(merged(x), model(x))


def test_pair_of_scores_comes_in_training_with_distillation_only():
    x = (torch.randn(4, 16),)
    for weight, training in ((0.0, True), (0.5, False), (0.0, False)):
        head = RepNeXtClsHead(3, 16, distillation_weight=weight).train(training)
        assert head(x).shape == (4, 3)
    scores, scores_dist = RepNeXtClsHead(3, 16, distillation_weight=0.5).train()(x)
    assert scores.shape == scores_dist.shape == (4, 3)
    assert not torch.equal(scores, scores_dist)


def test_distillation_splits_the_loss_between_labels_and_teacher():
    torch.manual_seed(0)
    head = RepNeXtClsHead(3, 16, distillation_weight=0.25, loss=LOSS).train()
    x, labels, teacher = (torch.randn(4, 16),), [0, 1, 2, 0], torch.tensor([1, 1, 0, 2])
    losses = head.loss(x, samples(labels), teacher)
    cross_entropy = nn.functional.cross_entropy
    by_label = cross_entropy(head.head(x[0]), torch.tensor(labels))
    by_teacher = cross_entropy(head.head_dist(x[0]), teacher)
    torch.testing.assert_close(losses['loss'], 0.75 * by_label)
    torch.testing.assert_close(losses['loss_distill'], 0.25 * by_teacher)
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in head.parameters())


@pytest.mark.parametrize(('weight', 'teacher'), [(0.5, None), (0.0, torch.zeros(2).long())])
def test_teacher_and_weight_belong_together(weight, teacher):
    head = RepNeXtClsHead(3, 16, distillation_weight=weight, loss=LOSS).train()
    with pytest.raises(ValueError, match='belong together'):
        head.loss((torch.randn(2, 16),), samples([0, 1]), teacher)


def test_checkpoint_with_one_classifier_counts_for_both():
    state = {n: v for n, v in official_state('m0').items() if not n.startswith('head.head_dist')}
    one, both = classifier('m0').eval(), classifier('m0', deploy='fused').eval()
    for model in (one, both):
        load_state_dict(
            model,
            {n if n.startswith('head') else f'backbone.{n}': v for n, v in state.items()},
            strict=True,
        )
    assert torch.equal(one.head.head.linear.weight, one.head.head_dist.linear.weight)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert_close(both(x), one(x), 1e-4)


@pytest.mark.filterwarnings('ignore:The model and loaded state dict do not match')
def test_head_for_other_classes_is_trained_anew(tmp_path):
    path = save(IMAGENET_LAYOUTS['model']('m0'), tmp_path / 'official.pth')
    model = classifier('m0', classes=3)
    load_checkpoint(model, path)
    assert model.head.head.linear.weight.shape == (3, 320)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(distillation_weight=1.0), r'\[0, 1\), got 1.0'),
        (dict(deploy='merged'), "'merged'.*fused.*plain"),
    ],
)
def test_bad_values_are_named_with_the_allowed_ones(options, message):
    with pytest.raises(ValueError, match=message):
        RepNeXtClsHead(3, 16, **options)


@pytest.mark.parametrize('name', ['repnext_m0_imagenet', 'repnext_m0_distill_imagenet'])
def test_official_file_becomes_a_merged_classifier(name, tmp_path):
    cfg = Config.fromfile(Path(__file__).parents[2] / 'configs' / f'{name}.py')
    init_default_scope('mmpretrain')
    assert list(form_aware_parts(cfg.model)) == ['model.backbone', 'model.head']
    state, meta = merge_checkpoint(cfg, save(IMAGENET_LAYOUTS['model']('m0'), tmp_path / 'x.pth'))
    assert meta['difference'] < 1e-5
    assert not [n for n in state if 'norm' in n]
    assert [n for n in state if n.startswith('head.')] == ['head.linear.weight', 'head.linear.bias']
    merged = build_model(deployed_config(cfg, 'fused')).eval()
    merged.load_state_dict(state, strict=True)
    golden = GOLDEN['m0']
    with torch.no_grad():
        logits = merged(image(*golden['input_size'])).flatten()[:16]
    expected = torch.tensor(golden['logits'])
    assert (logits - expected).abs().max() <= 1e-4 * expected.std()


def test_merged_head_in_the_training_form_is_an_error():
    merged = reparameterize_model(RepNeXtClsHead(5, 16).eval())
    with pytest.raises(ValueError, match=r'model\.head\.deploy=fused'):
        RepNeXtClsHead(5, 16).load_state_dict(merged.state_dict())
    x = (torch.randn(2, 16),)
    assert merged.train() is merged
    with pytest.raises(ValueError, match=r'deploy=None.*finetune_deployed=True'):
        RepNeXtClsHead.loss(merged, x, samples([0, 1], classes=5))
    with torch.no_grad():
        assert_close(merged(x), merged.eval()(x), 0)
    merged.finetune_deployed = True
    losses = RepNeXtClsHead.loss(merged.train(), (torch.randn(2, 16),), samples([0, 1], classes=5))
    assert losses['loss'].requires_grad
