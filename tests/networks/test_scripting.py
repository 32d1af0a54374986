"""``torch.jit.script`` takes merged networks, and says what else to do."""

import pytest
import torch
from helpers import assert_close, backbone, slim
from torch import Tensor, nn

from repnext_mm.networks import RepNeXtClassifier
from repnext_mm.reparam import reparameterize_model

# torch deprecates it in favour of torch.export, and works all the same.
pytestmark = pytest.mark.filterwarnings('ignore:.*torch.jit')

IMAGE = torch.rand(2, 3, 71, 96, generator=torch.Generator().manual_seed(0))


class Project(nn.Module):
    """A network of somebody else's with a backbone in it."""

    def __init__(self, backbone: nn.Module):
        super().__init__()
        self.backbone = backbone

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[0] > 1:
            return self.backbone(x)[3].mean((2, 3))
        return self.backbone(x)[3].amax((2, 3))


@pytest.mark.parametrize('output_stride', [None, 8])
@pytest.mark.parametrize(('arch', 'form'), [('tiny', 'fused'), ('tiny', 'plain'), ('m0', 'fused')])
def test_a_merged_network_is_scripted(arch, form, output_stride, tmp_path):
    network = reparameterize_model(backbone(slim(arch), output_stride=output_stride), form)
    scripted = torch.jit.script(network)
    scripted.save(tmp_path / 'network.pt')
    with torch.no_grad():
        expected = network(IMAGE)
        assert_close(scripted(IMAGE), expected)
        assert_close(torch.jit.load(tmp_path / 'network.pt')(IMAGE), expected)


def test_a_network_inside_another_is_scripted_with_it():
    network = Project(reparameterize_model(backbone(slim('m0')))).eval()
    with torch.no_grad():
        expected = [network(IMAGE), network(IMAGE[:1])]
        scripted = torch.jit.script(network)
        assert_close([scripted(IMAGE), scripted(IMAGE[:1])], expected)


def test_a_classifier_is_scripted():
    network = reparameterize_model(RepNeXtClassifier(slim('m0'), num_classes=5).eval())
    with torch.no_grad():
        assert_close(torch.jit.script(network)(IMAGE), network(IMAGE))


def test_other_networks_are_told_what_to_do():
    network = backbone(slim())
    with pytest.raises(TypeError, match=r"form 'training'.*reparameterize_model\(network.eval"):
        torch.jit.script(network)
    merged = reparameterize_model(network)
    with pytest.raises(TypeError, match=r"form 'fused' and in training mode"):
        torch.jit.script(merged.train())
