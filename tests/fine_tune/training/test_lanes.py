"""Cores that share a batch learn what one learns from all of it."""

import pytest
import torch
import torch.nn.functional as F

from fine_tune.training.lanes import Lanes
from tests.fine_tune.shape_project import network


def batch(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    chance = torch.Generator().manual_seed(0)
    image, guide = torch.rand(2, count, 3, 64, 64, generator=chance)
    return image, guide, (torch.rand(count, 1, 64, 64, generator=chance) > 0.5).float()


@pytest.mark.parametrize("count", [6, 5, 1])
def test_gradients_loss_and_logits_are_those_of_the_whole_batch(count: int):
    whole, shared = network().eval(), network().eval()
    parts = batch(count)

    def loss_of(net):
        def loss(image, guide, label):
            logits = net(image, guide)
            return F.binary_cross_entropy_with_logits(logits, label), logits

        return loss

    expected, logits = loss_of(whole)(*parts)
    expected.backward()
    with Lanes(2) as lanes:
        value, answers = lanes.backward(list(shared.parameters()), loss_of(shared), *parts)
        assert value == pytest.approx(float(expected), rel=1e-4)
        torch.testing.assert_close(answers, logits.detach(), rtol=1e-3, atol=1e-4)
        for one, other in zip(whole.parameters(), shared.parameters(), strict=True):
            assert (one.grad is None) == (other.grad is None)
            if one.grad is not None:
                scale = float(one.grad.abs().max()) + 1e-8
                assert float((one.grad - other.grad).abs().max()) < 0.02 * scale
        before = [p.grad.clone() for p in shared.parameters() if p.grad is not None]
        lanes.backward(list(shared.parameters()), loss_of(shared), *parts)
        after = [p.grad for p in shared.parameters() if p.grad is not None]
        assert all(torch.allclose(2 * a, b, rtol=0.05, atol=1e-6) for a, b in zip(before, after, strict=True))


def test_an_error_in_a_lane_is_raised_and_the_lanes_end():
    def fails(*parts):
        raise MemoryError("full")

    with pytest.raises(MemoryError, match="full"), Lanes(2) as lanes:
        lanes.backward([], fails, torch.zeros(2))


def test_threads_are_as_many_as_before():
    before = torch.get_num_threads()
    with Lanes(2) as lanes:
        assert torch.get_num_threads() == 1
        net = network().eval()
        lanes.backward(list(net.parameters()), lambda i, g, t: (net(i, g).mean(), net(i, g)), *batch(2))
    assert torch.get_num_threads() == before
