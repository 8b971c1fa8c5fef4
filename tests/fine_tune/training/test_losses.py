"""Losses on hand-made logits."""

import pytest
import torch

from fine_tune.training.losses import binary_cross_entropy, divergence, normalized_focal_loss


def test_ignored_pixels_change_nothing():
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 1, 8, 8), (torch.rand(2, 1, 8, 8) > 0.5).float()
    labels[:, :, :4] = -1
    other = logits.clone()
    other[:, :, :4] = 50.0
    for loss in (normalized_focal_loss, binary_cross_entropy):
        assert loss(logits, labels) == pytest.approx(float(loss(other, labels)), rel=1e-6)


def test_focal_weights_have_mean_one_so_equal_errors_cost_plain_cross_entropy():
    logits, labels = torch.full((1, 1, 4, 4), 0.7), torch.zeros(1, 1, 4, 4)
    expected = binary_cross_entropy(logits, labels)
    assert normalized_focal_loss(logits, labels) == pytest.approx(float(expected), rel=1e-5)


def test_hard_pixels_weigh_more_than_easy_ones():
    labels = torch.zeros(1, 1, 1, 2)
    logits = torch.tensor([[[[3.0, -3.0]]]])  # the first is wrong, the second right
    hard = float(torch.nn.functional.softplus(torch.tensor(3.0)))
    assert normalized_focal_loss(logits, labels) == pytest.approx(hard, rel=0.01)
    assert binary_cross_entropy(logits, labels) < 0.6 * hard


def test_the_gradient_points_towards_the_labels():
    logits = torch.zeros(1, 1, 2, 2, requires_grad=True)
    labels = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]]])
    normalized_focal_loss(logits, labels).backward()
    assert (torch.sign(logits.grad) == 1 - 2 * labels).all()


def test_nothing_counted_is_zero_not_nan():
    assert normalized_focal_loss(torch.randn(1, 1, 3, 3), -torch.ones(1, 1, 3, 3)) == 0


def test_divergence_is_zero_for_the_teachers_own_answer_and_grows_with_distance():
    teacher = torch.tensor([[[[-2.0, 0.5, 3.0]]]])
    assert divergence(teacher, teacher) == pytest.approx(0.0, abs=1e-6)
    near, far = divergence(teacher + 0.1, teacher), divergence(teacher + 1, teacher)
    assert 0 < near < far
    p, q = torch.sigmoid(teacher), torch.sigmoid(teacher + 1)
    expected = (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).mean()
    assert far == pytest.approx(float(expected), rel=1e-4)


def test_divergence_teaches_the_network_alone():
    logits, teacher = torch.zeros(1, 1, 1, 2, requires_grad=True), torch.ones(1, 1, 1, 2, requires_grad=True)
    divergence(logits, teacher).backward()
    assert (logits.grad < 0).all()
    assert teacher.grad is None
