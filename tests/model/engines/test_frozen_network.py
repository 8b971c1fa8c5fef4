"""A frozen copy answers as the network does."""

import copy

import pytest
import torch
from torch import nn

from model.engines.base import Probability
from model.engines.frozen_network import fold_batch_norms, freeze
from model.networks import NETWORKS, build
from tests.model.official_checkpoints import weights_of

SIZE = 96
CPU = torch.device("cpu")
TOLERANCE = {torch.float32: 1e-3, torch.float16: 0.15, torch.bfloat16: 0.8}  # of untrained networks


def settled(name: str) -> nn.Module:
    """A network whose batch norms have seen some noise, or else values would grow without end."""
    torch.manual_seed(0)
    network = build(name).train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        for _ in range(2):
            network(torch.rand(2, 3, SIZE, SIZE), (torch.rand(2, 3, SIZE, SIZE) > 0.9).float())
    return network.eval()


ONE_OF_A_KIND = [n for n in NETWORKS if not n.startswith("simpleclick") and ("hrnet" not in n or "18s" in n)]


@pytest.fixture(scope="module", params=ONE_OF_A_KIND)
def network(request):
    return settled(request.param)


@pytest.fixture(scope="module")
def inputs():
    torch.manual_seed(1)
    image = torch.randint(0, 256, (2, SIZE, SIZE, 3), dtype=torch.uint8)
    return image, (torch.rand(2, 3, SIZE, SIZE) > 0.9).float()


@pytest.mark.parametrize("dtype", TOLERANCE)
@torch.no_grad()
def test_the_copy_answers_as_the_network(network, inputs, dtype):
    before = copy.deepcopy(network.state_dict())
    expected = Probability(network)(*inputs)
    model = freeze(network, SIZE, CPU, dtype)
    answer = model(*inputs)
    assert answer.dtype == torch.float32
    assert (answer - expected).abs().max() < TOLERANCE[dtype]
    assert (answer - expected).abs().mean() < TOLERANCE[dtype] / 5
    assert all((before[key] == value).all() for key, value in network.state_dict().items())
    assert any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize(("name", "left"), [("lite0-fpn", []), ("lite0-fpn2", ["network.fine.0"])])
def test_only_a_batch_norm_behind_a_sum_is_left(name, left):
    model = freeze(settled(name), SIZE, CPU, torch.float32)
    assert [name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)] == left


def test_weights_are_converted_once_and_layer_norms_stay_precise():
    model = freeze(settled("lite0-fpn2"), SIZE, CPU, torch.bfloat16)
    kinds = {
        type(m).__name__: m.weight.dtype for m in model.modules() if getattr(m, "weight", None) is not None
    }
    assert kinds["Conv2d"] == kinds["Linear"] == torch.bfloat16
    assert kinds["LayerNorm"] == torch.float32
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("dtype", TOLERANCE)
@torch.no_grad()
def test_a_transformer_answers_as_before_with_its_norms_precise(dtype):
    network = build("simpleclick-xtiny").eval()
    network.load_state_dict(weights_of(network))
    torch.manual_seed(1)
    inputs = torch.randint(0, 256, (1, 224, 224, 3), dtype=torch.uint8), torch.rand(1, 3, 224, 224)
    expected = Probability(network)(*inputs)
    model, seen = freeze(network, 224, CPU, dtype), set()
    for module in model.modules():
        if isinstance(module, nn.LayerNorm | nn.GroupNorm):  # on a GPU, input and weights must be of one kind
            module.register_forward_hook(lambda norm, args, _: seen.add((args[0].dtype, norm.weight.dtype)))
    answer = model(*inputs)
    assert seen == {(torch.float32, torch.float32)}
    assert (answer - expected).abs().max() < 0.2 * expected.std()


class Forked(nn.Module):
    """The output of its convolution goes to the batch norm and past it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)

    def forward(self, x):
        y = self.conv(x)
        return self.norm(y) + y


class Twice(nn.Module):
    """One convolution for two batch norms."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(3) for _ in range(2))

    def forward(self, x):
        for norm in self.norms:
            x = norm(self.conv(x))
        return x


@pytest.mark.parametrize("kind", [Forked, Twice])
@torch.no_grad()
def test_what_cannot_be_folded_is_left_alone(kind):
    torch.manual_seed(0)
    network, example = kind().eval(), torch.rand(1, 3, 8, 8)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, 1, 2)
    expected = network(example)
    torch.testing.assert_close(fold_batch_norms(network, (example,))(example), expected)
