"""The networks without any package of OpenMMLab: in processes where none can be imported."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from copies import Run, copies_of
from missing import without

TESTS = Path(__file__).parents[1]
PACKAGES = ('mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain')

START = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
import torch
from golden import GOLDEN, image, official_state
from official_files import IMAGENET_LAYOUTS
from torch.nn.modules.batchnorm import _BatchNorm

from repnext_mm.networks import ARCHITECTURES, RepNeXt, RepNeXtClassifier
from repnext_mm.reparam import inference_forms, reparameterize_model
from repnext_mm.reparam.difference import relative_difference

torch.set_num_threads(1)

def randomized(model):
    generator = torch.Generator().manual_seed(0)
    for norm in model.modules():
        if isinstance(norm, _BatchNorm):
            norm.running_mean.uniform_(-1, 1, generator=generator)
            norm.running_var.uniform_(0.5, 2, generator=generator)
            torch.nn.init.uniform_(norm.weight, 0.5, 1.5, generator=generator)
            torch.nn.init.uniform_(norm.bias, -0.5, 0.5, generator=generator)
    return model.double().eval()

def slim(variant):
    channels = [8, 16, 32, 64] if variant.startswith('m') else [8, 12, 16, 24]
    return dict(channels=channels, depths=[1, 1, 2, 1], variant=variant)
"""
END = f"""
assert {set(PACKAGES)!r}.isdisjoint(name.split('.')[0] for name in sys.modules)
"""


@pytest.fixture(scope='module')
def run() -> Iterator[Run]:
    """What the code writes; it must not have imported an mm package at its end."""
    with copies_of(without(*PACKAGES) + START) as start:
        yield lambda code: start(code + END)


def test_every_arch_builds_and_merges_exactly_to_each_of_its_forms(run):
    code = """
count = 0
with torch.no_grad():
    for arch in ARCHITECTURES:
        for build in (RepNeXt, RepNeXtClassifier):
            with torch.device('meta'):
                build(arch, initialize=False)
            model = randomized(build(slim(arch)))
            x = torch.randn(1, 3, 39, 61, dtype=torch.float64)
            for form in inference_forms(model):
                merged = reparameterize_model(model, form)
                assert merged.form == form and model.form == 'training'
                assert not [m for m in merged.modules() if isinstance(m, _BatchNorm)]
                for a, b in zip(model(x), merged(x), strict=True):
                    assert relative_difference(a, b) <= 1e-10
                built = build(slim(arch), form=form).double()
                built.load_state_dict(model.state_dict(), strict=True)
                for a, b in zip(model(x), built(x), strict=True):
                    assert relative_difference(a, b) <= 1e-10
                count += 1
print(count)
"""
    assert run(code) == str(2 * (6 * 1 + 6 * 2))


def test_official_files_give_the_official_outputs_and_logits(run):
    code = """
for arch, golden in GOLDEN.items():
    for layout, content in IMAGENET_LAYOUTS.items():
        for form in ('training', 'fused'):
            if layout != 'model' and (arch, form) != ('m0', 'fused'):
                continue
            classifier = RepNeXtClassifier(arch, form=form, initialize=False).eval()
            classifier.load_state_dict(content(arch), strict=True)
            backbone = RepNeXt(arch, form=form, initialize=False).eval()
            backbone.load_state_dict(content(arch), strict=True)
            x = image(*golden['input_size'])
            with torch.no_grad():
                logits = classifier(x).flatten()[:16]
                outputs = [backbone.stem(x), *backbone(x)]
            expected = torch.tensor(golden['logits'])
            assert (logits - expected).abs().max() <= 1e-4 * expected.std()
            for stage, output in zip(golden['stages'], outputs, strict=True):
                sampled = output.flatten()[stage['index']]
                difference = (sampled - torch.tensor(stage['value'])).abs().max()
                assert difference <= 1e-4 * stage['std'], (arch, layout, form, stage['name'])
print('official')
"""
    assert run(code) == 'official'


def test_a_training_step_works(run):
    code = """
import torchvision.ops
model = RepNeXtClassifier(slim('tiny_v3'), 3, drop_path_rate=0.5, with_cp=True).train()
assert [m for m in model.modules() if isinstance(m, torchvision.ops.StochasticDepth)]
optimizer = torch.optim.SGD(model.parameters(), 0.1)
torch.nn.functional.cross_entropy(model(torch.randn(4, 3, 64, 64)), torch.arange(4) % 3).backward()
assert all(p.grad is not None for p in model.parameters())
optimizer.step()
print('trained')
"""
    assert run(code) == 'trained'
