"""A checkpoint that does not give a model every entry is refused, whatever form it is tested in."""

import re
from contextlib import nullcontext

import pytest
import torch
from mmengine.model import BaseModel
from runners import Classifier, MeanOverViews, build_runner
from torch import nn

from repnext_mm.checks.checkpoint_fit import CheckpointFitHook, check_fit
from repnext_mm.checks.findings import ChecksFailedError
from repnext_mm.checks.origins import describe_origin
from repnext_mm.reparam import reparameterize_model

FORMS = (None, 'fused', 'plain')


@pytest.fixture(scope='module')
def state() -> dict:
    return Classifier().state_dict()


def find(state: dict, deploy=None, meta=None, **options) -> list:
    checkpoint = dict(state_dict=dict(state), meta=meta or {})
    return list(check_fit(checkpoint, Classifier(deploy=deploy), 'a.pth', **options))


@pytest.mark.parametrize('deploy', FORMS)
def test_whole_checkpoints_fit_in_every_form(deploy, state):
    assert find(state, deploy) == []
    wrapped = {f'module.{name}': value for name, value in state.items()}
    assert find(wrapped | dict(extra=torch.zeros(1)), deploy) == []
    merged = reparameterize_model(Classifier().eval(), deploy or 'fused', fold_conv_bn=False)
    if deploy:
        assert find(merged.state_dict(), deploy) == []
    uncounted = {n: v for n, v in state.items() if not n.endswith('num_batches_tracked')}
    assert find(uncounted, deploy) == []


@pytest.mark.parametrize('deploy', FORMS)
def test_a_head_of_other_classes_is_named_with_its_shapes(deploy, state):
    other = state | {'head.weight': torch.zeros(5, 16), 'head.bias': torch.zeros(5)}
    meta = dict(dataset_meta=dict(classes=('a', 'b', 'c', 'd', 'e')))
    (finding,) = find(other, deploy, meta)
    assert finding.level == 'error' and 'head.weight: (5, 16), not (3, 16)' in finding.message
    assert 'trained on 5 classes: a, b' in finding.message
    assert '--allow-partial' in finding.remedy
    (finding,) = find(other, deploy, meta, allow_partial=True)
    assert finding.level == 'warning'


@pytest.mark.parametrize('deploy', FORMS)
@pytest.mark.parametrize('part', ['neck', 'head', 'backbone'])
def test_a_part_that_is_missing_is_named(part, deploy, state):
    rest = {name: value for name, value in state.items() if not name.startswith(part)}
    (finding,) = find(rest, deploy)
    words = f"'{part}." if part != 'backbone' else 'does not fit this RepNeXt'
    assert finding.level == 'error' and words in finding.message
    assert all(f.level == 'warning' for f in find(rest, deploy, allow_partial=True))


def test_one_entry_is_enough_and_a_backbones_file_is_called_so(state):
    (finding,) = find({n: v for n, v in state.items() if n != 'neck.bn.running_var'})
    assert 'lacks 1 entries' in finding.message and "'neck.bn.running_var'" in finding.message
    alone = {name: value for name, value in state.items() if name.startswith('backbone.')}
    (finding,) = find(alone)
    assert "a backbone's file" in finding.message


@pytest.mark.parametrize('deploy', FORMS)
@pytest.mark.parametrize('name', ['head.bias', 'neck.bn.running_mean', 'backbone'])
def test_the_first_entry_that_is_not_finite_is_named_and_allowed_nowhere(name, deploy, state):
    name = name if name in state else next(n for n in state if n.startswith(name) and 'weight' in n)
    bad = state | {name: torch.full_like(state[name], float('nan'))}
    for allow in (False, True):
        finding = find(bad, deploy, allow_partial=allow)[0]
        assert finding.kind == 'broken-weights' and repr(name) in finding.message
        assert finding.level == 'error'


class Masked(BaseModel):
    """A buffer that is infinite by design."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer('mask', torch.full((2,), -float('inf')))
        self.fc = nn.Linear(2, 2)

    def forward(self, inputs):
        return inputs


def test_what_the_model_itself_has_not_finite_is_meant():
    model = Masked()
    assert list(check_fit(model.state_dict(), model, 'a.pth')) == []


@pytest.mark.distribution
@pytest.mark.parametrize('deploy', [None, 'fused'])
@pytest.mark.parametrize('tta', [False, True])
def test_a_test_ends_before_its_first_batch(deploy, tta, state, tmp_path):
    torch.save(dict(state_dict=state), tmp_path / 'whole.pth')
    headless = {name: value for name, value in state.items() if 'head' not in name}
    torch.save(dict(state_dict=headless), tmp_path / 'headless.pth')
    for name, allow, refused in (
        ('whole', False, False),
        ('headless', False, True),
        ('headless', True, False),
    ):
        path = str(tmp_path / f'{name}.pth')
        model = Classifier(deploy=deploy)
        runner = build_runner(
            tmp_path / 'run',
            f'fit{name}{deploy}{tta}{allow}',
            [CheckpointFitHook(path, allow)],
            model=MeanOverViews(model) if tta else model,
            load_from=path,
        )
        expected = pytest.raises(ChecksFailedError, match=re.escape(path))
        with expected if refused else nullcontext():
            runner.load_or_resume()


@pytest.mark.parametrize(
    ('names', 'words'),
    [
        (['backbone.bottom_up.res2.0.conv1.weight'], 'detectron2'),
        (['backbone.body.layer1.0.conv1.weight', 'rpn.head.conv.weight'], 'torchvision'),
        (['backbone.body.layer1.0.conv1.weight', 'head.conv.weight'], 'torchvision'),
        (['conv1.weight', 'layer1.0.conv1.weight', 'fc.weight'], 'ResNet'),
        (['blocks.0.attn.qkv.weight', 'patch_embed.proj.weight'], 'timm'),
        (['stages.0.blocks.0.conv_dw.weight'], 'timm'),
        (['vit.encoder.layer.0.attention.weight'], 'Hugging Face'),
        (['model.0.conv.weight', 'model.2.cv1.conv.weight'], 'Ultralytics'),
        (['transformer.encoder.layers.0.linear1.weight', 'class_embed.weight'], 'DETR'),
        (['model.backbone.conv1.weight'], 'Lightning'),
        (['backbone.a', 'decode_head.conv_seg.weight'], "segmentor's of mmseg"),
        (['backbone.a', 'roi_head.bbox_head.fc_cls.weight'], "two-stage detector's"),
        (['mine.weight'], ''),
    ],
)
def test_files_of_others_are_told_by_their_names(names, words):
    state = dict.fromkeys(names, torch.zeros(1))
    text = describe_origin(dict(model=state), state)
    assert words in text and bool(words) == bool(text)
    assert describe_origin(dict(model=state), state, names) == ''  # the model is of the same kind
    assert describe_origin({'state_dict': {}, 'pytorch-lightning_version': '2'}, state).count(
        'Lightning'
    )


def test_a_wrapped_state_of_another_framework_is_told():
    names = ['backbone.bottom_up.res2.0.conv1.weight']
    content = dict(model={name: torch.zeros(1) for name in names}, iteration=3)
    model = Masked()
    findings = list(check_fit(content, model, 'a.pkl'))
    assert 'detectron2' in findings[0].message
